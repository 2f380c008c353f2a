"""Who may call: keys, environments and origins; what a request may do is decided here and nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Protocol
from urllib.parse import parse_qsl

from tornado.httputil import HTTPHeaders

from cube.errors import AccessDenied, InvalidSettings, Unauthenticated, shown
from cube.model.environment import DEFAULT, Caller, Credentials, Environment, Key, Scope, digest
from cube.web.cross_site import Hosts, is_loopback_page, is_own_page, silent_page

KEY_PARAMETER = "api_key"

_PREFIX_BYTES = 4
_NOBODY = Credentials()


class Access(Protocol):
    """Decides about callers."""

    def admit(self, credentials: Credentials, scope: Scope) -> Caller:
        """Return who calls; raises `Unauthenticated` or `AccessDenied`."""

    def admits(self, caller: Caller) -> bool:
        """Tell whether a caller admitted before would still be: its key may have been revoked."""

    def is_key(self, text: str) -> bool:
        """Tell whether a text is a key that counts now, whatever it allows."""

    def check_page(self, headers: HTTPHeaders, caller: Caller | None, scope: Scope | None = None) -> None:
        """Raise `AccessDenied` for a request of a page that may not call, or that goes to a foreign host.

        ``caller`` None: nobody was admitted (yet), so what one environment allows is enough.
        """

    def allows_origin(self, headers: HTTPHeaders, caller: Caller | None) -> bool:
        """Tell whether the page that a request's ``Origin`` names may read the reply."""

    def names_origin(self, origin: str, caller: Caller | None) -> bool:
        """Tell whether an allowed origin is one that was configured: then with credentials, too."""


class KeyRing:
    """The keys that count now: those of the settings, and those of the keys collection.

    A secret's digest is looked up by its first bytes; whole digests are compared in constant time.
    ``required``: whether there are, or have been, any: then a request needs one. Revoking the last one
    must not open the doors.
    """

    def __init__(self, configured: Iterable[Key] = ()) -> None:
        self._configured = tuple(configured)
        self._by_prefix: dict[bytes, list[Key]] = {}
        self.required = False
        self.replace(())

    def replace(self, stored: Iterable[Key]) -> None:
        """Take in what the keys collection holds now."""
        by_prefix: dict[bytes, list[Key]] = {}
        keys = (*self._configured, *stored)
        for key in keys:
            by_prefix.setdefault(key.digest[:_PREFIX_BYTES], []).append(key)
        self._by_prefix = by_prefix
        self.required = self.required or bool(keys)

    def find(self, secret: str) -> Key | None:
        """Return the key whose secret this is."""
        hashed = digest(secret)
        candidates = self._by_prefix.get(hashed[:_PREFIX_BYTES], ())
        return next((key for key in candidates if key.fits(hashed)), None)

    def holds(self, key: Key) -> bool:
        """Tell whether a key still counts, as it was."""
        return any(key == held for held in self._by_prefix.get(key.digest[:_PREFIX_BYTES], ()))


class Authenticator:
    """Access to some environments, at least one, by the keys of a ring.

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
        self._are_named = self._only is None or self._only.name != DEFAULT
        if not ring.required and self._open is None and self._only is None:
            raise InvalidSettings(
                f"The environments {', '.join(self._environments)} have no keys, and none is open;"
                " accepted are keys (cube keys add), or one environment with open = true."
            )

    @property
    def requires_keys(self) -> bool:
        """Whether keys are configured."""
        return self._ring.required

    @property
    def keyless(self) -> Environment | None:
        """The environment that requests without a key go to now."""
        return self._open or (None if self._ring.required else self._only)

    def admit(self, credentials: Credentials, scope: Scope) -> Caller:
        """Return who calls; see `Access.admit`."""
        if credentials is _NOBODY and self._open is None and not self._ring.required and self._only:
            return Caller(self._only)  # the common case of one machine
        claimed = credentials.environments if self._are_named else frozenset()
        for kind, values in (("keys", credentials.keys), ("environments", claimed)):
            if len(values) > 1:
                raise AccessDenied(f"Got {len(values)} different {kind} in one request; accepted is one.")
        name = next(iter(claimed), None)
        if credentials.keys and self._ring.required:
            return self._holder(next(iter(credentials.keys)), name, scope)
        return self._anybody(name)

    def admits(self, caller: Caller) -> bool:
        """Tell whether a caller would still be admitted."""
        if caller.key is not None:
            return self._ring.holds(caller.key)
        keyless = self.keyless
        return keyless is not None and keyless.name == caller.environment.name

    def is_key(self, text: str) -> bool:
        """Tell whether a text is a key that counts now."""
        return self._ring.find(text) is not None

    def check_page(self, headers: HTTPHeaders, caller: Caller | None, scope: Scope | None = None) -> None:
        """Refuse foreign pages and hosts; see `Access.check_page`."""
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
        """Tell whether a page may read a reply."""
        origin, host = headers.get("Origin"), headers.get("Host", "")
        if origin is None or not (self._bears_key(caller) or self._hosts.accepts(host)):
            return False
        return self._allows_page(origin, host, caller)

    def names_origin(self, origin: str, caller: Caller | None) -> bool:
        """Tell whether an allowed origin is one that was configured."""
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


def standard_credentials(headers: HTTPHeaders, query: str) -> Credentials:
    """Find keys where every request may have them.

    ``Authorization: Bearer KEY``, the user name of ``Authorization: Basic``, ``X-Api-Key``, and the query's
    parameter ``api_key``, for WebSockets and pixels.
    """
    keys: set[str] = set()
    if "Authorization" in headers:
        keys.add(_from_authorization(headers["Authorization"]))
    if "X-Api-Key" in headers:
        keys.add(headers["X-Api-Key"].strip())
    if KEY_PARAMETER in query:
        pairs = parse_qsl(query, errors="replace")
        keys.update(value.strip() for name, value in pairs if name == KEY_PARAMETER)
    keys.discard("")
    return Credentials(frozenset(keys)) if keys else _NOBODY


def _from_authorization(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    match scheme.lower():
        case "bearer":
            return rest.strip()
        case "basic":
            try:
                return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[0]
            except ValueError:  # outside ASCII, no base64, or no UTF-8 in it
                return ""
        case _:
            return ""
