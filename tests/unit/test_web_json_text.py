"""JSON in and out."""

from __future__ import annotations

from typing import Any

import pytest

from cube import json_text
from cube.errors import InvalidRequest


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1,]",
        b"{} {}",
        b"NaN",
        b"[Infinity]",
        b"[1e999]",
        b"9" * 5_000,
        b'"\\ud800"',
        b'"\\ud800\\ud801"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        b"{'a': 1}",
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_refused_with_a_sentence(text: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        json_text.decode(text)
    assert refused.value.message.endswith(".")


def test_an_item_that_cannot_be_read_is_named_by_its_index() -> None:
    with pytest.raises(InvalidRequest) as refused:
        json_text.decode(b'[{"a": 1}, {"a": 1e999}]')
    assert refused.value.details["index"] == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"-9223372036854775809", -(2**63) - 1),
        (b"1.0", 1.0),
        (b' "\\ud83d\\ude00" ', "😀"),
    ],
)
def test_what_is_json_is_read_as_it_is(text: bytes, value: Any) -> None:
    assert json_text.decode(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"-Infinity", "-inf"),
        (b"[1, NaN]", "[1, nan]"),
        (b"[-1e999]", "[-1e999]"),
        (b"9" * 5_000, "9" * 80),
        (b'"\\ud800"', "'\\ud800'"),
        (b'"\xff"', "'\\udcff'"),
        (b"\xef\xbb\xbf{}", "{}"),
        (b'"a\tb"', "'a\\tb'"),
    ],
)
def test_a_value_that_json_does_not_allow_is_read_so_that_it_is_told_apart(text: bytes, value: str) -> None:
    assert repr(json_text.decode_leniently(text)) == value
    json_text.encode(json_text.decode_leniently(text)).decode()


@pytest.mark.parametrize("text", [b"", b"{", b"[1,]", b"{} {}", b"{'a': 1}", b"[" * 100_000, b"[NaN"])
def test_what_has_not_the_form_of_json_is_refused_leniently_too(text: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        json_text.decode_leniently(text)
    assert "line 1, column" in refused.value.message


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"]":', b"}"), (b'[{"\\"[":', b"}]")])
def test_what_is_nested_too_deeply_is_emptied_and_its_neighbours_are_not(
    opening: bytes, closing: bytes
) -> None:
    deep = opening * 2_000 + b"1" + closing * 2_000
    first, found, last = json_text.decode_leniently(b'["[", %b, {"a": "]"}]' % deep)
    assert (first, last) == ("[", {"a": "]"})
    depth = 1
    while found:
        found = found[0] if isinstance(found, list) else next(iter(found.values()))
        depth += 1
    assert depth == json_text.MAX_DEPTH - 1


def test_what_json_does_not_have_is_a_fault() -> None:
    with pytest.raises(TypeError):
        json_text.encode({"a": object()})
