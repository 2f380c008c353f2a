"""Who may call: keys, environments, hosts and pages; what a request may do is decided here and nowhere else.

A browser runs pages of strangers beside the daemons of its machine. Where no key keeps them out, three
things do: the ``Origin`` that a browser sends, what it says in ``Sec-Fetch-Site`` where it sends none
(images, scripts), and the ``Host``, which is foreign where a name was made to point at the loopback.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders

from cube.errors import AccessDenied, InvalidSettings, Unauthenticated, shown
from cube.model.environment import DEFAULT, Caller, Credentials, Environment, Scope, matches_host
from cube.web.keys import KeyRing

KEY_PARAMETER = "api_key"
UNKNOWN_PAGE = "null"
"""What a browser, too, calls the origin of a page that it does not tell."""

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{0,5})?", re.ASCII)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_NOBODY = Credentials()
_LONGEST_HOST = 300  # a name has 253, RFC 1035


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
        return not host or (_accepts if len(host) <= _LONGEST_HOST else _accepts.__wrapped__)(self, host)

    def accepts_name(self, name: str) -> bool:
        """Tell whether a host is one of those, without its port."""
        if is_loopback(name) or (self.addresses and _address(name) is not None):
            return True
        return any(matches_host(pattern.lower(), name.lower().removesuffix(".")) for pattern in self.allowed)


class Authenticator:
    """Decides who may call some environments, at least one, by the keys of a ring, and from which pages.

    Where there is only `DEFAULT`, nobody has configured any: what requests say of environments is not
    heeded. Without any keys all is open: to the open environment, or the only one. With keys, requests that
    carry none go to the open environment, or nowhere. Raises `InvalidSettings` where no keys, several
    environments and none of them open leave it to chance.

    Pages may call from the origins of an environment; where it has none, with a key from anywhere, and
    without one from the loopback, by the names of ``hosts`` alone.
    """

    def __init__(
        self, environments: Sequence[Environment], ring: KeyRing, hosts: Hosts | None = None
    ) -> None:
        self._hosts = Hosts() if hosts is None else hosts
        self._environments = {environment.name: environment for environment in environments}
        self._ring = ring
        self._open = next((one for one in environments if one.open), None)
        self._only = environments[0] if len(environments) == 1 else None
        self._anybody_here = Caller(environments[0])
        self._are_named = self._only is None or self._only.name != DEFAULT
        if not ring.required and self._open is None and self._only is None:
            raise InvalidSettings(
                f"The environments {', '.join(self._environments)} have no keys, and none is open;"
                " accepted are keys (cube keys add), or one environment with open = true."
            )

    @property
    def requires_keys(self) -> bool:
        return self._ring.required

    @property
    def keyless(self) -> Environment | None:
        """The environment that requests without a key go to now."""
        return self._open or (None if self._ring.required else self._only)

    def admit(self, credentials: Credentials, scope: Scope) -> Caller:
        """Return who calls; raises `Unauthenticated` or `AccessDenied`."""
        if credentials is _NOBODY and self._open is None and not self._ring.required and self._only:
            return self._anybody_here  # the common case of one machine
        claimed = credentials.environments if self._are_named else frozenset()
        for kind, values in (("keys", credentials.keys), ("environments", claimed)):
            if len(values) > 1:
                raise AccessDenied(f"Got {len(values)} different {kind} in one request; accepted is one.")
        name = next(iter(claimed), None)
        if credentials.keys and self._ring.required:
            return self._holder(next(iter(credentials.keys)), name, scope)
        return self._anybody(name)

    def admits(self, caller: Caller) -> bool:
        """Tell whether a caller admitted before would still be: its key may have been revoked."""
        if caller.key is not None:
            return self._ring.holds(caller.key)
        keyless = self.keyless
        return keyless is not None and keyless.name == caller.environment.name

    def is_key(self, text: str) -> bool:
        """Tell whether a text is a key that counts now, whatever it allows."""
        return self._ring.find(text) is not None

    def check_page(self, headers: HTTPHeaders, caller: Caller | None, scope: Scope | None = None) -> None:
        """Raise `AccessDenied` for a request of a page that may not call, or that goes to a foreign host.

        ``caller`` None: nobody was admitted (yet), so what one environment allows is enough.
        """
        host = headers.get("Host", "")
        if not self._bears_key(caller) and not self._hosts.accepts(host):
            raise AccessDenied(
                f"Got the Host {shown(host)} without a key; accepted are names and addresses of the"
                " loopback, and those of the setting allowed_hosts."
            )
        origin = headers.get("Origin")
        if origin is not None:
            if not self._allows_page(origin, host, caller):
                raise self._foreign(origin, caller)
        elif scope is not None and caller is not None and self._trusts_loopback(caller.environment, caller):
            page = silent_page(headers, scope)
            if page is not None and not self._allows_page(page, host, caller):
                raise self._foreign(page, caller)

    def allows_origin(self, headers: HTTPHeaders, caller: Caller | None) -> bool:
        """Tell whether the page that a request's ``Origin`` names may read the reply."""
        origin, host = headers.get("Origin"), headers.get("Host", "")
        if origin is None or not (self._bears_key(caller) or self._hosts.accepts(host)):
            return False
        return self._allows_page(origin, host, caller)

    def names_origin(self, origin: str, caller: Caller | None) -> bool:
        """Tell whether an allowed origin is one that was configured: then with credentials, too."""
        return any(one.origins and one.allows_origin(origin) for one in self._asked(caller))

    def _allows_page(self, origin: str, host: str, caller: Caller | None) -> bool:
        if is_own_page(origin, host):
            return True
        return any(
            is_loopback_page(origin) if self._trusts_loopback(one, caller) else one.allows_origin(origin)
            for one in self._asked(caller)
        )

    def _foreign(self, origin: str, caller: Caller | None) -> AccessDenied:
        trusts = any(self._trusts_loopback(one, caller) for one in self._asked(caller))
        loopback = "of the loopback, and " if trusts else ""
        return AccessDenied(
            f"Pages of {origin[:200]} may not call this server; accepted are pages {loopback}of the origins"
            " that the setting origins names."
        )

    def _trusts_loopback(self, environment: Environment, caller: Caller | None) -> bool:
        return not environment.origins and not self._bears_key(caller)

    def _bears_key(self, caller: Caller | None) -> bool:
        """Tell whether a request has a key, or will be asked for one."""
        return self._ring.required if caller is None else caller.key is not None

    def _asked(self, caller: Caller | None) -> Iterable[Environment]:
        return self._environments.values() if caller is None else (caller.environment,)

    def _holder(self, secret: str, name: str | None, scope: Scope) -> Caller:
        key = self._ring.find(secret)
        environment = None if key is None else self._environments.get(key.environment)
        if key is None or environment is None:
            raise Unauthenticated("The key is not known; accepted is an API key of this server.")
        if name is not None and name != environment.name:
            raise AccessDenied(f"Got the environment {shown(name)}, which is not that of the key.")
        if scope not in key.scopes:
            raise AccessDenied(f"The key does not allow to {scope}; accepted is one with the scope {scope}.")
        return Caller(environment, key)

    def _anybody(self, name: str | None) -> Caller:
        named = None if name is None else self._environments.get(name)
        if named is not None and (named.open or not self._ring.required):
            return Caller(named)
        if self.keyless is None:
            raise Unauthenticated(
                "A key is needed; accepted are Authorization: Bearer, X-Api-Key, a Basic user name, and"
                f" the parameter {KEY_PARAMETER}."
            )
        if name is not None and self._only is None:
            raise Unauthenticated(f"The environment {shown(name)} needs a key; none was sent.")
        return Caller(self.keyless)


