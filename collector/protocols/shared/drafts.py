"""Drafts become stored events, or rejections: each for itself, whatever is wrong with the others.

The rules are those of the native interface, but for integers beyond 64 bits: they become doubles, since
nobody is there to send something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.ingest.batch import Batch, BatchLimits
from collector.ingest.intake import Intake
from collector.protocols.shared.dialect import Draft, Rejection
from collector.protocols.shared.values import doubled
from cube import json_text
from cube.errors import AccessDenied, CubeError, InvalidEvent, TooLarge
from cube.model.environment import Caller
from cube.model.event import ABSENT, Event
from cube.model.horizon import Horizon

_HEAD_BYTES = 80  # about the JSON text of a type, a time and an id


@dataclass(slots=True)
class CheckedDrafts:
    """The drafts that are valid events, those events and their size; what is wrong with the others."""

    drafts: list[Draft] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    errors: list[CubeError] = field(default_factory=list)
    size: int = 0


def check(
    drafts: Sequence[Draft],
    types: Sequence[str],
    caller: Caller,
    limits: BatchLimits,
    horizon: Horizon,
    *,
    total_bytes: int,
    now: int,
) -> CheckedDrafts:
    """Make events of drafts that arrived at `now`; one that is not valid becomes a rejection.

    Raises `TooLarge` where the events together are over ``total_bytes`` of JSON text: one part of a body
    that stands in each of its events could make it a thousand times its size.
    """
    checked = CheckedDrafts()
    for draft, type in zip(drafts, types, strict=True):
        try:
            caller.check_type(type)
            event = _event(draft, type, now)
            horizon.check(event, now)
            size = _HEAD_BYTES + (0 if event.data is ABSENT else len(json_text.encode(event.data)))
            if size > limits.event_bytes:
                raise TooLarge(f"An event is over {limits.event_bytes} bytes of JSON, which is the limit.")
            checked.size += size
        except (InvalidEvent, AccessDenied, TooLarge) as error:
            error.type = type
            checked.rejections.append(rejected(draft, error.message))
            checked.errors.append(error)
            continue
        if checked.size > total_bytes:
            raise TooLarge(f"The events of the request are over {total_bytes} bytes, which is the limit.")
        checked.drafts.append(draft)
        checked.events.append(event)
    return checked


def rejected(draft: Draft, reason: str) -> Rejection:
    """Reject a draft, with what its client sent."""
    if draft.source is not None:
        return Rejection(reason, draft.source)
    parts = {"name": draft.name, "time": draft.time, "id": draft.id, "data": draft.data}
    return Rejection(reason, {name: value for name, value in parts.items() if value is not ABSENT})


def _event(draft: Draft, type: str, now: int) -> Event:
    raw: dict[str, Any] = {"type": type, "time": draft.time, "id": draft.id, "data": draft.data}
    try:
        return Event.parse(raw, now=now, unit_known=True)
    except InvalidEvent:  # for which few are the reason, so nobody else pays for looking
        return Event.parse({**raw, "data": doubled(draft.data)}, now=now, unit_known=True)


async def store(
    intake: Intake, events: Sequence[Event], size: int, handed_over: Callable[[], None] = lambda: None
) -> tuple[dict[int, str], int]:
    """Make all events durable that the store takes. Raises `Overloaded` and `Unavailable`.

    ``handed_over``: called once they wait in the intake, whose order is that of the store.
    Returns, by their places and in order, why it refuses others, and how many of those that it takes are only
    in the spool.
    """
    refused: dict[int, InvalidEvent] = {}
    settled = intake.offer(Batch(events, size), refused)
    handed_over()
    spooled = await settled
    return {place: error.message for place, error in sorted(refused.items())}, spooled
