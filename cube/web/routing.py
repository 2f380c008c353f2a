"""Which route answers a path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from cube.errors import InvalidSettings
from cube.web.route import Route

_CAPTURE = re.compile(r"\{([a-z_]+)\}")
_SLASHES = re.compile("/{2,}")
_NOTHING: Mapping[str, str] = {}


class RouteTable:
    """Routes by path; those without braces come first, whatever their order.

    ``{name}`` matches one part of a path, at least one character and no slash. A slash too many or too
    few, as addresses put together by hand have them (``//a``, ``/a/``), reaches the same route; nothing
    is redirected. Raises `InvalidSettings` where two routes have one path: some paths come from the
    settings.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Route] = {}
        self._plain: dict[str, Route] = {}
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        paths: set[str] = set()
        for route in routes:
            if route.path in paths:
                raise InvalidSettings(f"Got the path {route.path} for two things; accepted is one.")
            paths.add(route.path)
            if captures(route.path):
                self._patterns.append((_pattern(_plain(route.path)), route))
            else:
                self._exact[route.path] = route
                self._plain.setdefault(_plain(route.path), route)

    def find(self, path: str) -> tuple[Route | None, Mapping[str, str]]:
        """Return the route of a path, and the parts that its braces matched, percent-decoded."""
        route = self._exact.get(path)
        if route is not None:
            return route, _NOTHING
        path = _plain(path)
        route = self._plain.get(path)
        if route is not None:
            return route, _NOTHING
        for pattern, route in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None:
                return route, {name: unquote(text) for name, text in found.groupdict().items()}
        return None, _NOTHING


def captures(path: str) -> list[str]:
    """Return the names in braces of a route's path, in order."""
    return _CAPTURE.findall(path)


def _plain(path: str) -> str:
    """Return a path with single slashes, and none at its end."""
    return _SLASHES.sub("/", path).rstrip("/") or "/"


def _pattern(path: str) -> re.Pattern[str]:
    parts = _CAPTURE.split(path)  # text and names in turn
    return re.compile(
        "".join(f"(?P<{part}>[^/]+)" if place % 2 else re.escape(part) for place, part in enumerate(parts))
    )
