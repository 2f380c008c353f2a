"""Segment's HTTP tracking API: ``/v1/batch``, the single calls by word and by letter, and the pixel.

Source: Segment's HTTP API and pixel API documentation. Its clients drop what is answered by 400 or 401, so
that a batch is refused only where nothing of it can be read; a message that is wrong costs only itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from collector.protocols.shared.values import PIXEL, clocks, unpacked
from cube.errors import AccessDenied, CubeError, InvalidRequest, Overloaded, TooLarge, Unavailable, described
from cube.json_text import decode_leniently, encode
from cube.model import instant
from cube.model.environment import Credentials
from cube.model.event import ABSENT
from cube.web import Reply, Request, error_reply

CALLS: Final = ("identify", "track", "page", "screen", "group", "alias")
"""The calls; analytics.js names each by its first letter in the path."""

MERGED_BYTES: Final = 16 * 2**20
"""What the context of a batch may take once it is in each of its messages."""

_PIXEL_PATH: Final = "/v1/pixel/"
_STORED = {  # what is stored of a message, under which name
    "event": "event",
    "name": "name",
    "category": "category",
    "properties": "properties",
    "traits": "traits",
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "context": "context",
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is beside the messages of a request. ``now``: when it arrived; ``sent``: `sentAt`, if any."""

    now: int
    sent: Any = None
    context: Mapping[str, Any] = field(default_factory=dict)


def batch(request: Request, context: RequestContext) -> Translation:
    """Read ``/v1/batch`` and ``/v1/import``: messages of any call."""
    body = _object(decode_leniently(request.body))
    messages = body.get("batch")
    if not isinstance(messages, list):
        raise InvalidRequest(f"Got {described(messages)} as batch; accepted is an array of messages.")
    check_count(len(messages))
    envelope = Envelope(context.now, body.get("sentAt"), _batch_context(body, len(messages)))
    return translate_each(messages, partial(_draft, kind=None, envelope=envelope), _success)


def call(request: Request, context: RequestContext, *, kind: str) -> Translation:
    """Read ``/v1/track`` and its like: one message."""
    return _single(decode_leniently(request.body), kind, context, _success)


def pixel(request: Request, context: RequestContext) -> Translation:
    """Read ``/v1/pixel/{kind}?data=``: one message, as JSON or as base64 of it."""
    kind = request.captures["kind"]
    if kind not in CALLS:
        raise InvalidRequest(f"Got the call {described(kind)}; accepted are {', '.join(CALLS)}.")
    return _single(_pixel_data(request), kind, context, lambda _: PIXEL)


def credentials(request: Request) -> Credentials:
    """Find the ``writeKey`` in a body or a pixel's data (Basic and Bearer are found by all)."""
    is_pixel = request.path.startswith(_PIXEL_PATH)
    try:
        given = _pixel_data(request) if is_pixel else decode_leniently(request.body)
    except InvalidRequest:
        return Credentials()  # the translation tells what is wrong
    key = given.get("writeKey") if isinstance(given, dict) else None
    return Credentials(keys=frozenset((key,))) if isinstance(key, str) and key else Credentials()


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error by the status that Segment has for it; to a page's pixel nothing is an error.

    Only where nothing can be stored now the pixel says so: a browser does not look, others may.
    """
    reply = error_reply(error, request.id)
    if request.path.startswith(_PIXEL_PATH) and request.method != "POST":
        later = isinstance(error, Overloaded | Unavailable)
        return replace(PIXEL, status=503) if later else PIXEL
    if isinstance(error, AccessDenied):
        return replace(reply, status=401)
    return replace(reply, status=400) if isinstance(error, TooLarge) else reply


def dialect() -> Dialect:
    """Return the dialect."""
    endpoints = (
        Endpoint(
            ("/v1/batch", "/v1/import", "/v1/b"), {"POST": batch}, "Store Segment's messages of any call."
        ),
        *(
            Endpoint(
                (f"/v1/{kind}", f"/v1/{kind[0]}"),
                {"POST": partial(call, kind=kind)},
                f"Store one message of Segment's {kind}.",
            )
            for kind in CALLS
        ),
        Endpoint(
            (f"{_PIXEL_PATH}{{kind}}",),
            {"GET": pixel},
            "Store one message of the parameter `data`.",
            body=None,
        ),
    )
    return Dialect("segment", endpoints, credentials, refuse, frozenset(("writeKey",)), keys_in_body=True)


def _single(
    message: Any, kind: str, context: RequestContext, reply: Callable[[Sequence[Rejection]], Reply]
) -> Translation:
    draft = partial(_draft, kind=kind, envelope=Envelope(context.now))
    return translate_each((_object(message),), draft, reply)


def _success(_: Sequence[Rejection]) -> Reply:
    return Reply.json({"success": True})


def _draft(given: Any, kind: str | None, envelope: Envelope) -> Draft:
    message = _object(given)
    kind = kind or message.get("type")
    if kind not in CALLS:
        raise InvalidRequest(f"Got the type {described(kind)}; accepted are {', '.join(CALLS)}.")
    ids = (message.get("userId"), message.get("anonymousId"))  # text, or (from older clients) a number
    if not any(isinstance(id, int | float | str) and not isinstance(id, bool) and id != "" for id in ids):
        raise InvalidRequest("The message has no userId and no anonymousId; accepted are messages with one.")
    name = message.get("event") if kind == "track" else kind
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"Got {described(name)} as the event; accepted is text that is not empty.")
    given = _given(message, "timestamp", "originalTimestamp")
    time = ABSENT if given is ABSENT else instant.parse_any_unit(given)
    return Draft(
        name,
        time=time,
        id=_given(message, "messageId"),
        data=_data(message, envelope.context)
        | clocks(time, message.get("sentAt", envelope.sent), envelope.now),
        source=message,
        fixed=kind != "track",
    )


def _data(message: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    data = {name: message[key] for key, name in _STORED.items() if message.get(key) is not None}
    own = data.get("context")
    if not own and context:
        data["context"] = context
    elif context and isinstance(own, dict):
        data["context"] = {**context, **own}
    return data


def _batch_context(body: Mapping[str, Any], messages: int) -> Mapping[str, Any]:
    """Return the context that a batch has beside its messages; copies of it must not grow without bound."""
    context = body.get("context")
    if not isinstance(context, dict):
        return {}
    try:
        size = len(encode(context)) * messages
    except RecursionError:
        raise InvalidRequest("The batch's context is nested too deeply to be read.") from None
    if size > MERGED_BYTES:
        raise TooLarge(f"The batch's context in each message would be over {MERGED_BYTES} bytes.")
    return context


def _given(message: Mapping[str, Any], *keys: str) -> Any:
    return next((message[key] for key in keys if message.get(key) is not None), ABSENT)


def _pixel_data(request: Request) -> Any:
    text = request.parameters().get("data", "")
    if text.lstrip().startswith("{"):
        return decode_leniently(text)
    try:
        return decode_leniently(unpacked(text))
    except ValueError:
        raise InvalidRequest("Got neither JSON nor base64 of it as data.") from None


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"Got {described(value)}; accepted is an object.")
    return value
