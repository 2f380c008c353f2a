"""PostHog's capture API: ``/batch``, ``/capture`` and ``/e``, and what its libraries ask beside.

Source: PostHog's API documentation, and what the libraries that are named in ``docs/dialects/posthog.md`` put
on the wire. They drop what is answered by 400 or 401, so that a request is refused only where nothing of it
can be read; an event that is wrong costs only itself. There are no feature flags here, and no recordings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    check_count,
    translate_each,
)
from collector.protocols.shared.values import clocks, fields_of, unpacked
from cube.errors import AccessDenied, CubeError, InvalidRequest, described
from cube.json_text import decode_leniently
from cube.model import instant
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from cube.web import Reply, Request, error_reply

CAPTURE: Final = ("/capture", "/e", "/i/v0/e")
CAPTURE_V1: Final = "/i/v1/analytics/events"
FLAGS: Final = ("/flags", "/decide")

_KEYS: Final = ("api_key", "token")
_NO_FLAGS: Final = {"flags": {}, "featureFlags": {}, "errorsWhileComputingFlags": False}
_CONFIG: Final = {
    "supportedCompression": ["gzip", "gzip-js"],
    "hasFeatureFlags": False,
    "sessionRecording": False,
    "surveys": False,
    "heatmaps": False,
    "autocapture_opt_out": False,  # without it a page waits for ever before it captures clicks
    "elementsChainAsString": True,
}
_NOT_DATA: Final = frozenset((*_KEYS, "uuid", "timestamp", "offset", "type", "library", "library_version"))
_WRONG: Final = (  # PostHog's words for what is wrong
    (AccessDenied, "authentication_error", "invalid_api_key"),
    (InvalidRequest, "validation_error", "invalid_payload"),
    (CubeError, "server_error", "error"),
)


@dataclass(frozen=True, slots=True)
class Sending:
    """What is beside the events of a request. ``now``: when it arrived; ``sent``: `sent_at`, if any."""

    now: int
    sent: Any = None


def capture(request: Request, context: RequestContext) -> Translation:
    """Read events: a batch, an array, or one; JSON, or base64 or JSON in the field ``data``."""
    if request.method == "HEAD":  # answered like GET, and meant to change nothing
        return Translation((), _success)
    body = _body(request)
    events, sent = _events(body), body.get("sent_at") if isinstance(body, dict) else None
    check_count(len(events))
    sent = sent if sent is not None else _sent_in_query(request)
    reply = _results if request.path.rstrip("/") == CAPTURE_V1 else _success
    return translate_each(events, partial(_draft, sending=Sending(context.now, sent)), reply)


def told(_: Request, __: RequestContext, *, answer: Mapping[str, Any]) -> Translation:
    """Answer what libraries ask beside: flags, of which there are none, or how to send."""
    return Translation((), lambda _: Reply.json(answer))


def script(_: Request, __: RequestContext) -> Translation:
    """Answer a page's first question, whose answer is a script, by an empty one: then it asks for JSON."""
    return Translation((), lambda _: Reply(b"", content_type="text/javascript"))


def not_stored(_: Request, __: RequestContext) -> Translation:
    """Take recordings of sessions, and forget them: they are sent again otherwise."""
    return Translation((), _success)


def credentials(request: Request) -> Credentials:
    """Find the project's key, in the path or in the body: beside the events or in each of them."""
    if "key" in request.captures:
        return Credentials(keys=frozenset((request.captures["key"],)))
    try:
        body = _body(request)
        events = _events(body)
    except InvalidRequest:
        return Credentials()  # the translation tells what is wrong
    found = (body, *events, *(each.get("properties") for each in events if isinstance(each, dict)))
    keys = (each.get(name) for each in found if isinstance(each, dict) for name in _KEYS)
    return Credentials(keys=frozenset(key for key in keys if isinstance(key, str) and key))


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in PostHog's form, whose ``detail`` its libraries show."""
    status = error_reply(error, request.id).status
    type, code = next((type, code) for kind, type, code in _WRONG if isinstance(error, kind))
    told = {"type": type, "code": code, "detail": error.message, "attr": None}
    return Reply.json(told, 401 if isinstance(error, AccessDenied) else status)


