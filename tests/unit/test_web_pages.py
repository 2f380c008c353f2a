"""What is a page of this machine, the daemon's own page, a host that may be called, a page in silence."""

from __future__ import annotations

import pytest

from cube.model.environment import Scope
from cube.web.access import Hosts, is_loopback_page, is_own_page, silent_page


@pytest.mark.parametrize(
    ("origin", "is_one"),
    [
        ("http://localhost:3000", True),
        ("https://localhost", True),
        ("http://LOCALHOST.:80", True),
        ("http://cube.localhost:8080", True),
        ("http://127.0.0.1:9160", True),
        ("http://127.8.9.10", True),
        ("http://[::1]:3000", True),
        ("http://[::ffff:127.0.0.1]", True),
        ("http://localhost.evil.example", False),
        ("http://notlocalhost", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://127.0.0.1@evil.example", False),
        ("http://evil.example@127.0.0.1", False),
        ("http://0.0.0.0:1080", False),
        ("http://10.0.0.1", False),
        ("chrome-extension://localhost", False),
        ("null", False),
        ("", False),
    ],
)
def test_a_page_of_the_loopback(origin: str, is_one: bool) -> None:
    assert is_loopback_page(origin) is is_one


@pytest.mark.parametrize(
    ("host", "accepted"),
    [
        ("", True),
        ("localhost:1080", True),
        ("LocalHost", True),
        ("127.0.0.1:1080", True),
        ("[::1]:1080", True),
        ("cube.example:1080", True),
        ("CUBE.example.", True),
        ("a.b.lan", True),
        ("lan", False),
        ("other.example", False),
        ("evil.example:1080", False),
        ("127.0.0.1.evil.example", False),
        ("localhost:1080, evil.example", False),
        ("evil.example@localhost", False),
        ("10.0.0.1:1080", False),
        ("0.0.0.0", False),
        ("localhost:", True),
        ("localhost:x", False),
    ],
)
def test_a_host_that_may_be_called_without_a_key(host: str, accepted: bool) -> None:
    assert Hosts(("cube.example", "*.lan")).accepts(host) is accepted


def test_a_daemon_that_others_reach_may_be_called_by_any_address_and_a_star_is_any_name() -> None:
    assert Hosts(addresses=True).accepts("10.0.0.1:1080")
    assert Hosts(addresses=True).accepts("[2001:db8::1]:1080")
    assert not Hosts(addresses=True).accepts("evil.example")
    assert Hosts(("*",)).accepts("evil.example")


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://cube.lan:1081", "cube.lan:1081", True),
        ("http://cube.lan", "cube.lan", True),
        ("https://cube.lan", "Cube.lan:443", True),
        ("https://cube.lan:443", "cube.lan", True),
        ("http://cube.lan:1080", "cube.lan:1081", False),
        ("http://other.lan:1081", "cube.lan:1081", False),
        ("null", "null", False),
        ("http://", "", False),
    ],
)
def test_the_daemons_own_page(origin: str, host: str, own: bool) -> None:
    assert is_own_page(origin, host) is own


FOREIGN = {"Host": "localhost:1080", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}


@pytest.mark.parametrize(
    ("headers", "scope", "page"),
    [
        ({}, Scope.WRITE, None),
        ({"Referer": "https://evil.example/"}, Scope.WRITE, None),  # curl may send what it likes
        ({"Sec-Fetch-Site": "none"}, Scope.WRITE, None),
        ({"Sec-Fetch-Site": "same-origin"}, Scope.WRITE, None),
        (FOREIGN, Scope.WRITE, "null"),
        (FOREIGN | {"Referer": "https://evil.example/a?b://c"}, Scope.WRITE, "https://evil.example"),
        (FOREIGN | {"Referer": "http://127.0.0.1:3000/"}, Scope.WRITE, "http://127.0.0.1:3000"),
        (FOREIGN | {"Sec-Fetch-Site": "same-site"}, Scope.WRITE, "http://localhost:1080"),
        (FOREIGN, Scope.READ, "null"),
        (FOREIGN | {"Sec-Fetch-Mode": "navigate"}, Scope.WRITE, "null"),
        (FOREIGN | {"Sec-Fetch-Mode": "navigate"}, Scope.READ, None),
    ],
)
def test_the_page_behind_a_request_without_an_origin(
    headers: dict[str, str], scope: Scope, page: str | None
) -> None:
    assert silent_page(headers, scope) == page
