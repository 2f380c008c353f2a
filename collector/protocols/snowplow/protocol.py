"""The Snowplow dialect: its paths, and what they answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeAlias

from collector.protocols import datacoral
from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    RequestContext,
    Translation,
    translate_each,
)
from collector.protocols.shared.values import PIXEL, Occurrences
from collector.protocols.snowplow.mapping import Visit, draft, is_given
from collector.protocols.snowplow.payload import (
    TrackerEvents,
    cookie_headers,
    is_anonymous,
    network_user,
    of_body,
    of_query,
    query_of,
)
from cube.errors import CubeError, InvalidRequest
from cube.web import Reply, Request, error_reply

POST_PATHS: Final = ("/com.snowplowanalytics.snowplow/tp2", "/tp2")
PIXEL_PATHS: Final = ("/i", "/ice.png")

Visited: TypeAlias = Callable[[Request, RequestContext], Visit]

_UNSTORED = frozenset({"api_key", *datacoral.KEYS, *datacoral.ENVIRONMENTS})
_TO_BE_DROPPED = frozenset({413, 414, 415, 431})  # as wrong next time: too large, or not to be inflated
_OK = Reply(b"ok", content_type="text/plain")
_PAYLOAD = {
    "type": "object",
    "properties": {"schema": {"type": "string"}, "data": {"type": "array", "items": {"type": "object"}}},
}


def dialect(
    paths: Iterable[str] = (),
    *,
    with_datacoral: bool = True,
    struct_types: bool = False,
    make_id: Callable[[], str] = lambda: str(uuid.uuid4()),
) -> Dialect:
    """Make the dialect, with further ``/vendor/version`` paths.

    ``struct_types``: the type of a structured event is its category and action. ``make_id`` names
    unknown browsers.
    """
    visit = partial(_visit, make_id=make_id, struct_types=struct_types)
    pixel = partial(_take_pixel, visit=visit)
    post = partial(_take_body, visit=visit, with_datacoral=with_datacoral)
    return Dialect(
        "snowplow",
        (
            Endpoint(
                tuple(dict.fromkeys((*POST_PATHS, *paths))),
                {"POST": post, "GET": pixel},
                "Events of a Snowplow tracker; GET takes one in its query, as an image.",
                "text/plain",
                _PAYLOAD,
            ),
            Endpoint(
                PIXEL_PATHS, {"GET": pixel}, "An event of a Snowplow tracker, as an image.", "image/gif"
            ),
        ),
        credentials=datacoral.credentials if with_datacoral else None,
        plain_key=datacoral.plain_key if with_datacoral else str,
        keys_in_body=with_datacoral,
        refuse=_refuse,
        too_large=_OK,
        secrets=datacoral.KEYS,
    )


def _take_pixel(request: Request, context: RequestContext, visit: Visited) -> Translation:
    """Answer with the image, whatever was in the event."""
    made = visit(request, context)
    headers = (*PIXEL.headers, *cookie_headers(request, made.network_user))
    return _translation(of_query(request), made, replace(PIXEL, headers=headers))


def _take_body(
    request: Request, context: RequestContext, visit: Visited, with_datacoral: bool
) -> Translation:
    """Answer as the original does, whatever was in the events: else its trackers drop the good ones, too."""
    if with_datacoral and datacoral.is_passthrough(request):
        drafts, rejections = datacoral.passed_through(request)
        return Translation(drafts, lambda _: _OK, rejections)
    made = visit(request, context)
    reply = replace(_OK, headers=cookie_headers(request, made.network_user))
    return _translation(of_body(request), made, reply)


def _visit(
    request: Request, context: RequestContext, *, make_id: Callable[[], str], struct_types: bool
) -> Visit:
    anonymous = is_anonymous(request)
    given = None
    with suppress(InvalidRequest):  # told where the query is read as a whole
        given = query_of(request).get("nuid")
    return Visit(
        context.now,
        network_user(request, given, make_id),
        anonymous,
        None if anonymous else request.remote or None,
        None if anonymous else request.headers.get("User-Agent"),
        _UNSTORED,
        struct_types=struct_types,
    )


def _translation(sent: TrackerEvents, visit: Visit, reply: Reply) -> Translation:
    occurrences = Occurrences()

    def draft_of(event: Mapping[str, Any]) -> Draft:
        made = draft(event, visit)
        return made if is_given(event, "eid") else replace(made, id=occurrences.own(made.id))

    return translate_each(sent.events, draft_of, lambda _: reply, rejections=sent.rejections)


def _refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in the native form; 422 is one of the few that trackers do not send again forever."""
    native = error_reply(error, request.id)
    return replace(native, status=422) if native.status in _TO_BE_DROPPED else native
