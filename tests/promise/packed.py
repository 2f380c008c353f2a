"""Events that are stored in packs, however few: what has an id that Cube made, as an event or as a run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from cube.model.event import Event
from cube.model.event_run import EventRun


def made_id(name: str) -> bytes:
    """Return an id as Cube makes them, of a name: events that have these are stored in packs."""
    return name.encode().rjust(12, b"-")


def as_sent(event: Event) -> Sequence[Event]:
    """Return an event as a run, if its id is made, about every other time."""
    if not isinstance(event.id, bytes) or event.data["v"].bit_length() // 2 % 2:
        return [event]
    return EventRun("test", [event.time], event.id, msgspec.json.encode([event.data]))
