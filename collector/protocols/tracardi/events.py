"""Tracardi's payloads become drafts of events, and the reply that its trackers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from collector.protocols.shared.dialect import Draft, Rejection, RequestContext, Translation
from collector.protocols.shared.values import doubled
from collector.protocols.tracardi.payload import InvalidPayload, TrackedEvent, TrackPayload
from cube import json_text
from cube.errors import InvalidEvent, InvalidRequest
from cube.model import instant
from cube.model.event import ABSENT, MAX_DATA_DEPTH, Event
from cube.web import Reply, Request

SECRETS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api_key"}
)
"""Names, in small letters, of what is never stored of a request."""

_HEADERS = ("User-Agent", "Referer", "Origin", "Accept-Language", "X-Timestamp")
_PROFILES = UUID("7f0c3a52-5f0e-5d52-9d0b-3a2f0b6c9e41")
_PROFILE = "profile"  # what the state keeps, by the session's id


def translated(payload: TrackPayload, request: Request, context: RequestContext) -> Translation:
    """Return the events of a payload as drafts, and the reply with the ids of profile and session."""
    profile = _profile_id(payload, context)
    debugging = payload.options.get("debugger") is True
    common, unfit = _common_parts(payload, profile, request, context)
    times = _EventTimes(payload.times, _sent(request), context.now)
    drafts = [_draft(event, common, times, debugging) for event in payload.events]
    rejections = [Rejection(error.message, raw) for error, raw in payload.wrong]
    if payload.events:
        rejections += unfit
    outcome = _Outcome(
        profile,
        None if payload.session is None else payload.session["id"],
        tuple(str(draft.id) for draft in drafts) if debugging else (),
        len(payload.events) + len(payload.wrong),
        tuple(error for error, _ in payload.wrong),
        len(unfit) if payload.events else 0,
    )
    if not payload.wants("saveEvent", "saveEvents"):
        reply = _reply(outcome, rejections)
        return Translation((), lambda _: reply)
    return Translation(drafts, partial(_reply, outcome), rejections)


def _profile_id(payload: TrackPayload, context: RequestContext) -> str | None:
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
    return str(tied or uuid5(_PROFILES, json_text.storable(f"{context.environment}/{session}")))


def _handed_over(payload: TrackPayload) -> str | None:
    """Return ``context.tracardi.pass.profile``, which a link from another domain carried."""
    value: Any = payload.context
    for name in ("tracardi", "pass", "profile"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value.strip() or None if isinstance(value, str) else None


def _common_parts(
    payload: TrackPayload, profile: str | None, request: Request, context: RequestContext
) -> tuple[dict[str, Any], list[Rejection]]:
    """Return what the data of all events of a payload has, without what is empty.

    A part with a value that no event may have (``NaN``) is left out, but for its id, and rejected alone:
    it costs no event.
    """
    parts = {"properties": payload.properties, "options": payload.options, "metadata": payload.metadata}
    person, session = payload.profile or {}, payload.session or {}
    common: dict[str, Any] = {
        # Where the source is a key, it is stored by the name of the key.
        "source": payload.source if context.key is None else {**payload.source, "id": context.key},
        "session": session if payload.wants("saveSession") else {"id": session["id"]} if session else {},
        "profile": {**(person if payload.wants("saveProfile") else {}), "id": profile} if profile else {},
        "device": payload.device,
        "context": payload.context,
        "request": _request(payload.request, request),
        "payload": {name: part for name, part in parts.items() if part},
    }
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


def _request(given: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return what the client says of its request, and with it what the request itself says."""
    cleaned: dict[str, Any] = _without_secrets(given, MAX_DATA_DEPTH)
    headers = {name.lower(): request.headers[name] for name in _HEADERS if name in request.headers}
    own = cleaned.get("headers", {})
    return {**cleaned, "headers": {**headers, **own}} if headers and isinstance(own, dict) else cleaned


def _without_secrets(value: Any, depth: int) -> Any:
    if depth < 0:  # the event is rejected for that
        return value
    if isinstance(value, Mapping):
        kept = ((name, item) for name, item in value.items() if name.lower() not in SECRETS)
        return {name: _without_secrets(item, depth - 1) for name, item in kept}
    return [_without_secrets(item, depth - 1) for item in value] if isinstance(value, list) else value


@dataclass(frozen=True, slots=True)
class _EventTimes:
    """When all events of a request happened, as its payload says; when it was sent; when it arrived."""

    payload: Mapping[str, int]
    sent: int | None
    received: int

    def of(self, event: TrackedEvent) -> Any:
        """Return when an event happened; `ABSENT` where neither it nor its payload says so."""
        given = (times.get(name) for times in (event.times, self.payload) for name in ("insert", "create"))
        return next((time for time in given if time is not None), ABSENT)

    def all_of(self, event: TrackedEvent) -> Mapping[str, str]:
        """Return the times that stand in an event's data."""
        times = dict(event.times) if self.sent is None else {**event.times, "sent": self.sent}
        if times or self.of(event) is not ABSENT:
            times["received"] = self.received
        return {name: instant.format(time) for name, time in times.items()}


def _sent(request: Request) -> int | None:
    """Return when the client's clock says that it sent a request, where that can be read."""
    try:
        return instant.parse_any_unit(request.headers.get("X-Timestamp", "").strip())
    except InvalidRequest:
        return None


def _draft(event: TrackedEvent, common: Mapping[str, Any], times: _EventTimes, debugging: bool) -> Draft:
    own: dict[str, Any] = {
        "properties": event.properties,
        "context": event.context,
        "tags": event.tags,
        "options": event.options,
        "time": times.all_of(event),
        **event.statuses,
    }
    data = {"type": event.type, **common, **{name: part for name, part in own.items() if part}}
    if "context" in common and event.context:
        data["context"] = {**common["context"], **data["context"]}
    id = event.id or (str(uuid4()) if debugging else ABSENT)
    return Draft(event.type, times.of(event), id, data, source=event.raw)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the reply to a payload tells, beside what became of its ``count`` events.

    ``unfit``: how many rejections are not of events, but of what they have in common.
    """

    profile: str | None
    session: str | None
    events: Sequence[str]
    count: int
    wrong: Sequence[InvalidPayload]
    unfit: int


def _reply(outcome: _Outcome, rejections: Sequence[Rejection]) -> Reply:
    if not outcome.count:
        return Reply(b"null")
    if len(rejections) - outcome.unfit == outcome.count:  # none of the events is stored
        if outcome.wrong:
            return Reply.json({"detail": [error.problem for error in outcome.wrong]}, 422)
        return Reply.json({"detail": f"Validation failed with error: {rejections[0].reason}"}, 406)
    return Reply.json(
        {
            "task": str(uuid4()),
            "ux": [],
            "response": {},
            "events": outcome.events,
            "profile": {"id": outcome.profile},
            "session": {"id": outcome.session},
            "errors": [rejection.reason for rejection in rejections],
            "warnings": [],
        },
        226 if rejections else 200,
    )
