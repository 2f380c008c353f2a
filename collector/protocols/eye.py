"""The Eye: events of sessions, sent and asked for at ``/api/event/``.

Source: the README of the-eye (commit 2f1e5b9), and what its server answered when it was run. Its timestamps
go to the microsecond, where Cube's own times end at the millisecond.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    RequestContext,
    Search,
    Translation,
    UnsupportedMediaType,
    translate_each,
)
from collector.protocols.shared.values import hashed
from cube import json_text
from cube.errors import CubeError, InvalidEvent, InvalidQuery, InvalidRequest, described
from cube.expression.nodes import Comparison, EventExpression, Field
from cube.model import instant
from cube.model.tier import Span
from cube.store.find import Found
from cube.web import (
    FORM,
    JSON_TYPE,
    KEY_PARAMETER,
    MULTIPART,
    MethodNotAllowed,
    Parameter,
    Reply,
    Request,
    error_reply,
    form,
    media_type,
)

TYPE: Final = "eye"
DEFAULT_LIMIT: Final = 100
MAX_TEXT_LENGTH: Final = 150
BAD_TIME: Final = "Enter a valid date/time."

_TEXTS = ("session_id", "category", "name")
_LOWEST = ("timestamp_after", "timestamp_start")
_HIGHEST = ("timestamp_before", "timestamp_end")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[T ]([0-9]{1,2}):([0-9]{1,2})"
    r"(?::([0-9]{1,2})(?:[.,]([0-9]{1,6})[0-9]*)?)?"
    r"(?:(Z)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)
"""As Django's ``parse_datetime`` reads them."""

PARAMETERS: Final = (
    *(Parameter(name, "Events with exactly this text.") for name in _TEXTS),
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
    limit = _number(parameters, "limit") or DEFAULT_LIMIT
    page = _PageAddress(request, parameters, limit, _number(parameters, "offset"))
    filters = [
        *(("eq", name, value) for name in _TEXTS if (value := parameters.get(name, "").strip())),
        # To the microsecond: the span, by which the store finds, is one of milliseconds.
        *(("ge", "timestamp", written(moment)) for moment in lowest),
        *(("le", "timestamp", written(moment)) for moment in highest),
    ]
    span = Span(
        max(map(instant.from_datetime, lowest), default=instant.EARLIEST),
        min(map(instant.from_datetime, highest), default=instant.LATEST) + 1,
    )
    comparisons = (Comparison(operator, Field((name,)), value) for operator, name, value in filters)
    expression = EventExpression(TYPE, None, tuple(comparisons))
    return Search(expression, span, limit, page.offset, partial(_page, page))


def _moment(parameters: Mapping[str, str], name: str) -> datetime | None:
    text = parameters.get(name, "").strip()
    if not text:
        return None
    # A "+" in a query that nobody escaped has become a blank.
    for variant in (text, f"{text} 00:00", "+".join(text.rsplit(" ", 1))):
        if moment := parsed(variant):
            return moment
    raise InvalidQuery(BAD_TIME, field=name)


def _number(parameters: Mapping[str, str], name: str) -> int:
    """Read a number as the Eye does: what is not one, or is below 0, counts as 0."""
    text = parameters.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


@dataclass(frozen=True, slots=True)
class _PageAddress:
    """Where a page is: what was asked for, and how far into the events."""

    request: Request
    parameters: Mapping[str, str]
    limit: int
    offset: int

    def at(self, offset: int) -> str:
        """Return the address of the page at another offset; no answer has a key, so this has none."""
        parameters = {**self.parameters, "limit": str(self.limit), "offset": str(offset)}
        parameters.pop(KEY_PARAMETER, None)
        if offset <= 0:
            del parameters["offset"]
        host, path = self.request.headers.get("Host"), self.request.path
        base = f"{self.request.scheme}://{host}{path}" if host else path  # in the words that the client used
        return f"{base}?{urlencode(sorted(parameters.items()))}"


def _page(page: _PageAddress, found: Sequence[Found], total: int) -> Reply:
    following = page.offset + len(found)
    return Reply.json(
        {
            "count": total,
            "next": page.at(following) if found and following < total else None,
            "previous": page.at(page.offset - page.limit) if page.offset > 0 else None,
            "results": list(map(_result, found)),
        }
    )


def _result(found: Found) -> dict[str, Any]:
    data = found.data if isinstance(found.data, dict) else {}  # others may write events of this type
    original = data.get("original")
    return {
        "session_id": data.get("session_id"),
        "timestamp": str(data.get("timestamp", instant.format(found.time))).replace(".000000Z", "Z"),
        "category": data.get("category"),
        "name": data.get("name"),
        "data": json_text.decode(original) if isinstance(original, str) else data.get("data"),
    }


def parsed(text: str) -> datetime | None:
    """Read a timestamp (without a zone: UTC) as UTC; None where it is not a time in the years 1 to 9999.

    A leap second (``23:59:60``) is the last microsecond of its minute.
    """
    found = _TIMESTAMP.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    microsecond = int((fraction or "0").ljust(6, "0"))
    if (hour, minute, second) == ("23", "59", "60"):
        second, microsecond = "59", 999_999
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), microsecond, zone
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def written(moment: datetime) -> str:
    """Write ``2021-01-01T09:15:27.243860Z``: always as long, so that texts are ordered as their times."""
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S.%f}Z"


