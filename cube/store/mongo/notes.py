"""Notes: durable marks "this process is writing into this hour of this type".

A process is alive while its document in ``cube_notes`` was renewed less than a lease ago. Both times
are readings of the *server's* clock (``$currentDate``): the renewal's, and that of the process that
asks, so clocks of other machines do not matter. On a sharded cluster the shards' clocks must agree far
better than a lease. A process renews when it writes, not by a timer. One that finds, by either of
its own clocks, that half a lease has passed (it was idle, stopped or suspended) leaves its old
notes to a sweep, which does no harm, and goes on under a new name: so no sweep can ever take away
a note that a commit relies on.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from bson import Int64
from pymongo import DeleteMany, DeleteOne, UpdateOne

from cube.model.tier import HOUR
from cube.store.mongo.faults import answered
from cube.store.mongo.layout import Document, Layout
from cube.store.mongo.writing import upsert

IDLE_SECONDS = 600.0


class Notes:
    """This process's notes, and what is known of other processes.

    ``process``: the name that notes and intents have now.
    """

    def __init__(self, layout: Layout, lease_seconds: float) -> None:
        self.process = secrets.token_hex(8)
        self._layout = layout
        self._lease_seconds = lease_seconds
        self._left: dict[tuple[str, int], float] = {}
        self._users: Counter[tuple[str, int]] = Counter()
        self._renewed: tuple[float, float] | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def held(self, type: str, times: Iterable[int]) -> AsyncIterator[None]:
        """Enter when notes for the hours of all times are durable; they stay at least until the exit."""
        keys = {(type, HOUR.floor(moment)) for moment in times}
        self._users.update(keys)
        try:
            await self._leave(keys)
            yield
        finally:
            self._users.subtract(keys)
            self._users += Counter()  # forget those that nobody uses

    async def processes(self) -> dict[str, bool]:
        """Return the names of all processes that leave notes, and whether each is alive; renew this one."""
        async with self._lock:
            await self._write(set())
        async with answered():
            found = await self._layout.notes.find({"seen": {"$exists": True}}).to_list(None)
        seen = {document["_id"]: document["seen"] for document in found}
        now = seen.get(self.process)
        if now is None:  # taken for dead this very moment
            return dict.fromkeys(seen, True)
        ages = {name: (now - at).total_seconds() for name, at in seen.items()}
        return {name: name == self.process or age < self._lease_seconds for name, age in ages.items()}

    async def all(self) -> list[Document]:
        """Return the notes of all processes."""
        async with answered():
            return await self._layout.notes.find({"process": {"$exists": True}}).to_list(None)

    async def remove(self, notes: list[Document], processes: Iterable[str]) -> None:
        """Take away settled notes, and then the dead processes that left them."""
        ids = [*(note["_id"] for note in notes), *processes]
        await self._bulk([DeleteOne({"_id": id_}) for id_ in ids])

    async def drop_idle(self, kept: set[tuple[str, int]]) -> None:
        """Take away this process's own notes that no commit used for a while, but for `kept`."""
        async with self._lock:
            before = time.monotonic() - IDLE_SECONDS
            idle = [
                key
                for key, used in self._left.items()
                if used < before and key not in self._users and key not in kept
            ]
            for key in idle:
                del self._left[key]
            await self._bulk([DeleteOne({"_id": self._id(key)}) for key in idle])

    async def close(self) -> None:
        """Take away all notes of this process; it writes no more."""
        if self._renewed is not None:
            await self._bulk([DeleteMany({"process": self.process}), DeleteOne({"_id": self.process})])

    async def _leave(self, keys: set[tuple[str, int]]) -> None:
        if self._elapsed() * 4 >= self._lease_seconds or not keys <= self._left.keys():
            async with self._lock:
                await self._write(keys)
        now = time.monotonic()
        self._left.update((key, now) for key in keys)

    async def _write(self, keys: set[tuple[str, int]]) -> None:
        if self._renewed is not None and self._elapsed() * 2 >= self._lease_seconds:
            self.process = secrets.token_hex(8)
            self._left.clear()
        reading = (time.monotonic(), time.time())
        alive = UpdateOne({"_id": self.process}, {"$currentDate": {"seen": True}}, upsert=True)
        await self._bulk([alive, *(self._note(key) for key in keys if key not in self._left)])
        self._renewed = reading

    def _note(self, key: tuple[str, int]) -> UpdateOne:
        fields = {"process": self.process, "type": key[0], "hour": Int64(key[1])}
        return UpdateOne({"_id": self._id(key)}, {"$set": fields}, upsert=True)

    def _id(self, key: tuple[str, int]) -> str:
        return f"{self.process}:{key[0]}:{key[1]}"

    def _elapsed(self) -> float:
        """Seconds since the last renewal was sent; a suspended machine's monotonic clock stands still."""
        if self._renewed is None:
            return float("inf")
        return max(time.monotonic() - self._renewed[0], time.time() - self._renewed[1])

    async def _bulk(self, changes: list[UpdateOne | DeleteOne | DeleteMany]) -> None:
        if changes:
            await upsert(self._layout.notes, changes)
