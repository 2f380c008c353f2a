"""InfluxDB's HTTP: writes of releases 1, 2 and 3, and what their clients ask before they write.

Source: the API references of InfluxDB 1.8, 2 and 3, and what the clients that are named in
``docs/dialects/influx.md`` make of the answers. Queries are not answered; Cube's evaluator answers its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, TypeAlias

from collector.protocols.influx.line import NANOSECONDS, Line, SeriesPoint, checked_precision, lines, time_of
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
from collector.protocols.shared.values import fields_of, hashed
from cube.errors import CubeError, InvalidRequest, Overloaded, Unavailable
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from cube.web import FORM, Reply, Request, error_reply, media_type

WRITE_1: Final = "/write"
WRITE_2: Final = "/api/v2/write"
WRITE_3: Final = "/api/v3/write_lp"

_VERSION: Final = (("X-Influxdb-Version", "1.8-cube"), ("X-Influxdb-Build", "Cube"))
_CREATE = re.compile(r"\s*create\s+(database|retention\s+policy)\b.*", re.IGNORECASE | re.DOTALL)
_SHOW = re.compile(r"\s*show\s+databases\s*;?\s*", re.IGNORECASE)
_JAVASCRIPT: Final = "influxdb-client-js"  # takes Retry-After for milliseconds
_CODES: Final = {400: "invalid", 401: "unauthorized", 403: "forbidden", 404: "not found"} | {
    413: "request too large",
    503: "unavailable",
}
_PARTIAL: Final = "partial write of line protocol occurred"

Told: TypeAlias = Callable[[Sequence[Line], Mapping[int, str]], Any]


@dataclass(frozen=True, slots=True)
class PointReading:
    """How lines become events. ``place``: the database or bucket that they were sent to."""

    precision: str
    place: str

    def draft(self, line: Line) -> Draft:
        """Make the event of a line. Raises `InvalidRequest`."""
        point = line.point
        if point is None:
            raise InvalidRequest(line.wrong)
        time = ABSENT if point.timestamp is None else time_of(point.timestamp, self.precision)
        return Draft(
            point.measurement,
            time=time,
            id=ABSENT if point.timestamp is None else self._id(point, point.timestamp),
            data=_data(point.tags, point.fields),
            source=line.text,
        )

    def _id(self, point: SeriesPoint, timestamp: int) -> str:
        """Return the id of a point: as in InfluxDB, one of the same series, time and fields replaces it."""
        time = timestamp * NANOSECONDS.get(self.precision, 1)
        return hashed([self.place, point.measurement, point.tags, str(time), sorted(point.fields)])


def write(request: Request, _: RequestContext, *, told: Told) -> Translation:
    """Read lines; those that are none are told, and cost no other."""
    query = request.parameters()
    place = query.get("db") or query.get("bucket") or ""
    reading = PointReading(checked_precision(query.get("precision", "")), place)
    found = list(islice(lines(_text(request.body)), MAX_ITEMS + 1))
    check_count(len(found))
    if query.get("accept_partial") == "false" and any(line.point is None for line in found):
        wrong = next(line for line in found if line.point is None)
        raise InvalidRequest(f"The line {wrong.number} cannot be read: {wrong.wrong}")
    return translate_each(found, reading.draft, partial(_answer, found, told), payload=lambda one: one.text)


def query(request: Request, _: RequestContext) -> Translation:
    """Answer that a database is there, whichever is to be created or was named; nothing else is answered."""
    given = dict(request.parameters())
    if media_type(request) == FORM:
        given |= fields_of(request.body)
    if _SHOW.fullmatch(given.get("q", "")):
        names = [[given["db"]]] if given.get("db") else []
        series = {"name": "databases", "columns": ["name"], "values": names}
        return Translation((), lambda _: _json({"results": [{"statement_id": 0, "series": [series]}]}))
    if not _CREATE.fullmatch(given.get("q", "")):
        error = InvalidRequest(
            "Got a query of InfluxDB's; accepted are CREATE DATABASE and SHOW DATABASES alone, for what was"
            " written is asked for at Cube's evaluator."
        )
        return Translation((), lambda _: refuse(error, request))  # no event is lost by it
    return Translation((), lambda _: _json({"results": [{"statement_id": 0}]}))


def ping(_: Request, __: RequestContext) -> Translation:
    """Answer that the collector is there."""
    return Translation((), lambda _: Reply(b"", 204, headers=_VERSION))


def health(_: Request, __: RequestContext) -> Translation:
    """Answer that the collector is well."""
    return Translation((), lambda _: _json({"name": "influxdb", "status": "pass", "message": "Cube"}))


def credentials(request: Request) -> Credentials:
    """Find the key of ``Authorization: Token KEY``, or the password of a query (Basic is found by all)."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    keys = {given.strip()} if scheme.lower() == "token" else set()
    return Credentials(keys=frozenset({*keys, request.parameters().get("p", "")} - {""}))


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in the form of the release whose path was asked; all three look at its status."""
    status = error_reply(error, request.id).status
    if request.path.startswith("/api/v2"):
        body: Any = {"code": _CODES.get(status, "internal error"), "message": error.message}
    else:
        body = {"error": error.message}
    if isinstance(error, Overloaded | Unavailable) and request.headers.get("User-Agent", "").startswith(
        _JAVASCRIPT
    ):
        milliseconds = 1000 * error.retry_after_seconds
        return _json(body, status, ("Retry-After", str(milliseconds)))
    return _json(body, status)


def dialect() -> Dialect:
    """Return the dialect."""
    writes = ((WRITE_1, _told_by_1), (WRITE_2, _told_by_2), (WRITE_3, _told_by_3))
    endpoints = (
        *(
            Endpoint((path,), {"POST": partial(write, told=told)}, "Store points.", content_type="text/plain")
            for path, told in writes
        ),
        Endpoint(("/query",), {"POST": query, "GET": query}, "Answer that a database is there."),
        Endpoint(("/ping",), {"GET": ping}, "Answer that the collector is there."),
        Endpoint(("/health",), {"GET": health}, "Answer that the collector is well."),
    )
    return Dialect(
        "influx", endpoints, credentials, refuse, frozenset(("p",)), spooled=204, password_is_key=True
    )


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _data(tags: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Put tags and fields side by side; a tag with the name of a field gets ``_1``, as in InfluxQL."""
    data = dict(fields)
    for name, value in tags.items():
        while name in data:
            name += "_1"
        data[name] = value
    return data