_FIELD = {"type": "string", "required": True, "read_only": False}
_METADATA = {
    "name": "Event",
    "description": "Events of sessions.",
    "renders": [JSON_TYPE],
    "parses": [JSON_TYPE, FORM, MULTIPART],
    "actions": {
        "POST": {
            **{
                name: {**_FIELD, "label": name.replace("_", " ").capitalize(), "max_length": MAX_TEXT_LENGTH}
                for name in _TEXTS
            },
            "timestamp": {**_FIELD, "type": "datetime", "label": "Timestamp"},
            "data": {**_FIELD, "type": "field", "label": "Data"},
        }
    },
}


def _take(request: Request, context: RequestContext) -> Translation:
    return translate_each(
        (_sent(request),), _draft, lambda rejections: Reply.json({"success": not rejections}, 201)
    )


def _sent(request: Request) -> Any:
    kind = media_type(request)
    if kind in (FORM, MULTIPART):
        sent: dict[str, Any] = dict(form(request))
        if "data" in sent:  # JSON as text
            try:
                sent["data"] = json_text.decode_leniently(sent["data"])
            except InvalidRequest as error:
                raise InvalidRequest(f"JSON parse error in data - {error.message}") from None
        return sent
    if kind not in (JSON_TYPE, ""):
        raise UnsupportedMediaType(f'Unsupported media type "{kind[:80]}" in request.')
    if not request.body.strip():
        return {}
    try:
        return json_text.decode_leniently(request.body)
    except InvalidRequest as error:
        raise InvalidRequest(f"JSON parse error - {error.message}") from None


def _draft(sent: Any) -> Draft:
    if not isinstance(sent, dict):
        raise InvalidEvent(
            f"Got {described(sent)} as an event; accepted is an object of {', '.join(_TEXTS)},"
            " timestamp and data."
        )
    data: dict[str, Any] = {name: _text(sent, name) for name in _TEXTS}
    moment = parsed(sent["timestamp"]) if isinstance(sent.get("timestamp"), str) else None
    if moment is None:
        raise InvalidEvent(
            f"Got the timestamp {described(sent.get('timestamp'))}; accepted is YYYY-MM-DD HH:MM:SS.ffffff,"
            " with a zone or in UTC.",
            field="timestamp",
        )
    if sent.get("data") is None:
        raise InvalidEvent("Got no data; accepted is any JSON but null.", field="data")
    data["timestamp"] = written(moment)
    # The protocol has no ids. This begins with the timestamp, so that events of one millisecond are ordered
    # by their microseconds.
    id = f"{data['timestamp']}-{hashed([data, sent['data']])}"
    data["data"] = sent["data"]
    return Draft(TYPE, instant.from_datetime(moment), id, data, source=sent, fixed=True)


def _text(sent: Mapping[str, Any], name: str) -> str:
    value = sent.get(name)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        text = value.strip() if isinstance(value, str) else described(value)
        if 1 <= len(text) <= MAX_TEXT_LENGTH and "\0" not in text:
            return text
    raise InvalidEvent(
        f"Got the {name} {described(value)}; accepted is text of 1 to {MAX_TEXT_LENGTH} characters.",
        field=name,
    )


def _hello(request: Request, context: RequestContext) -> Reply:
    return Reply(b"Hello from The Eye!", content_type="text/html; charset=utf-8")


def _refuse(error: CubeError, request: Request) -> Reply:
    native = error_reply(error, request.id)
    match error:
        case MethodNotAllowed():
            body: dict[str, Any] = {"detail": f'Method "{request.method[:20]}" not allowed.'}
        case UnsupportedMediaType():
            native, body = replace(native, status=415), {"detail": error.message}
        case InvalidQuery() if error.message == BAD_TIME:
            body = {"timestamp": [BAD_TIME]}
        case _:
            body = {"detail": error.message}
    return replace(native, body=json_text.encode(body))


EYE = Dialect(
    "eye",
    (
        Endpoint(
            ("/api/event/", "/api/event"),
            {"POST": _take},
            "An event of The Eye; GET answers with a page of them, newest first.",
            options=lambda _: Reply.json(_METADATA),
            reads={"GET": search},
            parameters=PARAMETERS,
        ),
        Endpoint(("/api/", "/api"), {}, "The Eye's greeting.", reads={"GET": _hello}),
    ),
    refuse=_refuse,
)
