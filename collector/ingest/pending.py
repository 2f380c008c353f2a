"""What one request has of one type, and the promise to tell what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cube.errors import InvalidEvent
from cube.model.event import Event


@dataclass(slots=True, eq=False)
class Parcel:
    """The events of one type in one request, and the promise to tell what became of them.

    ``settled``: how many of them are only in the spool. ``places``: where in the request they stood;
    None if that is where they stand here.
    """

    events: Sequence[Event]
    size: int
    settled: asyncio.Future[int]
    places: Sequence[int] | None = None

    def refuse(self, error: InvalidEvent, index: int) -> None:
        """Tell that event `index` of this parcel cannot be stored, and therefore none of them."""
        place = index if self.places is None else self.places[index]
        self.fail(
            InvalidEvent(error.message, **{**error.details, "index": place, "id": _id(self.events[index])})
        )

    def fail(self, error: Exception) -> None:
        """Tell why the events are not stored."""
        if not self.settled.done():
            self.settled.set_exception(error)

    def succeed(self, spooled: int) -> None:
        """Tell that all are durable, so many of them only in the spool."""
        if not self.settled.done():
            self.settled.set_result(spooled)


def locate(parcels: Sequence[Parcel], error: InvalidEvent) -> tuple[Parcel, int]:
    """Find the parcel, and the place in it, of the event that a shared write was refused for."""
    index = int(error.details["index"])
    for parcel in parcels:
        if index < len(parcel.events):
            return parcel, index
        index -= len(parcel.events)
    raise IndexError(
        f"the store refused event {error.details['index']} of a commit that has fewer"
    ) from error


def _id(event: Event) -> int | float | str | None:
    return None if isinstance(event.id, bytes) else event.id
