"""What commits are written to: a store, or one with a spool before it (`collector.ingest.spooling`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from cube.model.event import Event
from cube.store.ports import EventStore


class StoreWriter:
    """Writes commits to a store; what cannot be stored fails. A `SpoolingWriter` spools it instead."""

    def __init__(self, events: EventStore) -> None:
        self._events = events

    async def save(self, type: str, events: Sequence[Event], *, more: bool = False) -> Collection[int]:
        """Make events of one type durable; see `EventStore.save`.

        Returns the places of those that are only in the spool: durable, but not yet visible.
        """
        await self._events.save(type, events, more=more)
        return ()

    @property
    def joins(self) -> int:
        """See `EventStore.joins`."""
        return self._events.joins

    async def ready(self) -> None:
        """Return if there is nothing beside the store that would keep events from it; else raise."""

    def told(self) -> dict[str, Any] | None:
        """Return what the daemon's status tells of the spool; None where there is none."""
        return None

    async def close(self) -> None:
        """Finish what was begun."""
