"""Whose word counts for where a request comes from: the proxies that the settings name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from tornado.httputil import HTTPHeaders

from cube.errors import InvalidSettings, shown

Address: TypeAlias = IPv4Address | IPv6Address

ANY, X_FORWARDED_FOR, FORWARDED = "any", "x-forwarded-for", "forwarded"
HEADERS = (ANY, X_FORWARDED_FOR, FORWARDED)
"""What proxies write: X-Forwarded-For (and -Proto), Forwarded (RFC 7239), or the first where there is one."""

_SCHEMES = frozenset({"http", "https"})
_WITH_PORT = re.compile(r"\[([^]]*)\](?::[0-9]*)?|([0-9.]+):[0-9]+")
# RFC 7239, section 4: commas between elements, semicolons between their pairs, each of which may be empty;
# values may be quoted.
_PAIR = re.compile(r"""\s*(?:([A-Za-z0-9!#$%&'*+.^_`|~-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*)?([;,])""")


class Hop(NamedTuple):
    """What a proxy says of whom it got a request from; None where it does not say."""

    address: str | None
    scheme: str | None


class Proxies:
    """The proxies in front of a daemon, by their networks.

    ``header``: one of `HEADERS`. Raises `InvalidSettings` for what is not a network.
    """

    def __init__(self, networks: Iterable[str] = (), header: str = ANY) -> None:
        self.networks = tuple(map(_network, networks))
        self._header = header

    def client(self, headers: HTTPHeaders, peer: str, scheme: str) -> tuple[str, str]:
        """Return the address and the scheme of who sent a request.

        ``peer``, ``scheme``: of the connection. From the right, that is from us, each hop that a trusted
        proxy names counts, and the first that is not trusted itself is the client: what stands left of
        it anybody may have written.
        """
        if not self._trusts(_address(peer)):
            return peer, scheme
        for hop in reversed(self._hops(headers)):
            address = None if hop.address is None else _address(hop.address)
            scheme = hop.scheme or scheme
            if address is None:  # unknown, or hidden: who told it is the last that is known
                break
            peer = str(address)
            if not self._trusts(address):
                break
        return peer, scheme

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.networks)

    def _hops(self, headers: HTTPHeaders) -> Sequence[Hop]:
        header = self._header
        if header == ANY:
            only_forwarded = "Forwarded" in headers and "X-Forwarded-For" not in headers
            header = FORWARDED if only_forwarded else X_FORWARDED_FOR
        return _forwarded(headers) if header == FORWARDED else _x_forwarded(headers)


def _x_forwarded(headers: HTTPHeaders) -> list[Hop]:
    """Return the hops of X-Forwarded-For, each with its scheme, or, of fewer schemes, with the last one."""
    addresses = _listed(headers, "X-Forwarded-For") or [""]
    schemes = [_scheme(text) for text in _listed(headers, "X-Forwarded-Proto")]
    if len(schemes) != len(addresses):
        schemes = (schemes[-1:] or [None]) * len(addresses)
    return [Hop(address, scheme) for address, scheme in zip(addresses, schemes, strict=True)]


def _listed(headers: HTTPHeaders, name: str) -> list[str]:
    listed = [part.strip() for line in headers.get_list(name) for part in line.split(",")]
    return listed if any(listed) else []


def _forwarded(headers: HTTPHeaders) -> list[Hop]:
    """Return the hops of Forwarded; none where it cannot be read: who wrote what is not known then."""
    hops: list[Hop] = []
    for line in headers.get_list("Forwarded"):
        pairs: dict[str, str] = {}
        text, place = f"{line},", 0
        while place < len(text):
            found = _PAIR.match(text, place)
            if found is None:
                return []
            name, value, separator = found.groups()
            if name:
                is_quoted = value.startswith('"')
                pairs[name.lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if is_quoted else value
            if separator == "," and pairs:
                hops.append(Hop(pairs.get("for"), _scheme(pairs.get("proto", ""))))
                pairs = {}
            place = found.end()
    return hops


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in _SCHEMES else None


def _address(text: str) -> Address | None:
    """Read an address, with a port or not; None for what is not one, such as ``unknown``."""
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((found[1] or found[2]) if found else text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise InvalidSettings(
            f"Got the trusted proxy {shown(text)} ({error}); accepted are networks (10.0.0.0/8) and"
            " addresses."
        ) from None
