"""CloudEvents 1.0 over HTTP: structured, binary and batched; the webhook's handshake.

Source: the CNCF's CloudEvents specification, its HTTP protocol binding, JSON event format and HTTP
webhook profile. Version 0.3, which the SDKs still speak, is read too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from collector.protocols.cloudevents import binary
from collector.protocols.cloudevents.event import CloudEvent, from_json
from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    check_count,
)
from cube.errors import CubeError, InvalidRequest, described
from cube.json_text import decode_leniently
from cube.model.environment import Credentials
from cube.web import Reply, Request
from cube.web.form import media_type
from cube.web.request import refusal

NAME: Final = "cloudevents"
MAX_TOLD: Final = 100
"""The rejections of a batch that its reply tells."""

_BATCH = "application/cloudevents-batch"
_STRUCTURED = "application/cloudevents"
_JSON_FORMATS = ("", "+json")


class UnsupportedFormat(InvalidRequest):
    """The request is a CloudEvent in an event format other than JSON: HTTP 415."""


def translate(request: Request, _: RequestContext) -> Translation:
    """Read the events of a request; its mode hangs on the Content-Type, as the HTTP binding says."""
    media = media_type(request)
    if media.startswith(_BATCH):
        _check_format(media, _BATCH)
        return _batch(decode_leniently(request.body))
    if media.startswith(_STRUCTURED):
        _check_format(media, _STRUCTURED)
        return _single(decode_leniently(request.body), from_json)
    if binary.VERSION_HEADER not in request.headers:
        raise InvalidRequest(
            f"Got the content type {described(media)} and no ce-specversion; accepted are"
            f" {_STRUCTURED}+json, {_BATCH}+json and, in binary mode, headers ce-…"
        )
    return _single(request, binary.from_request)


def handshake(request: Request) -> Reply | None:
    """Grant what a webhook's sender asks for; None for an OPTIONS that is not a handshake."""
    origin = request.headers.get("WebHook-Request-Origin", "").strip()
    if not _is_token(origin):
        return None
    rate = request.headers.get("WebHook-Request-Rate", "").strip()
    headers = (
        ("WebHook-Allowed-Origin", origin),
        ("WebHook-Allowed-Rate", rate if rate.isascii() and rate.isdigit() else "*"),
        ("Allow", "POST"),
    )
    return Reply(b"", headers=headers)


def credentials(request: Request) -> Credentials:
    """Find the webhook's ``access_token`` in the query (``Authorization: Bearer`` is found by all)."""
    token = request.parameters().get("access_token")
    return Credentials(keys=frozenset((token,))) if token else Credentials()


def refuse(error: CubeError, request: Request) -> Reply:
    """Tell an error as everywhere, but an unknown event format by 415."""
    reply = refusal(error, request.id)
    if isinstance(error, UnsupportedFormat):
        return replace(reply, status=415, headers=(("Accept", f"{_STRUCTURED}+json, {_BATCH}+json"),))
    return reply


def _check_format(media: str, prefix: str) -> None:
    if media[len(prefix) :] not in _JSON_FORMATS:
        raise UnsupportedFormat(f"Got the event format {media[:80]}; accepted is {prefix}+json.")


def _single(given: Any, read: Callable[[Any], CloudEvent]) -> Translation:
    try:
        return Translation((_draft(read(given)),), partial(_answer, 1))
    except InvalidRequest as error:
        payload = binary.as_json(given) if isinstance(given, Request) else given
        return Translation((), partial(_answer, 1), (Rejection(error.message, payload),))


def _batch(items: Any) -> Translation:
    if not isinstance(items, list):
        raise InvalidRequest(f"Got {described(items)} as a batch; accepted is an array of CloudEvents.")
    check_count(len(items))
    drafts: list[Draft] = []
    rejections: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            drafts.append(_draft(from_json(item)))
        except InvalidRequest as error:
            rejections.append(Rejection(f"Event {index} of the batch: {error.message}", item))
    return Translation(drafts, partial(_answer, len(items)), rejections)


def _draft(event: CloudEvent) -> Draft:
    return Draft(event.type, time=event.time, id=event.key, data=event.as_data(), source=event.given)


def _answer(count: int, rejections: Sequence[Rejection]) -> Reply:
    """204 where all is stored, 200 with the reasons where some is, 400 with them where nothing is."""
    if not rejections:
        return Reply(b"", 204)
    reasons = [refusal.reason for refusal in rejections[:MAX_TOLD]]
    stored = count - len(rejections)
    report: Mapping[str, Any] = {"error": reasons[0], "stored": stored, "errors": reasons}
    return Reply.json(report, 200 if stored else 400)


def _is_token(value: str) -> bool:
    return bool(value) and len(value) <= 300 and value.isascii() and value.isprintable()


def dialect() -> Dialect:
    """Return the dialect."""
    endpoints = tuple(
        Endpoint(
            path,
            {"POST": translate},
            "Store a CloudEvent, or a batch of them; OPTIONS answers a webhook's handshake.",
            content_type="application/cloudevents+json",
            options=handshake,
        )
        for path in ("/cloudevents", "/")
    )
    return Dialect(NAME, endpoints, credentials=credentials, refuse=refuse)
