"""Tracardi's payloads become drafts of events, and the reply that its trackers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from collector.dialects.dialect import Context, Draft, Refusal, Translation
from collector.dialects.tracardi_payload import InvalidPayload, Payload, TrackedEvent
from cube import instant
from cube.errors import InvalidRequest
from cube.event import ABSENT, MAX_DATA_DEPTH
from cube.web import Reply, Request

SECRETS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api_key"}
)
"""Names, in small letters, of what is never stored of a request."""

_PROFILES = UUID("7f0c3a52-5f0e-5d52-9d0b-3a2f0b6c9e41")
_PROFILE = "profile"  # what the state keeps, by the session's id
_HEADERS = ("User-Agent", "Referer", "Origin", "Accept-Language", "X-Timestamp")


def translated(payload: Payload, request: Request, context: Context) -> Translation:
    """Return the events of a payload as drafts, and the reply with the ids of profile and session."""
    profile = _profile_id(payload, context)
    debugging = payload.options.get("debugger") is True
    common = _common(payload, profile, request, context)
    moments = _Moments(payload.times, _sent(request), context.now)
    drafts = [_draft(event, common, moments, debugging) for event in payload.events]
    session = None if payload.session is None else payload.session["id"]
    told = _Told(
        profile,
        session,
        tuple(str(draft.id) for draft in drafts) if debugging else (),
        len(payload.events) + len(payload.wrong),
        tuple(error for error, _ in payload.wrong),
    )
    refusals = [Refusal(error.message, raw) for error, raw in payload.wrong]
    if not payload.wants("saveEvent", "saveEvents"):
        reply = _reply(told, refusals)
        return Translation((), lambda _: reply)
    return Translation(drafts, partial(_reply, told), refusals)


def _profile_id(payload: Payload, context: Context) -> str | None:
    """Return the id of the visitor's profile; the same for all that one session sends.

    It is that handed over from another domain, else the one given, else the one that the session had
    before, else one made of the session's id: any collector makes the same, before or after a restart,
    so that payloads which are under way at once have one.
    """
    if payload.profile_less:
        return None
    session = None if payload.session is None else str(payload.session["id"])
    given = _handed_over(payload) or (None if payload.profile is None else str(payload.profile["id"]))
    if session is None:
        return given or str(uuid4())
    if given is not None:
        if payload.wants("saveSession"):
            context.state.put(_PROFILE, session, given)
        return given
    tied = context.state.get(_PROFILE, session)
    return str(tied or uuid5(_PROFILES, f"{context.environment}/{session}"))


def _handed_over(payload: Payload) -> str | None:
    """Return ``context.tracardi.pass.profile``, which a link from another domain carried."""
    value: Any = payload.context
    for name in ("tracardi", "pass", "profile"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value.strip() or None if isinstance(value, str) else None


def _common(payload: Payload, profile: str | None, request: Request, context: Context) -> dict[str, Any]:
    """Return what the data of all events of a payload has, without what is empty."""
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
    return {name: part for name, part in common.items() if part}


def _source(source: Mapping[str, Any], context: Context) -> Mapping[str, Any]:
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


@dataclass(frozen=True, slots=True)
class _Moments:
    """When all events of a request happened, as its payload says; when it was sent; when it arrived."""

    payload: Mapping[str, int]
    sent: int | None
    received: int

    def of(self, event: TrackedEvent) -> Any:
        """Return when an event happened; `ABSENT` where neither it nor its payload says so."""
        times = (event.times.get("insert"), event.times.get("create"))
        given = (*times, self.payload.get("insert"), self.payload.get("create"))
        return next((time for time in given if time is not None), ABSENT)

    def shown(self, event: TrackedEvent) -> Mapping[str, str]:
        """Return the times that stand in an event's data."""
        sent = {} if self.sent is None else {"sent": self.sent}
        times = {**event.times, **sent}
        if times or self.of(event) is not ABSENT:
            times["received"] = self.received
        return {name: instant.format(time) for name, time in times.items()}


def _sent(request: Request) -> int | None:
    """Return when the client's clock says that it sent a request, where that can be read."""
    try:
        return instant.parse_any_unit(request.headers.get("X-Timestamp", "").strip())
    except InvalidRequest:
        return None


def _draft(event: TrackedEvent, common: Mapping[str, Any], moments: _Moments, debugging: bool) -> Draft:
    own: dict[str, Any] = {
        "properties": event.properties,
        "context": event.context,
        "tags": event.tags,
        "options": event.options,
        "time": moments.shown(event),
        **event.statuses,
    }
    data: dict[str, Any] = {"type": event.type, **common}
    data.update({name: part for name, part in own.items() if part})
    if "context" in common and event.context:
        data["context"] = {**common["context"], **data["context"]}
    return Draft(
        event.type,
        moments.of(event),
        event.id or (str(uuid4()) if debugging else ABSENT),
        data,
        source=event.raw,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What the reply to a payload tells, beside what became of its ``count`` events."""

    profile: str | None
    session: str | None
    events: Sequence[str]
    count: int
    wrong: Sequence[InvalidPayload]


def _reply(told: _Told, refusals: Sequence[Refusal]) -> Reply:
    if not told.count:
        return Reply(b"null")
    if len(refusals) == told.count:
        return _refused(told, refusals)
    return Reply.json(
        {
            "task": str(uuid4()),
            "ux": [],
            "response": {},
            "events": told.events,
            "profile": {"id": told.profile},
            "session": {"id": told.session},
            "errors": [refusal.reason for refusal in refusals],
            "warnings": [],
        },
        226 if refusals else 200,
    )


def _refused(told: _Told, refusals: Sequence[Refusal]) -> Reply:
    """Tell that none of the events is stored."""
    if told.wrong:
        return Reply.json({"detail": [error.problem for error in told.wrong]}, 422)
    return Reply.json({"detail": f"Validation failed with error: {refusals[0].reason}"}, 406)
