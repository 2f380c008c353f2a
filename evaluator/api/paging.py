"""What the headers of an answer tell of where it ended, whether it was cut, and how to read on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import urlencode

from cube.expression.nodes import Grouping, SeriesCall
from cube.expression.traversal import walk
from cube.model.place import EventPlace, cursor
from cube.store.page import EventPage
from cube.web import KEY_PARAMETER, Request
from evaluator.query.queries import EventQuery, MetricQuery

Headers: TypeAlias = "tuple[tuple[str, str], ...]"

TRUNCATED: Final = "Cube-Truncated"
"""Why an answer was cut: "limit", "time" or "bytes"."""

CURSOR: Final = "Cube-Cursor"
"""Where a page of events ended: what ``after`` or ``before`` takes to go on."""

MOST_LINK = 2_000
"""A link that is longer is left out: proxies refuse long heads."""


def event_headers(request: Request, query: EventQuery, page: EventPage) -> Headers:
    """Return the headers of a page of events; none where it has passed nothing."""
    if page.place is None:
        return ()
    here, span = _cursor(query, page, page.place), page.walk.span
    if page.cut is None:
        return ((CURSOR, here),)
    direction = "after" if query.upwards else "before"
    rest: dict[str, str | int] = {"start": span.start, "stop": span.stop, direction: here}
    return ((CURSOR, here), *_cut_headers(request, page.cut, rest))


def told_of(query: EventQuery, page: EventPage) -> dict[str, str]:
    """Return the same as what a WebSocket's last message tells of a page."""
    told = {} if page.place is None else {"cursor": _cursor(query, page, page.place)}
    return told if page.cut is None else {**told, "truncated": page.cut}


def _cursor(query: EventQuery, page: EventPage, place: EventPlace) -> str:
    """Return where a page ended; where there is more, what asks for that means the same times."""
    return cursor(place, None if page.cut is None else query.asked_at)


def metric_headers(request: Request, query: MetricQuery) -> Headers:
    """Return the headers of a metric's answer: of all of its buckets there are none.

    No link leads on where values are those of the span that was asked for: of another they are others.
    """
    if query.start is None or not query.is_cut:
        return ()
    if any(map(_is_of_its_span, walk(query.expression))):
        return ((TRUNCATED, "limit"),)
    return _cut_headers(request, "limit", {"start": query.start, "stop": query.span.start})


def _is_of_its_span(node: object) -> bool:
    """Tell whether a part of an expression has other values where its span begins elsewhere."""
    match node:
        case Grouping():
            return node.ranking is not None
        case SeriesCall():
            return node.function == "cumulative"
        case _:
            return False


def _cut_headers(request: Request, reason: str, rest: Mapping[str, str | int]) -> Headers:
    """Say why an answer was cut, and what asks for the rest; the key is left for the client to add."""
    asked = {**request.parameters(), **rest}
    asked.pop(KEY_PARAMETER, None)
    link = f'<?{urlencode(asked)}>; rel="next"'
    return ((TRUNCATED, reason), *((("Link", link),) if len(link) <= MOST_LINK else ()))
