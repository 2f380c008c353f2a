"""What all events of a Tracardi payload have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from collector.protocols.shared.dialect import Rejection, RequestContext
from collector.protocols.shared.values import doubled
from collector.protocols.tracardi.payload import Payload
from cube.errors import InvalidEvent
from cube.model.event import MAX_DATA_DEPTH, Event
from cube.web import Request

SECRETS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api_key"}
)
"""Names, in small letters, of what is never stored of a request."""

_HEADERS = ("User-Agent", "Referer", "Origin", "Accept-Language", "X-Timestamp")


def common_parts(
    payload: Payload, profile: str | None, request: Request, context: RequestContext
) -> tuple[dict[str, Any], list[Rejection]]:
    """Return what the data of all events of a payload has, without what is empty.

    A part with a value that no event may have (``NaN``) is left out, but for its id, and refused alone: it
    costs no event.
    """
    parts = {"properties": payload.properties, "options": payload.options, "metadata": payload.metadata}
    common: dict[str, Any] = {
        "source": _source(payload.source, context),
        "session": _entity(payload.session, payload.wants("saveSession")),
        "profile": _entity(payload.profile, payload.wants("saveProfile")),
        "device": payload.device,
        "context": payload.context,
        "request": _request(payload.request, request),
        "payload": {name: part for name, part in parts.items() if part},
    }
    common["profile"] = {**common["profile"], "id": profile} if profile is not None else {}
    fit: dict[str, Any] = {}
    rejections: list[Rejection] = []
    for name, part in common.items():
        data = doubled({name: part}) if part else {}
        reason = _reason(data)
        if reason is not None:
            rejections.append(Rejection(reason, {name: part}))
            data = {name: {"id": part["id"]}} if "id" in part else {}
        if _reason(data) is None:
            fit |= data
    return fit, rejections


def _reason(data: Mapping[str, Any]) -> str | None:
    """Return why no event may have some data; None where one may."""
    try:
        Event.parse({"type": "part", "data": data}, now=0)
    except InvalidEvent as error:
        return error.message
    return None


def _source(source: Mapping[str, Any], context: RequestContext) -> Mapping[str, Any]:
    """Return the source as it is stored: where it is a key, by the name of the key."""
    return source if context.key is None else {**source, "id": context.key}


def _entity(entity: Mapping[str, Any] | None, whole: bool) -> Mapping[str, Any]:
    if entity is None:
        return {}
    return entity if whole else {"id": entity["id"]}


def _request(given: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return what the client says of its request, and with it what the request itself says."""
    cleaned: dict[str, Any] = _without_secrets(given, MAX_DATA_DEPTH)
    headers = {name.lower(): request.headers[name] for name in _HEADERS if name in request.headers}
    own = cleaned.get("headers", {})
    return {**cleaned, "headers": {**headers, **own}} if headers and isinstance(own, dict) else cleaned


def _without_secrets(value: Any, depth: int) -> Any:
    if depth < 0:  # the event is refused for that
        return value
    if isinstance(value, Mapping):
        return {
            name: _without_secrets(item, depth - 1)
            for name, item in value.items()
            if name.lower() not in SECRETS
        }
    return [_without_secrets(item, depth - 1) for item in value] if isinstance(value, list) else value
