"""Storing the events of one request though the store refuses some of them as too old."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.ingest.batch import Batch
from collector.ingest.intake import Intake
from cube.errors import InvalidEvent
from cube.model import instant
from cube.model.event import Event
from cube.model.span import Span
from cube.model.tier import WEEK
from cube.store.ports import EventStore


class Refused(NamedTuple):
    """An event, by its place, that the store does not take."""

    place: int
    reason: str


class Outcome(NamedTuple):
    """Which events the store does not take, in order, and how many others are only in the spool."""

    refused: Sequence[Refused]
    spooled: int


async def store(intake: Intake, saved: EventStore, events: Sequence[Event], size: int) -> Outcome:
    """Make all events durable that the store takes. Raises `Overloaded` and `Unavailable`."""
    try:
        return Outcome((), await intake.accept(Batch(events, size)))
    except InvalidEvent:
        pass
    # Those that have expired are known at once; without them the others are one commit again.
    late = _late(events, await _expired_before(saved, {event.type for event in events}))
    kept = [place for place in range(len(events)) if place not in late]
    try:
        rest = Outcome((), await intake.accept(Batch([events[place] for place in kept], size)))
    except InvalidEvent:
        rest = await _each_alone(intake, events, kept, size)
    refused = [Refused(place, reason) for place, reason in late.items()]
    return Outcome(sorted([*refused, *rest.refused]), rest.spooled)


async def _expired_before(saved: EventStore, types: set[str]) -> dict[str, int]:
    """Return before when the events of each type have expired, for those of which any have."""
    found: dict[str, int] = {}
    async with saved.read() as session:
        for type in types:
            revisions = await session.revisions(type, WEEK, Span(WEEK.origin, WEEK.origin + WEEK.step))
            if revisions.expired_before is not None:
                found[type] = revisions.expired_before
    return found


def _late(events: Sequence[Event], expired_before: Mapping[str, int]) -> dict[int, str]:
    return {
        place: f"Got the time {instant.format(event.time)}; events of type {event.type} before"
        f" {instant.format(expired_before[event.type])} have expired."
        for place, event in enumerate(events)
        if event.type in expired_before and event.time < expired_before[event.type]
    }


async def _each_alone(intake: Intake, events: Sequence[Event], places: Sequence[int], size: int) -> Outcome:
    share = size // len(places)
    outcomes = await asyncio.gather(
        *(intake.accept(Batch((events[place],), share)) for place in places), return_exceptions=True
    )
    refused: list[Refused] = []
    spooled = 0
    for place, outcome in zip(places, outcomes, strict=True):
        if isinstance(outcome, InvalidEvent):
            refused.append(Refused(place, outcome.message))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            spooled += outcome
    return Outcome(refused, spooled)
