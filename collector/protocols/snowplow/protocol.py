"""The Snowplow dialect: its paths, and what they answer."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

from collector.protocols import datacoral
from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translate,
    Translation,
)
from collector.protocols.shared.values import PIXEL, Occurrences
from collector.protocols.snowplow.mapping import Visit, draft, is_given
from collector.protocols.snowplow.network_user import cookie_headers, is_anonymous, network_user
from collector.protocols.snowplow.payload import Payload, of_body, of_query, query_of
from cube.errors import CubeError, InvalidEvent, InvalidRequest
from cube.web import Reply, Request
from cube.web.request import refusal

POST_PATHS: Final = ("/com.snowplowanalytics.snowplow/tp2", "/tp2")
PIXEL_PATHS: Final = ("/i", "/ice.png")

Seen: TypeAlias = Callable[[Request, RequestContext], Visit]

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
    post = partial(_take_body, visit=visit)
    if with_datacoral:
        post = partial(_take_either, post=post)
    return Dialect(
        "snowplow",
        (
            *(_post_endpoint(path, post, pixel) for path in dict.fromkeys((*POST_PATHS, *paths))),
            *(
                Endpoint(path, {"GET": pixel}, "An event of a Snowplow tracker, as an image.", "image/gif")
                for path in PIXEL_PATHS
            ),
        ),
        credentials=datacoral.credentials if with_datacoral else None,
        plain_key=datacoral.plain_key if with_datacoral else str,
        keys_in_body=with_datacoral,
        refuse=_refuse,
        bury=_OK,
        secrets=datacoral.KEYS,
    )


def _post_endpoint(path: str, post: Translate, pixel: Translate) -> Endpoint:
    return Endpoint(
        path,
        {"POST": post, "GET": pixel},
        "Events of a Snowplow tracker; GET takes one in its query, as an image.",
        "text/plain",
        _PAYLOAD,
    )


def _take_pixel(
    request: Request, context: RequestContext, visit: Callable[[Request, RequestContext], Visit]
) -> Translation:
    return _translation(request, of_query(request), visit(request, context), _gif)


def _take_body(request: Request, context: RequestContext, visit: Seen) -> Translation:
    return _translation(request, of_body(request), visit(request, context), _ok)


def _take_either(request: Request, context: RequestContext, post: Translate) -> Translation:
    if not datacoral.is_passthrough(request):
        return post(request, context)
    drafts, rejections = datacoral.passed_through(request)
    return Translation(drafts, lambda _: _OK, rejections)


def _visit(
    request: Request, context: RequestContext, *, make_id: Callable[[], str], struct_types: bool
) -> Visit:
    anonymous = is_anonymous(request)
    return Visit(
        context.now,
        network_user(request, _given_user(request), make_id),
        anonymous,
        None if anonymous else request.remote or None,
        None if anonymous else request.headers.get("User-Agent"),
        _UNSTORED,
        struct_types=struct_types,
    )


def _given_user(request: Request) -> str | None:
    try:
        return query_of(request).get("nuid")
    except InvalidRequest:  # told where the query is read as a whole
        return None


def _translation(
    request: Request,
    payload: Payload,
    visit: Visit,
    reply: Callable[[Request, Visit, Sequence[Rejection]], Reply],
) -> Translation:
    drafts: list[Draft] = []
    rejections = list(payload.rejections)
    occurrences = Occurrences()
    for sent in payload.events:
        try:
            made = draft(sent, visit)
            drafts.append(made if is_given(sent, "eid") else replace(made, id=occurrences.own(made.id)))
        except InvalidEvent as error:
            rejections.append(Rejection(error.message, sent))
    return Translation(drafts, partial(reply, request, visit), rejections)


def _ok(request: Request, visit: Visit, rejections: Sequence[Rejection]) -> Reply:
    """Answer as the original does, whatever was in the events: else its trackers drop the good ones, too."""
    return replace(_OK, headers=cookie_headers(request, visit.network_user))


def _gif(request: Request, visit: Visit, rejections: Sequence[Rejection]) -> Reply:
    return replace(PIXEL, headers=(*PIXEL.headers, *cookie_headers(request, visit.network_user)))


def _refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error in the native form; 422 is one of the few that trackers do not send again forever."""
    native = refusal(error, request.id)
    return replace(native, status=422) if native.status in _TO_BE_DROPPED else native
