"""The sweep: raising what commits that never finished may have touched."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cube.model.tier import CACHED_TIERS, HOUR
from cube.store.mongo import revisions
from cube.store.mongo.intents import Intents
from cube.store.mongo.layout import Layout
from cube.store.mongo.notes import Notes


@dataclass(frozen=True, slots=True)
class _Debt:
    """What one failed commit touched, and until when (monotonic seconds) it may still land."""

    type: str
    hours: frozenset[int]
    intents: tuple[object, ...]
    until: float


class Debts:
    """What failed commits of this process touched: hours by type, and intents left open.

    A write whose reply is missing may land for as long as the server lets it: till then each sweep raises
    it again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._debts: list[_Debt] = []
        self._clock = clock

    def __bool__(self) -> bool:
        return bool(self._debts)

    def add(
        self, type: str, times: Iterable[int], intents: Iterable[object], *, pending_seconds: float = 0.0
    ) -> None:
        """Take on what one commit touched, whose writes may land for so long yet."""
        hours = frozenset(map(HOUR.floor, times))
        self._debts.append(_Debt(type, hours, tuple(intents), self._clock() + pending_seconds))

    def hours(self) -> set[tuple[str, int]]:
        """Return the type and hour of all that is owed."""
        return {(debt.type, hour) for debt in self._debts for hour in debt.hours}

    async def pay(self, layout: Layout, intents: Intents) -> int:
        """Raise all that is owed, and forget what can no longer land; return of how many hours."""
        paid = 0
        for debt in tuple(self._debts):
            is_last = self._clock() >= debt.until
            for hour in sorted(debt.hours):
                await revisions.raise_times(layout, debt.type, _within(hour))
            if is_last:
                await intents.close(debt.intents)
                self._debts.remove(debt)
            paid += len(debt.hours)
        return paid


async def sweep(layout: Layout, notes: Notes, intents: Intents, debts: Debts) -> int:
    """Raise the hours of dead processes' notes and the times of their intents, and pay our own debts.

    Notes and intents are read before the processes, each of which is durable before its notes: so
    none is taken for dead because it has just begun. Two sweeps at once raise twice.
    """
    owed = await debts.pay(layout, intents)
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
    return owed + len(dead_intents) + len(dead_notes)


def _within(hour: int) -> range:
    return range(hour, hour + HOUR.step, CACHED_TIERS[0].step)
