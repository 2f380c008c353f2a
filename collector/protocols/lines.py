"""JSON lines: any JSON objects as events, ``/1.0/lines/{type}``, for logs and whatever else is there already.

Source: what the senders named in ``docs/dialects/lines.md`` put on the wire. One that is wrong never refuses
the others: several of those senders repeat a refused request for ever, and hold back all that follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final

from collector.protocols.shared.dialect import (
    MAX_ITEMS,
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    check_count,
    translate_each,
)
from collector.protocols.shared.paths import at
from collector.protocols.shared.values import Occurrences, checked_type, fields_of, hashed
from cube.errors import InvalidRequest, described
from cube.json_lines import NotJson, values_of
from cube.model import instant
from cube.model.event import ABSENT, is_type
from cube.web import Parameter, Reply, Request, media_type

TIMES: Final = ("time", "timestamp", "@timestamp", "ts", "created", "ISODATE")
"""Where a record's time is looked for, in this order, where the request does not say."""

OTHERWISE: Final = "log"
"""The type of records without one."""

MOST_REASONS: Final = 10
"""So many different reasons why records were rejected are told."""

_FORM = "application/x-www-form-urlencoded"
_OURS = ("type", "time", "id", "api_key")  # parameters of the query that are no part of a record
_PARAMETERS = (
    Parameter("type", "The type of the events, where the path names none."),
    Parameter("time", "The field with the time, such as `ts` or `meta.created`."),
    Parameter("id", "The field with the id."),
)


@dataclass(frozen=True, slots=True)
class LineReading:
    """How records are read. ``type``, ``time``, ``id``: as the request says; None where it does not."""

    type: str | None
    time: str | None
    id: str | None
    seen: Occurrences | None

    def draft(self, record: Any) -> Draft:
        """Make the event of a record. Raises `InvalidRequest`."""
        if isinstance(record, NotJson):
            raise InvalidRequest(record.reason)
        if not isinstance(record, dict):
            raise InvalidRequest(f"Got {described(record)}; accepted is an object.")
        time, used = self._time(record)
        name, fixed = (self.type, True) if self.type is not None else _type_of(record)
        return Draft(
            name,
            time=time,
            id=self._id(record, time),
            data={key: value for key, value in record.items() if key != used},
            source=record,
            fixed=fixed,
        )

    def _time(self, record: Mapping[str, Any]) -> tuple[Any, str | None]:
        """Return the time, and the name of the record's property that is nothing but the time."""
        if self.time is not None:
            given = at(record, self.time)
            return instant.parse_any_unit(given), self.time if self.time in record else None
        for name in TIMES:
            with suppress(InvalidRequest):  # a property of that name that is no time, as a duration is
                return _plausible(record.get(name)), name
        return ABSENT, None

    def _id(self, record: Mapping[str, Any], time: Any) -> Any:
        if self.id is not None:
            return at(record, self.id)
        if self.seen is None or time is ABSENT:
            return ABSENT
        return self.seen.own(hashed(record))


def translate(request: Request, _: RequestContext, *, hashed_ids: bool) -> Translation:
    """Read ``POST`` and ``PUT``: values one after the other, an array, ``{"logs": […]}``, or a form."""
    query = request.parameters()
    if media_type(request) == _FORM and request.body.lstrip()[:1] not in (b"{", b"["):
        records: Iterable[Any] = (fields_of(request.body),)
    else:
        records = _unwrapped(values_of(request.body))
    return _translation(records, request, query, hashed_ids)


def shown(request: Request, _: RequestContext, *, hashed_ids: bool) -> Translation:
    """Read ``GET``: one record, the parameters of the query."""
    query = request.parameters()
    record = {name: value for name, value in query.items() if name not in _OURS or name == "time"}
    named = {name: query[name] for name in ("type", "id") if name in query}
    return _translation((record,), request, named, hashed_ids)


def dialect(*, hashed_ids: bool) -> Dialect:
    """Return the dialect; ``hashed_ids``: whether a record that has a time is stored once."""
    read = partial(translate, hashed_ids=hashed_ids)
    endpoint = Endpoint(
        ("/1.0/lines", "/1.0/lines/{type}"),
        {"POST": read, "PUT": read, "GET": partial(shown, hashed_ids=hashed_ids)},
        "Store JSON objects as events.",
        content_type="application/x-ndjson",
        parameters=_PARAMETERS,
        socket=read,
    )
    return Dialect("lines", (endpoint,))


def _translation(
    records: Iterable[Any], request: Request, query: Mapping[str, str], hashed_ids: bool
) -> Translation:
    named = request.captures.get("type") or query.get("type")
    type = None if named is None else checked_type(named)
    items = list(islice(records, MAX_ITEMS + 1))
    check_count(len(items))
    reading = LineReading(type, query.get("time"), query.get("id"), Occurrences() if hashed_ids else None)
    return translate_each(items, reading.draft, partial(_stored, len(items)), payload=_payload)


def _stored(count: int, rejections: Sequence[Rejection]) -> Reply:
    told: dict[str, Any] = {"stored": count - len(rejections), "rejected": len(rejections)}
    if rejections:
        told["reasons"] = [*islice(dict.fromkeys(each.reason for each in rejections), MOST_REASONS)]
    return Reply.json(told)


def _payload(record: Any) -> Any:
    return record.text if isinstance(record, NotJson) else record


def _unwrapped(values: Iterator[Any]) -> Iterator[Any]:
    """Yield records: those of an array in a line, and of pino-http-send's object around them, each."""
    for value in values:
        inner = value.get("logs") if isinstance(value, dict) and len(value) == 1 else value
        if isinstance(inner, list):
            yield from inner
        else:
            yield value


def _type_of(record: Mapping[str, Any]) -> tuple[str, bool]:
    named = record.get("type")
    return (named, False) if isinstance(named, str) and is_type(named) else (OTHERWISE, True)


def _plausible(given: Any) -> int:
    """Read a time that nobody has named: from 1973 on, for a property may be a duration as well."""
    time = instant.parse_any_unit(given)
    if time < instant.EARLIEST_PLAUSIBLE:
        raise InvalidRequest("before 1973")
    return time