def standard_credentials(headers: HTTPHeaders, query: str, *, password: bool = False) -> Credentials:
    """Find keys where every request may have them.

    ``Authorization: Bearer KEY``, the user name of ``Authorization: Basic``, ``X-Api-Key``, and the query's
    parameter ``api_key``, for WebSockets and pixels. ``password``: of Basic the password is the key, where
    there is one.
    """
    keys: set[str] = set()
    if "Authorization" in headers:
        keys.add(_from_authorization(headers["Authorization"], password=password))
    if "X-Api-Key" in headers:
        keys.add(headers["X-Api-Key"].strip())
    if KEY_PARAMETER in query:
        pairs = parse_qsl(query, errors="replace")
        keys.update(value.strip() for name, value in pairs if name == KEY_PARAMETER)
    keys.discard("")
    return Credentials(frozenset(keys)) if keys else _NOBODY


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


def _from_authorization(value: str, *, password: bool) -> str:
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            try:
                user, _, secret = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
                return secret if password and secret else user
            except ValueError:  # outside ASCII, no base64, or no UTF-8 in it
                return ""
        case _:
            return ""


@lru_cache(maxsize=1024)  # of `_LONGEST_HOST` characters at most
def _accepts(hosts: Hosts, host: str) -> bool:
    found = _HOST.fullmatch(host)
    return "*" in hosts.allowed or (found is not None and hosts.accepts_name(found["name"]))


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None
