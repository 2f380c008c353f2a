"""Tracardi's payloads become drafts of events, and the reply that its trackers need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4, uuid5

from collector.protocols.shared.dialect import Draft, Rejection, RequestContext, Translation
from collector.protocols.tracardi.common import common_parts
from collector.protocols.tracardi.payload import InvalidPayload, Payload, TrackedEvent
from cube import json_text
from cube.errors import InvalidRequest
from cube.model import instant
from cube.model.event import ABSENT
from cube.web import Reply, Request

_PROFILES = UUID("7f0c3a52-5f0e-5d52-9d0b-3a2f0b6c9e41")
_PROFILE = "profile"  # what the state keeps, by the session's id


def translated(payload: Payload, request: Request, context: RequestContext) -> Translation:
    """Return the events of a payload as drafts, and the reply with the ids of profile and session."""
    profile = _profile_id(payload, context)
    debugging = payload.options.get("debugger") is True
    common, unfit = common_parts(payload, profile, request, context)
    moments = _Moments(payload.times, _sent(request), context.now)
    drafts = [_draft(event, common, moments, debugging) for event in payload.events]
    session = None if payload.session is None else payload.session["id"]
    told = _Told(
        profile,
        session,
        tuple(str(draft.id) for draft in drafts) if debugging else (),
        len(payload.events) + len(payload.wrong),
        tuple(error for error, _ in payload.wrong),
        len(unfit) if payload.events else 0,
    )
    rejections = [Rejection(error.message, raw) for error, raw in payload.wrong]
    if payload.events:
        rejections += unfit
    if not payload.wants("saveEvent", "saveEvents"):
        reply = _reply(told, rejections)
        return Translation((), lambda _: reply)
    return Translation(drafts, partial(_reply, told), rejections)


def _profile_id(payload: Payload, context: RequestContext) -> str | None:
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


def _handed_over(payload: Payload) -> str | None:
    """Return ``context.tracardi.pass.profile``, which a link from another domain carried."""
    value: Any = payload.context
    for name in ("tracardi", "pass", "profile"):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value.strip() or None if isinstance(value, str) else None


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
    """What the reply to a payload tells, beside what became of its ``count`` events.

    ``unfit``: how many rejections are not of events, but of what they have in common.
    """

    profile: str | None
    session: str | None
    events: Sequence[str]
    count: int
    wrong: Sequence[InvalidPayload]
    unfit: int


def _reply(told: _Told, rejections: Sequence[Rejection]) -> Reply:
    if not told.count:
        return Reply(b"null")
    if len(rejections) - told.unfit == told.count:
        return _refused(told, rejections)
    return Reply.json(
        {
            "task": str(uuid4()),
            "ux": [],
            "response": {},
            "events": told.events,
            "profile": {"id": told.profile},
            "session": {"id": told.session},
            "errors": [refusal.reason for refusal in rejections],
            "warnings": [],
        },
        226 if rejections else 200,
    )


def _refused(told: _Told, rejections: Sequence[Rejection]) -> Reply:
    """Tell that none of the events is stored."""
    if told.wrong:
        return Reply.json({"detail": [error.problem for error in told.wrong]}, 422)
    return Reply.json({"detail": f"Validation failed with error: {rejections[0].reason}"}, 406)