def _answer(found: Sequence[Line], told: Told, rejections: Sequence[Rejection]) -> Reply:
    if not rejections:
        return Reply(b"", 204, headers=_VERSION)
    reasons = {id(rejection.payload): rejection.reason for rejection in rejections}
    wrong = [line for line in found if id(line.text) in reasons]
    return _json(told(wrong, {line.number: reasons[id(line.text)] for line in wrong}), 400)


def _told_by_1(wrong: Sequence[Line], reasons: Mapping[int, str]) -> Any:
    return {"error": _sentence(wrong, reasons)}


def _told_by_2(wrong: Sequence[Line], reasons: Mapping[int, str]) -> Any:
    return {"code": _CODES[400], "message": _sentence(wrong, reasons)}


def _told_by_3(wrong: Sequence[Line], reasons: Mapping[int, str]) -> Any:
    data = [
        {
            "error_message": reasons[line.number],
            "line_number": line.number,
            "original_line": line.text[:_SHOWN],
        }
        for line in wrong[:_TOLD]
    ]
    return {"error": _PARTIAL, "data": data}


_TOLD = 100
_SHOWN = 200


def _sentence(wrong: Sequence[Line], reasons: Mapping[int, str]) -> str:
    first = wrong[0]
    text = json.dumps(first.text[:_SHOWN], ensure_ascii=False)[1:-1]
    return f"partial write: unable to parse '{text}': {reasons[first.number]} dropped={len(wrong)}"


def _json(value: Any, status: int = 200, *headers: tuple[str, str]) -> Reply:
    made = Reply.json(value, status)
    return Reply(made.body, status, made.content_type, (*_VERSION, *headers))
