"""CloudEvents 1.0 over HTTP: structured, binary and batched; the webhook's handshake.

Source: the CNCF's CloudEvents specification, its HTTP protocol binding, JSON event format and HTTP
webhook profile. Version 0.3, which the SDKs still speak, is read too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any, Final

from collector.protocols.cloudevents.event import CloudEvent, checked_attributes, content_of, from_json
from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
    UnsupportedMediaType,
    check_count,
    translate_each,
)
from cube.errors import CubeError, InvalidRequest, described
from cube.json_text import decode_leniently
from cube.model.environment import Credentials
from cube.web import Reply, Request, error_reply, media_type

MAX_REASONS: Final = 100
"""The rejections of a batch that its reply names."""

VERSION_HEADER: Final = "ce-specversion"

_BATCH = "application/cloudevents-batch"
_STRUCTURED = "application/cloudevents"
_JSON_FORMATS = ("", "+json")
_PREFIX = "ce-"
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ESCAPED = re.compile(r"\\(.)")


def translate(request: Request, _: RequestContext) -> Translation:
    """Read the events of a request; its mode hangs on the Content-Type, as the HTTP binding says."""
    media = media_type(request)
    if media.startswith(_BATCH):
        _check_format(media, _BATCH)
        return _batch(decode_leniently(request.body))
    if media.startswith(_STRUCTURED):
        _check_format(media, _STRUCTURED)
        return _single(decode_leniently(request.body))
    if VERSION_HEADER not in request.headers:
        raise InvalidRequest(
            f"Got the content type {described(media)} and no ce-specversion; accepted are"
            f" {_STRUCTURED}+json, {_BATCH}+json and, in binary mode, headers ce-…"
        )
    return _single(request)


def handshake(request: Request) -> Reply | None:
    """Grant what a webhook's sender asks for; None for an OPTIONS that is not a handshake."""
    origin = request.headers.get("WebHook-Request-Origin", "").strip()
    if not origin or len(origin) > 300 or not (origin.isascii() and origin.isprintable()):
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
    reply = error_reply(error, request.id)
    if isinstance(error, UnsupportedMediaType):
        return replace(reply, status=415, headers=(("Accept", f"{_STRUCTURED}+json, {_BATCH}+json"),))
    return reply


def _check_format(media: str, prefix: str) -> None:
    if media[len(prefix) :] not in _JSON_FORMATS:
        raise UnsupportedMediaType(f"Got the event format {media[:80]}; accepted is {prefix}+json.")


def _single(given: Any) -> Translation:
    return translate_each((given,), _draft, partial(_answer, 1), payload=_as_json)


def _batch(items: Any) -> Translation:
    if not isinstance(items, list):
        raise InvalidRequest(f"Got {described(items)} as a batch; accepted is an array of CloudEvents.")
    check_count(len(items))
    reply = partial(_answer, len(items))
    return translate_each(enumerate(items), _draft_of_batch, reply, payload=itemgetter(1))


def _draft_of_batch(numbered: tuple[int, Any]) -> Draft:
    index, item = numbered
    try:
        return _draft(item)
    except InvalidRequest as error:
        raise InvalidRequest(f"Event {index} of the batch: {error.message}") from None


def _draft(given: Any) -> Draft:
    event = _binary(given) if isinstance(given, Request) else from_json(given)
    return Draft(event.type, time=event.time, id=event.key, data=event.as_data(), source=event.given)


def _binary(request: Request) -> CloudEvent:
    """Read a request in binary mode: attributes in headers ``ce-…``, the data in the body."""
    given: dict[str, Any] = _attributes(request)
    media = request.headers.get("Content-Type") or None
    if media is not None:
        given["datacontenttype"] = media
    attributes, extensions = checked_attributes(given)
    return CloudEvent(attributes, extensions, content_of(request.body, media), _as_json(request))


def _as_json(given: Any) -> Any:
    """Return what was sent for a rejection: a request in binary mode as one JSON object."""
    if not isinstance(given, Request):
        return given
    return {**_attributes(given), "body": given.body.decode(errors="replace")}


def _attributes(request: Request) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    for name, value in request.headers.get_all():
        if name.lower().startswith(_PREFIX):
            attributes.setdefault(name[len(_PREFIX) :].lower(), header_text(value))
    return attributes


def header_text(value: str) -> str:
    """Decode a header's value (as Latin-1, which is how HTTP delivers it) to what its sender meant.

    Quotes around it go, then ``%XX`` becomes UTF-8, once. The JavaScript SDK sends Latin-1 and a bare
    ``%`` instead: what is not valid percent-encoded UTF-8 stays as it is.
    """
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    if not value.isascii():
        with suppress(UnicodeError):  # some senders do not encode UTF-8; Latin-1 seldom looks so
            value = value.encode("latin-1").decode()
    return _PERCENT.sub(_decoded, value)


def _decoded(encoded: re.Match[str]) -> str:
    try:
        return bytes.fromhex(encoded[0].replace("%", "")).decode()
    except UnicodeDecodeError:
        return encoded[0]


def _answer(count: int, rejections: Sequence[Rejection]) -> Reply:
    """204 where all is stored, 200 with the reasons where some is, 400 with them where nothing is."""
    if not rejections:
        return Reply(b"", 204)
    reasons = [refusal.reason for refusal in rejections[:MAX_REASONS]]
    stored = count - len(rejections)
    report: Mapping[str, Any] = {"error": reasons[0], "stored": stored, "errors": reasons}
    return Reply.json(report, 200 if stored else 400)


def dialect() -> Dialect:
    """Return the dialect."""
    endpoint = Endpoint(
        ("/cloudevents", "/"),
        {"POST": translate},
        "Store a CloudEvent, or a batch of them; OPTIONS answers a webhook's handshake.",
        content_type="application/cloudevents+json",
        options=handshake,
    )
    return Dialect("cloudevents", (endpoint,), credentials=credentials, refuse=refuse)
