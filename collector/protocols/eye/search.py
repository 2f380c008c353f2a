"""The Eye's ``GET /api/event/``: filters and paging in, a page of events out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from collector.protocols.eye import timestamps
from collector.protocols.shared.dialect import RequestContext, Search
from cube import json_text
from cube.errors import InvalidQuery
from cube.expression.nodes import Comparison, EventExpression, Field
from cube.model import instant
from cube.model.span import Span
from cube.store.find import Found
from cube.web import KEY_PARAMETER, Parameter, Reply, Request

TYPE: Final = "eye"
DEFAULT_LIMIT: Final = 100
BAD_TIME: Final = "Enter a valid date/time."

_EXACT = ("session_id", "category", "name")
_LOWEST = ("timestamp_after", "timestamp_start")
_HIGHEST = ("timestamp_before", "timestamp_end")
_TIMESTAMP = Field(("timestamp",))

PARAMETERS: Final = (
    *(Parameter(name, "Events with exactly this text.") for name in _EXACT),
    *(Parameter(name, "Events at this time or later.") for name in _LOWEST),
    *(Parameter(name, "Events at this time or earlier.") for name in _HIGHEST),
    Parameter("limit", "How many.", {"type": "integer", "default": DEFAULT_LIMIT}),
    Parameter("offset", "How many of the newest are passed over.", {"type": "integer", "default": 0}),
)


def search(request: Request, context: RequestContext) -> Search:
    """Say which page of which events a request asks for."""
    parameters = request.parameters()
    lowest = [moment for name in _LOWEST if (moment := _moment(parameters, name))]
    highest = [moment for name in _HIGHEST if (moment := _moment(parameters, name))]
    page = _Page(
        _base(request),
        parameters,
        _number(parameters, "limit") or DEFAULT_LIMIT,
        _number(parameters, "offset"),
    )
    return Search(
        EventExpression(TYPE, None, (*_exact(parameters), *_within(lowest, highest))),
        _span(lowest, highest),
        page.limit,
        page.offset,
        partial(_reply, page),
    )


def _exact(parameters: Mapping[str, str]) -> Iterator[Comparison]:
    for name in _EXACT:
        value = parameters.get(name, "").strip()
        if value:
            yield Comparison("eq", Field((name,)), value)


def _within(lowest: Sequence[datetime], highest: Sequence[datetime]) -> Iterator[Comparison]:
    """Compare to the microsecond: the span, by which the store finds, is one of milliseconds."""
    for moment in lowest:
        yield Comparison("ge", _TIMESTAMP, timestamps.stored(moment))
    for moment in highest:
        yield Comparison("le", _TIMESTAMP, timestamps.stored(moment))


def _span(lowest: Sequence[datetime], highest: Sequence[datetime]) -> Span:
    return Span(
        max(map(instant.from_datetime, lowest), default=instant.EARLIEST),
        min(map(instant.from_datetime, highest), default=instant.LATEST) + 1,
    )


def _moment(parameters: Mapping[str, str], name: str) -> datetime | None:
    text = parameters.get(name, "").strip()
    if not text:
        return None
    # A "+" in a query that nobody escaped has become a blank.
    for form in (text, f"{text} 00:00", "+".join(text.rsplit(" ", 1))):
        moment = timestamps.parse(form)
        if moment is not None:
            return moment
    raise InvalidQuery(BAD_TIME, field=name)


def _number(parameters: Mapping[str, str], name: str) -> int:
    """Read a number as the Eye does: what is not one, or is below 0, counts as 0."""
    text = parameters.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a page is: its address, and how far into the events."""

    base: str
    parameters: Mapping[str, str]
    limit: int
    offset: int

    def at(self, offset: int) -> str:
        """Return the address of the page at another offset; no answer has a key, so this has none."""
        parameters = {**self.parameters, "limit": str(self.limit), "offset": str(offset)}
        parameters.pop(KEY_PARAMETER, None)
        if offset <= 0:
            del parameters["offset"]
        return f"{self.base}?{urlencode(sorted(parameters.items()))}"


def _base(request: Request) -> str:
    """Return the path as an absolute address, in the words that the client asked with."""
    host = request.headers.get("Host")
    return f"{request.scheme}://{host}{request.path}" if host else request.path


def _reply(page: _Page, found: Sequence[Found], total: int) -> Reply:
    following = page.offset + len(found)
    return Reply.json(
        {
            "count": total,
            "next": page.at(following) if found and following < total else None,
            "previous": page.at(page.offset - page.limit) if page.offset > 0 else None,
            "results": [_shown(one) for one in found],
        }
    )


def _shown(found: Found) -> dict[str, Any]:
    data = found.data if isinstance(found.data, dict) else {}  # others may write events of this type
    original = data.get("original")
    return {
        "session_id": data.get("session_id"),
        "timestamp": timestamps.shown(str(data.get("timestamp", instant.format(found.time)))),
        "category": data.get("category"),
        "name": data.get("name"),
        "data": json_text.decode(original) if isinstance(original, str) else data.get("data"),
    }
