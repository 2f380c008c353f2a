"""Tracardi: the events of customers, sent to ``/track`` by its trackers and to ``/collect`` by webhooks.

Source: Tracardi's API (commit 13c33cf), and its clients as they were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from collector.protocols.shared.dialect import Dialect, Endpoint, RequestContext, Translation
from collector.protocols.tracardi.events import SECRETS, translated
from collector.protocols.tracardi.payload import InvalidPayload, TrackedEvent, TrackPayload
from cube import json_text
from cube.errors import AccessDenied, CubeError, InvalidRequest, Unauthenticated
from cube.model.environment import Credentials
from cube.web import FORM, MULTIPART, Reply, Request, error_reply, form, media_type

INVALID_SOURCE: Final = "Access denied. Invalid source."


def _track(request: Request, context: RequestContext) -> Translation:
    try:  # whatever the content type: the Python client sends none
        body = json_text.decode_leniently(request.body)
    except InvalidRequest as error:
        raise InvalidPayload(error.message, ()) from None
    payload = TrackPayload.parse(body)
    asked = request.parameters().get("profile_less")
    if asked is not None:
        payload = replace(payload, profile_less=asked.lower() in ("true", "1", "yes", "on"))
    return _of_source(payload, request, context)


def _of_source(payload: TrackPayload, request: Request, context: RequestContext) -> Translation:
    if payload.source["id"].startswith("@"):  # Tracardi's own
        raise Unauthenticated(INVALID_SOURCE)
    return translated(payload, request, context)


def _nothing(request: Request, context: RequestContext) -> Translation:
    return Translation((), lambda _: Reply(b"null"))


def _collect(request: Request, context: RequestContext) -> Translation:
    """Read a webhook: what it sends is the properties of one event, of a session or of none."""
    if request.method == "HEAD":  # answered like GET, and meant to change nothing
        return _nothing(request, context)
    properties = _of_query(request) if request.method == "GET" else _of_body(request)
    captures = request.captures
    session = captures.get("session_id", "").strip()
    raw = {"type": captures["event_type"], "properties": properties}
    payload = TrackPayload(
        {"id": captures["source_id"].strip()},
        session={"id": session} if session else None,
        events=(TrackedEvent.parse(raw, 0),),
        profile_less=True,
    )
    return _of_source(payload, request, context)


def _of_query(request: Request) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    for name, value in request.pairs():
        found.setdefault(name, []).append(value)
    return {
        name: values[0] if len(values) == 1 else values
        for name, values in found.items()
        if name.lower() not in SECRETS
    }


def _of_body(request: Request) -> Mapping[str, Any]:
    """Return a body as properties: a JSON object or a form is them, anything else is their ``body``."""
    if not request.body:
        return {}
    if media_type(request) in (FORM, MULTIPART):
        return form(request)
    try:
        value = json_text.decode_leniently(request.body)
    except InvalidRequest:
        value = request.body.decode(errors="replace")
    return value if isinstance(value, dict) else {"body": value}


def _credentials(request: Request) -> Credentials:
    """Find the source, which is the key, and the environment that ``x-context`` names."""
    name = request.headers.get("X-Context", "").strip()
    key = request.captures.get("source_id") or _source(request)
    return Credentials(frozenset({key.strip()} - {""}), frozenset({name} - {""}))


def _source(request: Request) -> str:
    with suppress(InvalidRequest):  # which the translation tells
        match json_text.decode_leniently(request.body):
            case {"source": {"id": str() | int() as id}}:
                return str(id)
    return ""


def _refuse(error: CubeError, request: Request) -> Reply:
    native = error_reply(error, request.id)
    detail: Any = error.message
    match error:
        case InvalidPayload():
            native, detail = replace(native, status=422), [error.problem]
        case Unauthenticated():
            detail = INVALID_SOURCE
        case AccessDenied():
            native = replace(native, status=401)
    return replace(native, body=json_text.encode({"detail": detail}))


TRACARDI = Dialect(
    "tracardi",
    (
        Endpoint(
            ("/track",),
            {"POST": _track, "PUT": _nothing},
            "A tracker's payload: source, session, profile and events.",
        ),
        Endpoint(
            (
                "/collect/{event_type}/{source_id}",
                "/collect/{event_type}/{source_id}/{session_id}",
            ),
            {"POST": _collect, "GET": _collect},
            "An event whose properties are the body or the query's parameters.",
        ),
    ),
    credentials=_credentials,
    refuse=_refuse,
    secrets=SECRETS,
    keys_in_body=True,
)
