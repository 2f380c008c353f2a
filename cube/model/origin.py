"""Web origins, and patterns of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cube.errors import InvalidSettings, shown

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
            and self._matches_host(found["host"])
            and self.port_of(found["scheme"]) in ("*", found["port"] or own_port)
        )

    def port_of(self, scheme: str) -> str | None:
        """Return the port that an origin of a scheme must have; "*" is any."""
        return _DEFAULT_PORTS.get(scheme) if self.port is None else self.port

    def _matches_host(self, host: str) -> bool:
        if self.host == "*":
            return True
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) > len(self.host) - 1
        return host == self.host
