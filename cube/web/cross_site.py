"""Web pages that call: what a browser tells of them, and by which names a daemon may be called.

A browser runs pages of strangers beside the daemons of its machine. Where no key keeps them out, three
things do: the ``Origin`` that a browser sends, what it says in ``Sec-Fetch-Site`` where it sends none
(images, scripts), and the ``Host``, which is foreign where a name was made to point at the loopback.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cube.model.environment import Scope

UNKNOWN_PAGE = "null"
"""What a browser, too, calls the origin of a page that it does not tell."""

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{0,5})?", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Hosts:
    """By which names and addresses, beside those of the loopback, a keyless daemon may be called.

    ``allowed``: names and addresses; ``*.example.com`` is any name below, ``*`` any at all. ``addresses``:
    whether any address will do: no foreign page can make one its own, as it can a name.
    """

    allowed: tuple[str, ...] = ()
    addresses: bool = False

    def accepts(self, host: str) -> bool:
        """Tell whether a ``Host`` header's text is one of those; "" (HTTP/1.0) is not a browser's."""
        return not host or _accepts(self, host)

    def accepts_name(self, name: str) -> bool:
        """Tell whether a host is one of those, without its port."""
        if is_loopback(name) or (self.addresses and _address(name) is not None):
            return True
        return any(_fits(pattern.lower(), name.lower().removesuffix(".")) for pattern in self.allowed)


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address can only lead to the machine that it is used on."""
    name = host.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # browsers look these up nowhere: RFC 6761
        return True
    address = _address(name)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped is not None and mapped.is_loopback


def is_loopback_page(origin: str) -> bool:
    """Tell whether an origin is that of a page which came from the loopback."""
    scheme, _, place = origin.partition("://")
    found = _HOST.fullmatch(place) if scheme.lower() in _DEFAULT_PORTS else None
    return found is not None and is_loopback(found["name"])


def is_own_page(origin: str, host: str) -> bool:
    """Tell whether a page came from where its request goes: the same host and port."""
    scheme, _, place = origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme)
    return port is not None and place.removesuffix(port) == host.lower().removesuffix(port) != ""


def silent_page(headers: Mapping[str, str], scope: Scope) -> str | None:
    """Return the origin of the page behind a request that has no ``Origin``; None where there is none.

    A browser sends none for images, scripts and links. A link that somebody follows in order to read is
    nobody's page: the page that had it sees nothing of the answer.
    """
    site = headers.get("Sec-Fetch-Site", "none")
    if site in ("none", "same-origin"):
        return None
    if scope is Scope.READ and headers.get("Sec-Fetch-Mode") == "navigate":
        return None
    scheme, colon, rest = headers.get("Referer", "").partition("://")
    if colon:
        return f"{scheme}://{rest.partition('/')[0]}"
    return f"http://{headers.get('Host', '')}" if site == "same-site" else UNKNOWN_PAGE


@lru_cache(maxsize=1024)
def _accepts(hosts: Hosts, host: str) -> bool:
    found = _HOST.fullmatch(host)
    return "*" in hosts.allowed or (found is not None and hosts.accepts_name(found["name"]))


def _fits(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return pattern in ("*", name)


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
