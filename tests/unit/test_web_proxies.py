"""Where a request comes from, as trusted proxies tell it."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from cube.errors import InvalidSettings
from cube.web.proxies import FORWARDED, HEADERS, X_FORWARDED_FOR, Proxies

TRUSTED = Proxies(["10.0.0.0/8", "::1", "127.0.0.1"])


def headers(*lines: tuple[str, str]) -> HTTPHeaders:
    made = HTTPHeaders()
    for name, value in lines:
        made.add(name, value)
    return made


def x_for(*values: str) -> HTTPHeaders:
    return headers(*(("X-Forwarded-For", value) for value in values))


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # what stands left of a client it wrote itself
        (["198.51.100.1", "203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        (["10.1.1.1, 10.2.2.2"], "10.1.1.1"),  # all are ours: the first of them asked
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["2001:db8::1"], "2001:db8::1"),
        (["[2001:DB8:0::1]:4711"], "2001:db8::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["203.0.113.9, unknown"], "10.0.0.1"),
        (["203.0.113.9, unknown, 10.2.2.2"], "10.2.2.2"),
        (["203.0.113.9,"], "10.0.0.1"),
        (["not an address"], "10.0.0.1"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)
def test_the_right_most_hop_that_is_not_trusted_is_the_client(lines: list[str], client: str) -> None:
    assert TRUSTED.client(x_for(*lines), "10.0.0.1", "http") == (client, "http")


@pytest.mark.parametrize("peer", ["203.0.113.77", "2001:db8::7", "", "::2"])
def test_who_is_not_trusted_is_not_believed(peer: str) -> None:
    told = headers(
        ("X-Forwarded-For", "198.51.100.1"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=198.51.100.1;proto=https"),
    )
    assert TRUSTED.client(told, peer, "http") == (peer, "http")
    assert Proxies().client(told, "127.0.0.1", "http") == ("127.0.0.1", "http")


@pytest.mark.parametrize("peer", ["::1", "127.0.0.1", "::ffff:127.0.0.1", "10.255.0.1"])
def test_addresses_and_networks_of_both_kinds_are_trusted(peer: str) -> None:
    assert TRUSTED.client(x_for("203.0.113.9"), peer, "http")[0] == "203.0.113.9"


@pytest.mark.parametrize(
    ("addresses", "schemes", "told"),
    [
        (["203.0.113.9"], ["https"], "https"),
        (["203.0.113.9"], ["HTTPS"], "https"),
        (["203.0.113.9, 10.2.2.2"], ["https"], "https"),
        (["203.0.113.9, 10.2.2.2"], ["https, http"], "https"),
        (["198.51.100.1, 203.0.113.9"], ["https, http"], "http"),  # the first is the client's own word
        (["203.0.113.9"], ["https", "http"], "http"),
        ([], ["https"], "https"),
        (["203.0.113.9"], ["gopher"], "http"),
        (["203.0.113.9"], [""], "http"),
    ],
)
def test_the_scheme_is_the_clients(addresses: list[str], schemes: list[str], told: str) -> None:
    lines = [("X-Forwarded-For", address) for address in addresses]
    lines += [("X-Forwarded-Proto", scheme) for scheme in schemes]
    assert TRUSTED.client(headers(*lines), "10.0.0.1", "http")[1] == told


@pytest.mark.parametrize(
    ("lines", "client"),
    [
        (["for=203.0.113.9;proto=https"], ("203.0.113.9", "https")),
        (['For="[2001:db8::1]:4711" ; Proto="https";by=10.0.0.1'], ("2001:db8::1", "https")),
        (["for=198.51.100.1, for=203.0.113.9;proto=https"], ("203.0.113.9", "https")),
        (["for=203.0.113.9;proto=https, for=10.1.2.3;proto=http"], ("203.0.113.9", "https")),
        (["for=203.0.113.9", "for=10.1.2.3;proto=https"], ("203.0.113.9", "https")),
        (['for="203.0.113.9:\\80";host="a,b;c"'], ("203.0.113.9", "http")),
        (["for=203.0.113.9, for=unknown"], ("10.0.0.1", "http")),
        (["for=203.0.113.9, for=_hidden, for=10.1.2.3"], ("10.1.2.3", "http")),
        (["proto=https"], ("10.0.0.1", "https")),
        (['for="203.0.113.9, for=10.1.2.3'], ("10.0.0.1", "http")),
        (["203.0.113.9"], ("10.0.0.1", "http")),
        (["for=203.0.113.9,"], ("203.0.113.9", "http")),
        (["for=203.0.113.9, , for=10.1.2.3"], ("203.0.113.9", "http")),
        # Pairs may be empty: what a client wrote must not stand for the hop that such a proxy appends.
        (["for=198.51.100.1, for=203.0.113.9;proto=https;"], ("203.0.113.9", "https")),
        (["for=198.51.100.1", "for=203.0.113.9 ;"], ("203.0.113.9", "http")),
        (["for=198.51.100.1, ;;for=203.0.113.9;;proto=https"], ("203.0.113.9", "https")),
        (["for=203.0.113.9;proto=https proto=http"], ("10.0.0.1", "http")),
        ([""], ("10.0.0.1", "http")),
    ],
)
def test_forwarded_is_read_as_rfc_7239_has_it(lines: list[str], client: tuple[str, str]) -> None:
    told = headers(*(("Forwarded", line) for line in lines))
    assert TRUSTED.client(told, "10.0.0.1", "http") == client


def test_one_kind_of_header_counts() -> None:
    both = headers(
        ("X-Forwarded-For", "203.0.113.1"), ("Forwarded", "for=203.0.113.2"), ("X-Forwarded-Proto", "https")
    )
    clients = [Proxies(["10.0.0.0/8"], header).client(both, "10.0.0.1", "http") for header in HEADERS]
    assert clients == [("203.0.113.1", "https"), ("203.0.113.1", "https"), ("203.0.113.2", "http")]
    spoofed = x_for("203.0.113.1")
    assert Proxies(["10.0.0.0/8"], FORWARDED).client(spoofed, "10.0.0.1", "http")[0] == "10.0.0.1"
    spoofed = headers(("Forwarded", "for=203.0.113.2"))
    assert Proxies(["10.0.0.0/8"], X_FORWARDED_FOR).client(spoofed, "10.0.0.1", "http")[0] == "10.0.0.1"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "300.0.0.1", "10.0.0.0/33", "proxy", "", ":"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettings, match="Got the trusted proxy"):
        Proxies([text])
