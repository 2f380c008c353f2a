"""Access as the tests need it."""

from __future__ import annotations

from typing import Any

from cube.model.environment import DEFAULT, Environment, Key, OriginPattern, Scope, digest
from cube.web import Authenticator, KeyRing


def open_authenticator(*origins: str) -> Authenticator:
    """Access for everybody to one environment, whose pages are of these origins."""
    patterns = tuple(pattern for origin in origins for pattern in OriginPattern.parse_all(origin))
    return Authenticator((Environment(DEFAULT, "test", patterns),), KeyRing())


def key(name: str, *scopes: Scope, **bounds: Any) -> Key:
    """A key whose secret is its name."""
    return Key(name, digest(name), DEFAULT, frozenset(scopes), **bounds)


def with_keys(*keys: Key) -> Authenticator:
    """Access with some keys to one environment."""
    return Authenticator((Environment(DEFAULT, "test"),), KeyRing(keys))
