"""Notes: durable marks "this process is writing into this hour of this type"; and the sweep of the dead's.

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
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

from bson import Int64
from pymongo import DeleteMany, DeleteOne, UpdateOne

from cube.model.tier import CACHED_TIERS, HOUR, Span
from cube.store.mongo import revisions
from cube.store.mongo.calls import fetched, upsert
from cube.store.mongo.commit import Intents, times_of
from cube.store.mongo.layout import Document, Layout

IDLE_SECONDS = 600.0


class Notes:
    """This process's notes, and what is known of other processes.

    ``process``: the name that notes and intents have now.
    """

    def __init__(self, layout: Layout, lease_seconds: float) -> None:
        self.process = secrets.token_hex(8)
        self._notes = layout.own("notes")
        self._lease_seconds = lease_seconds
        self._left: dict[tuple[str, int], float] = {}
        self._users: Counter[tuple[str, int]] = Counter()
        self._renewed: tuple[float, float] | None = None
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def held(self, type: str, times: Iterable[int]) -> AsyncIterator[None]:
        """Enter when notes for the hours of all times are durable; they stay at least until the exit."""
        hours = {moment - (moment - HOUR.origin) % HOUR.step for moment in times}
        keys = {(type, hour) for hour in hours}
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
        found = await fetched(self._notes.find({"seen": {"$exists": True}}))
        seen = {document["_id"]: document["seen"] for document in found}
        now = seen.get(self.process)
        if now is None:  # taken for dead this very moment
            return dict.fromkeys(seen, True)
        ages = {name: (now - at).total_seconds() for name, at in seen.items()}
        return {name: name == self.process or age < self._lease_seconds for name, age in ages.items()}

    async def all(self) -> list[Document]:
        return await fetched(self._notes.find({"process": {"$exists": True}}))

    async def remove(self, notes: list[Document], processes: Iterable[str]) -> None:
        """Take away settled notes, and then the dead processes that left them."""
        ids = [*(note["_id"] for note in notes), *processes]
        await upsert(self._notes, [DeleteOne({"_id": id}) for id in ids])

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
            await upsert(self._notes, [DeleteOne({"_id": self._id(key)}) for key in idle])

    async def close(self) -> None:
        """Take away all notes of this process; it writes no more."""
        if self._renewed is not None:
            own = [DeleteMany({"process": self.process}), DeleteOne({"_id": self.process})]
            await upsert(self._notes, own)

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
        await upsert(self._notes, [alive, *(self._note(key) for key in keys if key not in self._left)])
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


class _Unsettled(NamedTuple):
    """What one failed commit touched, and until when (monotonic seconds) it may still land."""

    type: str
    hours: frozenset[int]
    intents: tuple[object, ...]
    until: float


class UnsettledCommits:
    """What failed commits of this process touched: hours by type, and intents left open.

    A write whose reply is missing may land for as long as the server lets it: till then each sweep raises
    it again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._commits: list[_Unsettled] = []
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._commits)

    def add(
        self, type: str, times: Iterable[int], intents: Iterable[object], *, pending_seconds: float = 0.0
    ) -> None:
        """Add what one commit touched, whose writes may land for so long yet."""
        hours = frozenset(map(HOUR.floor, times))
        self._commits.append(_Unsettled(type, hours, tuple(intents), self._clock() + pending_seconds))

    def hours(self) -> set[tuple[str, int]]:
        """Return the types and hours that they touched."""
        return {(commit.type, hour) for commit in self._commits for hour in commit.hours}

    async def raise_all(self, layout: Layout, intents: Intents) -> int:
        """Raise what they touched, and forget those that can no longer land; return of how many hours."""
        count = 0
        for commit in tuple(self._commits):
            is_last = self._clock() >= commit.until
            for hour in sorted(commit.hours):
                await revisions.raise_times(layout, commit.type, _within(hour))
            if is_last:
                await intents.close(commit.intents)
                self._commits.remove(commit)
            count += len(commit.hours)
        return count


async def raise_noted(
    layout: Layout, notes: Notes, intents: Intents, unsettled: UnsettledCommits, type: str, span: Span
) -> None:
    """Raise what other processes' notes, failed commits and all intents of a type name in a span.

    Whether or not those processes live: one that died may have written, or deleted, and not raised, and until
    a sweep what was cached before counts.
    """
    opened = [intent for intent in await intents.all() if intent["type"] == type]
    await revisions.raise_times(layout, type, set(times_of(opened)))
    left = {
        (note["type"], int(note["hour"])) for note in await notes.all() if note["process"] != notes.process
    }
    for of_type, hour in sorted(left | unsettled.hours()):
        if of_type == type and hour < span.stop and hour + HOUR.step > span.start:
            await revisions.raise_times(layout, type, _within(hour))


async def sweep(layout: Layout, notes: Notes, intents: Intents, unsettled: UnsettledCommits) -> int:
    """Raise what dead processes left, the hours of notes and the times of intents, and our failed commits.

    Notes and intents are read before the processes, each of which is durable before its notes: so
    none is taken for dead because it has just begun. Two sweeps at once raise twice.
    """
    own = await unsettled.raise_all(layout, intents)
    left, opened = await notes.all(), await intents.all()
    processes = await notes.processes()
    alive = {name for name, is_alive in processes.items() if is_alive}
    dead_intents = [intent for intent in opened if intent["process"] not in alive]
    for intent in dead_intents:
        times = {int(intent[name]) for name in ("old", "new") if intent[name] is not None}
        await revisions.raise_times(layout, intent["type"], times)
    await intents.close([intent["_id"] for intent in dead_intents])
    dead_notes = [note for note in left if note["process"] not in alive]
    for note in dead_notes:
        await revisions.raise_times(layout, note["type"], _within(int(note["hour"])))
    await notes.remove(dead_notes, processes.keys() - alive)
    return own + len(dead_intents) + len(dead_notes)


def _within(hour: int) -> range:
    return range(hour, hour + HOUR.step, CACHED_TIERS[0].step)
