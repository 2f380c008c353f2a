"""Drafts become events, or refusals: the rules of the native interface, for each draft alone.

But for integers beyond 64 bits: they become doubles, since nobody is there to send something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.ingest.batch import Limits
from collector.protocols.shared.dialect import Draft, Refusal
from collector.protocols.shared.values import doubled
from cube import json_text
from cube.errors import AccessDenied, CubeError, InvalidEvent, TooLarge
from cube.model.environment import Caller
from cube.model.event import ABSENT, Event
from cube.model.horizon import Horizon

_HEAD_BYTES = 80  # about the JSON text of a type, a time and an id


@dataclass(slots=True)
class Checked:
    """The drafts that are valid events, those events and their size; what is wrong with the others."""

    drafts: list[Draft] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    errors: list[CubeError] = field(default_factory=list)
    size: int = 0


def check(
    drafts: Sequence[Draft],
    types: Sequence[str],
    caller: Caller,
    limits: Limits,
    horizon: Horizon,
    *,
    total_bytes: int,
    now: int,
) -> Checked:
    """Make events of drafts that arrived at `now`; one that is not valid becomes a refusal.

    Raises `TooLarge` where the events together are over ``total_bytes`` of JSON text: one part of a body
    that stands in each of its events could make it a thousand times its size.
    """
    checked = Checked()
    for draft, type in zip(drafts, types, strict=True):
        try:
            caller.check_type(type)
            event = _event(draft, type, now)
            horizon.check(event, now)
            checked.size += _size(event, limits)
        except (InvalidEvent, AccessDenied, TooLarge) as error:
            checked.refusals.append(refused(draft, error.message))
            checked.errors.append(error)
            continue
        if checked.size > total_bytes:
            raise TooLarge(f"The events of the request are over {total_bytes} bytes, which is the limit.")
        checked.drafts.append(draft)
        checked.events.append(event)
    return checked


def refused(draft: Draft, reason: str) -> Refusal:
    """Refuse a draft, with what its client sent."""
    if draft.source is not None:
        return Refusal(reason, draft.source)
    shown = {"name": draft.name, "time": draft.time, "id": draft.id, "data": draft.data}
    return Refusal(reason, {name: value for name, value in shown.items() if value is not ABSENT})


def _event(draft: Draft, type: str, now: int) -> Event:
    raw: dict[str, Any] = {"type": type, "time": draft.time, "id": draft.id, "data": draft.data}
    try:
        return Event.parse(raw, now=now, unit_known=True)
    except InvalidEvent:  # for which few are the reason, so nobody else pays for looking
        return Event.parse({**raw, "data": doubled(draft.data)}, now=now, unit_known=True)


def _size(event: Event, limits: Limits) -> int:
    size = _HEAD_BYTES + (0 if event.data is ABSENT else len(json_text.encode(event.data)))
    if size > limits.event_bytes:
        raise TooLarge(f"An event is over {limits.event_bytes} bytes of JSON, which is the limit.")
    return size