def dialect() -> Dialect:
    """Return the dialect."""
    read = {"POST": capture}
    flags = partial(told, answer=_NO_FLAGS)
    endpoints = (
        Endpoint(("/batch", CAPTURE_V1), read, "Store PostHog's events.", sniffs_gzip=True),
        Endpoint(CAPTURE, {**read, "GET": capture}, "Store PostHog's events.", sniffs_gzip=True),
        Endpoint(FLAGS, {"POST": flags}, "Answer that there are no feature flags.", sniffs_gzip=True),
        Endpoint(("/s",), {"POST": not_stored}, "Take recordings, and forget them.", sniffs_gzip=True),
        Endpoint(("/array/{key}/config.js",), {"GET": script}, "An empty script."),
        Endpoint(("/array/{key}/config",), {"GET": partial(told, answer=_CONFIG)}, "How a page is to send."),
    )
    return Dialect(
        "posthog", endpoints, credentials, refuse, frozenset(_KEYS), keys_in_body=True, spooled=200
    )


def _success(_: Sequence[Rejection]) -> Reply:
    return Reply.json({"status": 1})


def _results(rejections: Sequence[Rejection]) -> Reply:
    """Tell of each event that was not stored that it is dropped; those that are not named are stored."""
    wrong = ((each.payload.get("uuid"), each.reason) for each in rejections if isinstance(each.payload, dict))
    results = {id: {"result": "drop", "details": reason} for id, reason in wrong if isinstance(id, str)}
    return Reply.json({"results": results})


def _body(request: Request) -> Any:
    """Return the JSON of a body; of older libraries it is a field ``data``, as it is or in base64."""
    if request.method in ("GET", "HEAD"):
        return _data(request.parameters())
    text = request.body.lstrip()
    if text[:1] in (b"{", b"["):  # whatever its type says: pages post JSON as text
        return decode_leniently(request.body)
    return _data(fields_of(request.body))


def _data(fields: Mapping[str, str]) -> Any:
    text = fields.get("data", "")
    if text.lstrip()[:1] in ("{", "["):
        return decode_leniently(text)
    try:
        return decode_leniently(unpacked(text))
    except ValueError:
        raise InvalidRequest(
            "Got neither JSON nor a form with data of it; accepted is JSON, plain, in gzip or in base64."
        ) from None


def _events(body: Any) -> list[Any]:
    events = body.get("batch", [body]) if isinstance(body, dict) else body
    if not isinstance(events, list):
        raise InvalidRequest(f"Got {described(events)}; accepted is an event, or an array of events.")
    return events


def _sent_in_query(request: Request) -> Any:
    """Return when a browser sent a request: the milliseconds that it appends so that no cache answers."""
    return request.parameters().get("_")


def _draft(event: Any, sending: Sending) -> Draft:
    if not isinstance(event, dict):
        raise InvalidRequest(f"Got {described(event)}; accepted is an object.")
    name = event.get("event")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"Got {described(name)} as the event; accepted is text that is not empty.")
    properties = event.get("properties") or {}
    if not isinstance(properties, dict):
        raise InvalidRequest(f"Got {described(properties)} as properties; accepted is an object.")
    distinct_id = next((one for one in _ids(event, properties) if one is not None and one != ""), None)
    if distinct_id is None:
        raise InvalidRequest("The event has no distinct_id; accepted are events with one.")
    time, uuid = _time(event, sending), event.get("uuid")
    kept = {key: value for key, value in event.items() if key not in _NOT_DATA and value is not None}
    shown = {key: value for key, value in properties.items() if key not in _KEYS}
    return Draft(
        name.lstrip("$") or name,  # `$pageview` and its like are PostHog's own
        time=time,
        id=ABSENT if uuid is None else uuid.lower() if isinstance(uuid, str) else uuid,
        data=kept
        | {"distinct_id": distinct_id, "properties": shown}
        | clocks(time, event.get("sent_at", sending.sent), sending.now),
        source=event,
    )


def _ids(event: Mapping[str, Any], properties: Mapping[str, Any]) -> tuple[Any, ...]:
    return (event.get("distinct_id"), event.get("$distinct_id"), properties.get("distinct_id"))


def _time(event: Mapping[str, Any], sending: Sending) -> Any:
    """Return the time: of older pages how many milliseconds before it was sent, as their clocks go wrong."""
    timestamp, offset = event.get("timestamp"), event.get("offset")
    if timestamp is not None:
        return instant.parse_any_unit(timestamp)
    if isinstance(offset, int | float) and not isinstance(offset, bool):
        return instant.parse(sending.now - offset)
    return ABSENT
