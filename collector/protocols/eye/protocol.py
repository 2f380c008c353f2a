"""The Eye: events of sessions, sent and asked for at ``/api/event/``.

Source: the README of the-eye (commit 2f1e5b9), and what its server answered when it was run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from collector.protocols.eye.search import BAD_TIME, PARAMETERS, TYPE, parsed, search, written
from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    UnsupportedMediaType,
    translate_each,
)
from collector.protocols.shared.values import hashed
from cube import json_text
from cube.errors import CubeError, InvalidEvent, InvalidQuery, InvalidRequest, described
from cube.model import instant
from cube.web import (
    FORM,
    JSON_TYPE,
    MULTIPART,
    MethodNotAllowed,
    Reply,
    Request,
    error_reply,
    form,
    media_type,
)

MAX_TEXT_LENGTH = 150

_TEXTS = ("session_id", "category", "name")
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
    return translate_each((_sent(request),), _draft, _reply)


def _reply(rejections: Sequence[Rejection]) -> Reply:
    return Reply.json({"success": not rejections}, 201)


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
