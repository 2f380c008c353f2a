"""Access as the tests need it."""

from __future__ import annotations

from cube.model.environment import DEFAULT, Environment, OriginPattern
from cube.web import Authenticator, KeyRing


def open_authenticator(*origins: str) -> Authenticator:
    """Access for everybody to one environment, whose pages are of these origins."""
    patterns = tuple(pattern for origin in origins for pattern in OriginPattern.parse_all(origin))
    return Authenticator((Environment(DEFAULT, "test", patterns),), KeyRing())
