"""One commit: a batch of events of one type on its way into the database.

Its order is the promise: notes (left by the caller), one unordered insert, then the revisions of all
touched buckets, finest tier first, and only then the acknowledgement.
"""

from __future__ import annotations

from collections.abc import Sequence

from pymongo.errors import BulkWriteError

from cube.model.event import Event
from cube.store.mongo import revisions
from cube.store.mongo.documents import encode
from cube.store.mongo.faults import only_duplicates
from cube.store.mongo.intents import Intents
from cube.store.mongo.layout import Layout
from cube.store.mongo.writing import storing


class Commit:
    """Events of one type; of equal ids the last counts.

    ``expired_before``: the type's when the commit began.
    ``touched``: every time that the commit may have changed; it grows before each write.
    ``opened``: the intents to close when all that is raised.
    """

    def __init__(
        self,
        layout: Layout,
        intents: Intents,
        type: str,
        events: Sequence[Event],
        expired_before: int | None,
    ) -> None:
        self.type = type
        self.expired_before = expired_before
        self.touched = {event.time for event in events}
        self.opened: list[object] = []
        self._layout = layout
        self._intents = intents
        self._latest = list({event.id: event for event in events}.values())

    async def write(self, process: str) -> None:
        """Store all events; intents have the name `process`."""
        duplicates = await self._insert(self._latest)
        if duplicates:
            await self._intents.replace(self, duplicates, process)

    async def settle(self) -> None:
        """Raise what was touched, then close the intents."""
        await revisions.raise_times(self._layout, self.type, self.touched)
        await self._intents.close(self.opened)

    async def _insert(self, events: Sequence[Event]) -> list[Event]:
        """Insert events; return those whose ids are stored already."""
        documents = [encode(event) for event in events]
        try:
            async with storing(events):
                await self._layout.events(self.type).insert_many(documents, ordered=False)
        except BulkWriteError as error:
            places = only_duplicates(error)
            if places is None:
                raise
            return [events[place] for place in places]
        return []
