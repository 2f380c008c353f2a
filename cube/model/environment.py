"""Environments and those who may use them, whose pages among them: values only.

An environment (dev, stage, prod …) is a database of its own, with its own API keys and CORS origins.
Without any configured there is one, `DEFAULT`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import Final

from cube.errors import AccessDenied, InvalidRequest, InvalidSettings, shown

DEFAULT: Final = "default"

KEY_PREFIX: Final = "cube_"
"""Begins every made key, so that one that has leaked can be found by a search."""

SECRET_LENGTH: Final = 16
SECRET_CHARACTERS: Final = 8
"""How long a key has to be, and how many of its characters have to differ: made at random, about 60 bits."""

MADE_KEY: Final = re.compile(KEY_PREFIX + "[A-Za-z0-9_-]{32}")

_SENDABLE = re.compile("[!-~]+")
_DEFAULT_PORTS: Final = {"http": "80", "ws": "80", "https": "443", "wss": "443"}
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*|\*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.*_-]+)(:(?P<port>[0-9]{1,5}|\*))?/?"
)


@dataclass(frozen=True, slots=True)
class OriginPattern:
    """Which origins: scheme, host and port, each of which may be ``*``.

    A host may also begin with ``*.``: any name below the rest. ``port`` None: the scheme's own.
    """

    scheme: str
    host: str
    port: str | None

    @classmethod
    def parse_all(cls, text: str) -> tuple[OriginPattern, ...]:
        """Read one pattern, or several with commas between them, as Datacoral's documentation has them.

        Raises `InvalidSettings`.
        """
        return tuple(cls._parse(part.strip()) for part in text.split(","))

    @classmethod
    def _parse(cls, text: str) -> OriginPattern:
        found = _ORIGIN.fullmatch(text.lower())
        host = found["host"] if found else ""
        if found is None or "*" in (host[2:] if host.startswith("*.") else host.removeprefix("*")):
            raise InvalidSettings(
                f"Got the origin {shown(text)}; accepted are scheme://host and scheme://host:port, each part"
                " of which may be *, and hosts such as *.example.com."
            )
        return cls(found["scheme"], host, found["port"])

    def matches(self, origin: str) -> bool:
        """Tell whether an ``Origin`` header's text is one of those."""
        found = _ORIGIN.fullmatch(origin.lower())
        if found is None or "*" in origin:
            return False
        own_port = _DEFAULT_PORTS.get(found["scheme"])
        return (
            self.scheme in ("*", found["scheme"])
            and matches_host(self.host, found["host"])
            and self.port_of(found["scheme"]) in ("*", found["port"] or own_port)
        )

    def port_of(self, scheme: str) -> str | None:
        """Return the port that an origin of a scheme must have; "*" is any."""
        return _DEFAULT_PORTS.get(scheme) if self.port is None else self.port


def matches_host(pattern: str, host: str) -> bool:
    """Tell whether a host is the one of a pattern: any of ``*``, any below the rest of ``*.example.com``."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return pattern in ("*", host)


class Scope(StrEnum):
    """What a key allows."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"


USUAL_SCOPES: Final = frozenset({Scope.READ, Scope.WRITE})
"""What a key allows of which nothing is said."""


@dataclass(frozen=True, slots=True)
class Ages:
    """How old events may be on arrival, how far ahead, and how long events and metrics are kept.

    0: without a bound; None: as the daemon's settings say.
    """

    past_days: float | None = None
    future_minutes: float | None = None
    event_days: float | None = None
    metric_days: float | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment.

    ``origins``: whose pages may call; none given: any that has a key may. ``open``: takes
    requests without a key, and datagrams, which cannot carry one.
    """

    name: str
    database: str
    origins: tuple[OriginPattern, ...] = ()
    open: bool = False
    ages: Ages = Ages()

    def allows_origin(self, origin: str) -> bool:
        """Tell whether pages of an origin may call with a key; see `cube.web.access.Authenticator`."""
        return not self.origins or any(pattern.matches(origin) for pattern in self.origins)


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret.

    ``id``: names it in lists and logs. ``digest``: of the secret, see `digest`. ``types``: those it is
    for; None is all. ``filter``: filters of the expression language (``eq(customer, "acme")``, joined by
    dots) that are added to every expression that its holder evaluates; "" adds nothing. ``weak``: its secret
    is known to be one that could be guessed.
    """

    id: str
    digest: bytes
    environment: str
    scopes: frozenset[Scope] = USUAL_SCOPES
    types: frozenset[str] | None = None
    filter: str = ""
    weak: bool = field(default=False, compare=False)

    @property
    def restriction_digest(self) -> str:
        """A short text that keys have in common which show the same; "" of those that show all."""
        if self.types is None and not self.filter:
            return ""
        types = None if self.types is None else sorted(self.types)
        return hashlib.sha256(repr((types, self.filter)).encode()).hexdigest()[:16]

    def fits(self, secret_digest: bytes) -> bool:
        """Tell whether a secret's digest is this key's, in constant time."""
        return hmac.compare_digest(self.digest, secret_digest)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says of itself: every key and environment in it, wherever they stood."""

    keys: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()

    def __or__(self, other: Credentials) -> Credentials:
        return Credentials(self.keys | other.keys, self.environments | other.environments)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, and where it may work; ``key`` None: nobody in particular."""

    environment: Environment
    key: Key | None = field(default=None)

    @property
    def key_id(self) -> str:
        """The id of its key; empty without one."""
        return "" if self.key is None else self.key.id

    @property
    def who(self) -> str:
        """How the log, and what is kept of who did something, call it."""
        return "somebody without a key" if self.key is None else f"the key {self.key.id}"

    def check_type(self, type: str) -> None:
        """Raise `AccessDenied` where the caller's key is not for a type."""
        types = None if self.key is None else self.key.types
        if types is not None and type not in types:
            error = AccessDenied(
                f"Got the type {type}; the key accepts {', '.join(sorted(types)) or 'none'}."
            )
            error.type = type
            raise error


def make_key() -> str:
    """Make a key's secret: 192 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(24)


def is_weak(secret: str) -> bool:
    """Tell whether a secret could be guessed: it is short, of few characters, a run or a repetition."""
    distinct = set(secret)
    steps = {ord(after) - ord(before) for before, after in pairwise(secret)}
    return (
        len(secret) < SECRET_LENGTH or len(distinct) < SECRET_CHARACTERS or len(steps) < SECRET_CHARACTERS - 2
    )


def refuse_bad_secret(secret: str) -> None:
    """Raise `InvalidRequest` for a secret that could be guessed, or that a header could not carry.

    The message does not show it.
    """
    if is_weak(secret) or not _SENDABLE.fullmatch(secret):
        raise InvalidRequest(
            f"Got a key of {len(secret)} characters that could be guessed, or that a header cannot carry;"
            f" accepted are {SECRET_LENGTH} or more of ASCII without blanks, {SECRET_CHARACTERS} of them"
            " different, in no simple order."
        )


def digest(secret: str) -> bytes:
    """Return what is kept of a key's secret: SHA-256, which is enough for secrets made at random."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
