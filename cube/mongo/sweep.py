"""The sweep: raising what commits that never finished may have touched."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from cube.mongo import revisions
from cube.mongo.intents import Intents
from cube.mongo.layout import Layout
from cube.mongo.notes import Notes
from cube.tier import CACHED_TIERS, HOUR


class Debts:
    """What failed commits of this process touched: hours by type, and intents left open."""

    def __init__(self) -> None:
        self._hours: defaultdict[str, set[int]] = defaultdict(set)
        self._intents: defaultdict[str, set[object]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._hours)

    def add(self, type: str, times: Iterable[int], intents: Iterable[object]) -> None:
        """Take on what one commit touched."""
        self._hours[type].update(map(HOUR.floor, times))
        self._intents[type].update(intents)

    def hours(self) -> set[tuple[str, int]]:
        """Return the type and hour of all that is owed."""
        return {(name, hour) for name, hours in self._hours.items() for hour in hours}

    def take(self) -> Iterator[tuple[str, set[int], set[object]]]:
        """Hand out all debts, type by type; what cannot be paid is to be added again."""
        for name in list(self._hours):
            yield name, self._hours.pop(name), self._intents.pop(name, set())


async def sweep(layout: Layout, notes: Notes, intents: Intents, debts: Debts) -> int:
    """Raise the hours of dead processes' notes and the times of their intents, and pay our own debts.

    Notes and intents are read before the processes, each of which is durable before its notes: so
    none is taken for dead because it has just begun. Two sweeps at once raise twice.
    """
    owed = await _pay(layout, intents, debts)
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


async def _pay(layout: Layout, intents: Intents, debts: Debts) -> int:
    paid = 0
    for name, hours, opened in debts.take():
        try:
            for hour in sorted(hours):
                await revisions.raise_times(layout, name, _within(hour))
            await intents.close(opened)
        except BaseException:
            debts.add(name, hours, opened)
            raise
        paid += len(hours)
    return paid


def _within(hour: int) -> range:
    return range(hour, hour + HOUR.step, CACHED_TIERS[0].step)
