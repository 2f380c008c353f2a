"""Origin patterns: scheme, host and port, each of which may be ``*``."""

from __future__ import annotations

import pytest

from cube.errors import InvalidSettings
from cube.model.environment import OriginPattern


def matches(pattern: str, origin: str) -> bool:
    return any(one.matches(origin) for one in OriginPattern.parse_all(pattern))


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("https://company.com", "https://company.com"),
        ("https://company.com", "https://company.com:443"),
        ("https://company.com:443", "https://company.com"),
        ("https://Company.com/", "https://company.com"),
        ("http://a.co:8080", "http://a.co:8080"),
        ("*://127.0.0.1:*", "http://127.0.0.1:9160"),
        ("*://*", "https://any.where"),
        ("*://*:*", "http://any.where:81"),
        ("*://*.a.co", "https://deep.below.a.co"),
        ("*://a.co, *://b.com", "https://b.com"),
        ("http://[::1]:*", "http://[::1]:3000"),
    ],
)
def test_an_origin_that_matches(pattern: str, origin: str) -> None:
    assert matches(pattern, origin)


@pytest.mark.parametrize(
    ("pattern", "origin"),
    [
        ("https://company.com", "http://company.com"),
        ("https://company.com", "https://company.com:8443"),
        ("https://company.com", "https://company.com.evil.org"),
        ("https://company.com", "https://evil.org/company.com"),
        ("*://*.a.co", "https://a.co"),
        ("*://*.a.co", "https://ba.co"),
        ("*://*.a.co", "https://.a.co"),
        ("*://*", "http://any.where:81"),
        ("*://*:*", "null"),
        ("*://*:*", "*://*"),
        ("https://company.com", ""),
    ],
)
def test_an_origin_that_does_not(pattern: str, origin: str) -> None:
    assert not matches(pattern, origin)


@pytest.mark.parametrize("text", ["company.com", "https://", "https://a*.co", "https://a.*", "x://a:b", ""])
def test_what_is_no_pattern_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidSettings, match="accepted are scheme://host"):
        OriginPattern.parse_all(text)
