"""Paths that two dialects have: which of them a request is for is told by its head."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

from cube.errors import CubeError
from cube.web import Operation, Reply, Request, Route
from cube.web.error_replies import error_reply

Claims: TypeAlias = Callable[[Request], bool]


def with_shared_paths(routes: Iterable[tuple[Route, Claims | None]]) -> list[Route]:
    """Return one route for each path; of two, who ``claims`` requests gets those, the other all else.

    A path that two have without a claim stays double, for the table of routes to refuse, unless the first is
    Cube's own and they have no method in common.
    """
    merged: dict[str, tuple[Route, Claims | None]] = {}
    doubles: list[Route] = []
    for route, claims in routes:
        other = merged.get(route.path)
        if other is None:
            merged[route.path] = (route, claims)
        elif claims is not None:
            merged[route.path] = (_merged(other[0], route, claims), None)
        elif other[1] is not None:
            merged[route.path] = (_merged(route, other[0], other[1]), None)
        elif not other[0].foreign and not other[0].operations.keys() & route.operations.keys():
            merged[route.path] = (
                replace(route, operations={**other[0].operations, **route.operations}),
                None,
            )
        else:
            doubles.append(route)
    return [*(route for route, _ in merged.values()), *doubles]


def _merged(rest: Route, claimed: Route, claims: Claims) -> Route:
    """Return a route that does as ``claimed`` with what it claims, as ``rest`` with all else."""
    operations = {**claimed.operations, **rest.operations}
    for method in claimed.operations.keys() & rest.operations.keys():
        operations[method] = _either(rest.operations[method], claimed.operations[method], claims)

    def refuse(error: CubeError, request: Request) -> Reply:
        made = (claimed if claims(request) else rest).refuse
        return error_reply(error, request.id) if made is None else made(error, request)

    return replace(rest, operations=operations, refuse=refuse)


def _either(rest: Operation, claimed: Operation, claims: Claims) -> Operation:
    def chosen(request: Request) -> Operation:
        return claimed if claims(request) else rest

    async def answer(request: Request) -> Reply:
        return await chosen(request).answer(request)

    def admit(request: Request) -> None:
        asked = chosen(request).admit
        if asked is not None:
            asked(request)

    return replace(rest, answer=answer, admit=admit, summary=f"{rest.summary} {claimed.summary}")
