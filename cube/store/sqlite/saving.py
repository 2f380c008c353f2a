"""What one save writes: the events, and a raise for every bucket it touches, in one transaction.

Python's sqlite3 releases the interpreter's lock for each step of a statement, and `executemany` steps once
a row; one statement with many rows steps once for all of them, beside the event loop instead of in turns
with it: a sixth more events/s where both are busy.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import msgspec

from cube.model import instant
from cube.model.event import ABSENT, Event, EventId
from cube.model.event_run import EventRun, parts_of, times_of
from cube.model.horizon import refuse_expired
from cube.model.tier import CACHED_TIERS
from cube.store.sqlite import catalog, packs
from cube.store.sqlite.catalog import TypeEntry
from cube.store.sqlite.packing import Packed
from cube.store.sqlite.packs import Pack

_encode = msgspec.json.Encoder().encode

RAISED = "(number & 4611686018427387903) + excluded.number"  # 62 bits and up to 2**32: no overflow, never 0
INCREMENT = "1 + (random() & 4294967295)"
_LOOKUP_IDS = 500

MOST_ROWS = 16_384
"""A second that has more gets no packs: to look takes a millisecond then."""

SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""How many rows a statement may have: few, so that prepared ones are used again."""


@dataclass(frozen=True, slots=True)
class SaveBatch:
    """The events of one save, made ready before the transaction begins.

    ``touched``: times in all the buckets that it touches. ``latest``: of equal ids the last, but for what is
    in ``runs``. ``packed``: all of it, as packs where that can be; an event that is stored already, or whose
    type has an index on a field, becomes a row all the same.
    """

    type: str
    events: Sequence[Event]
    touched: Collection[int]
    latest: Sequence[Event]
    runs: Sequence[EventRun]
    packed: Packed

    @classmethod
    def of(cls, type: str, events: Sequence[Event]) -> SaveBatch:
        parts = parts_of(events)
        runs = [part for part in parts if isinstance(part, EventRun)]
        others = [event for part in parts if not isinstance(part, EventRun) for event in part]
        if runs and others and _share_ids(runs, others):
            runs, others = [], list(events)
        by_id = {event.id: event for event in others}
        latest = others if len(by_id) == len(others) else list(by_id.values())
        touched = {run.second for run in runs}
        touched.update([event.time for event in others])
        packed = Packed.of(latest)
        if runs:
            of_runs = Packed.of_runs(runs)
            packed = Packed([*packed.packs, *of_runs.packs], [*packed.rest, *of_runs.rest])
        return cls(type, events, touched, latest, runs, packed)

    def write(self, connection: sqlite3.Connection) -> None:
        """Store the events and raise their buckets; call it in a write transaction.

        Raises `InvalidEvent`, before anything is written, for an expired event.
        """
        found = catalog.find(connection, self.type)
        if found is not None and found.expired_before is not None:
            refuse_expired(self.type, times_of(self.events), found.expired_before)
        entry = catalog.register(connection, self.type, found)
        new, rest = self.packed.packs, self.packed.rest
        ids = (event.id for event in rest)
        stored = unpack(connection, entry, packs.holding(connection, entry.packs, new, ids))
        stored += _unpack_crowded(connection, entry, new)
        if new and (stored or _have_to_be_rows(connection, entry, new)):
            new, rest = (), [*self.latest, *chain.from_iterable(self.runs)]
        packs.insert(connection, entry.packs, new)
        times = self.touched
        values = _values(rest)
        if _insert(connection, entry, values, "NOTHING") < len(rest):
            times = {*times, *_replace(connection, entry, rest, values)}
        raise_buckets(connection, entry, buckets(times))


def _share_ids(runs: Sequence[EventRun], others: Iterable[Event]) -> bool:
    """Tell whether some other event has an id of runs, which only who guesses it can give."""
    edges = sorted(run.edges for run in runs)
    firsts = [first for first, _ in edges]
    ids = (event.id for event in others)
    places = ((id, bisect_right(firsts, id) - 1) for id in ids if packs.is_made(id))
    return any(place >= 0 and id <= edges[place][1] for id, place in places)


def unpack(connection: sqlite3.Connection, entry: TypeEntry, numbers: Collection[int]) -> int:
    """Make rows of the events of some packs; return how many packs there were."""
    insert_rows(connection, entry, packs.take(connection, entry.packs, numbers))
    return len(numbers)


def insert_rows(connection: sqlite3.Connection, entry: TypeEntry, rows: Iterable[packs.StoredRow]) -> None:
    """Make rows of events that were packed."""
    _insert(connection, entry, [value for row in rows for value in row], "NOTHING")


def unpack_before(connection: sqlite3.Connection, entry: TypeEntry, end: int) -> None:
    """Make rows of the events of packs that go on beyond a time."""
    query = f"SELECT number FROM {entry.packs} WHERE second < ? AND second > ?"  # noqa: S608 - our table
    unpack(connection, entry, [number for (number,) in connection.execute(query, (end, end - packs.PACK_MS))])


def _unpack_crowded(connection: sqlite3.Connection, entry: TypeEntry, new: Iterable[Pack]) -> int:
    """Make rows of the packs of each second that has too many events for more; return how many seconds.

    Where times are days, millions may have the same one, and a second with packs is read as a whole.
    """
    added = Counter(pack.second for pack in new)
    crowded = [
        second
        for second in (packs.seconds_to_look_at(connection, entry.packs, added) if added else ())
        if _has_many_rows(connection, entry, second) or packs.are_many(connection, entry.packs, second)
    ]
    for second in crowded:
        unpack(connection, entry, packs.numbers_of(connection, entry.packs, second))
    return len(crowded)


def _has_many_rows(connection: sqlite3.Connection, entry: TypeEntry, second: int) -> bool:
    query = f"SELECT 1 FROM {entry.events} WHERE time >= ? AND time < ? LIMIT 1 OFFSET {MOST_ROWS}"  # noqa: S608 - our table
    return connection.execute(query, (second, second + packs.PACK_MS)).fetchone() is not None


def _values(events: Iterable[Event]) -> list[Any]:
    """Return (time, id, data text) of each event, flat."""
    values: list[Any] = []
    for event in events:
        values += (event.time, event.id, None if event.data is ABSENT else _encode(event.data).decode())
    return values


def _have_to_be_rows(connection: sqlite3.Connection, entry: TypeEntry, some: Sequence[Pack]) -> bool:
    """Tell whether an index needs events of packs as rows, or they may be stored as such."""
    indexed = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql IS NOT NULL",
        (entry.events,),
    )
    if indexed.fetchone() is not None:
        return True
    return any(_has_rows(connection, entry, edges) for edges in packs.spans(some)) and any(
        _has_rows(connection, entry, pack.edges) for pack in some
    )


def _has_rows(connection: sqlite3.Connection, entry: TypeEntry, edges: tuple[bytes, bytes]) -> bool:
    query = f"SELECT 1 FROM {entry.events} WHERE id >= ? AND id <= ? LIMIT 1"  # noqa: S608 - our table
    return connection.execute(query, edges).fetchone() is not None


def _replace(
    connection: sqlite3.Connection, entry: TypeEntry, events: Sequence[Event], values: Sequence[Any]
) -> set[int]:
    """Write every event over the one stored under its id; return the times that were stored."""
    stored = _stored_times(connection, entry, [event.id for event in events])
    replacing: list[Any] = []
    live = instant.EARLIEST if entry.expired_before is None else entry.expired_before
    for position, event in enumerate(events):
        # An expired event is as good as gone: it has no time to keep.
        time = event.time if event.timed or stored[event.id] < live else stored[event.id]
        replacing += (time, event.id, values[3 * position + 2])
    _insert(connection, entry, replacing, "UPDATE SET time = excluded.time, data = excluded.data")
    return set(stored.values())


def buckets(times: Iterable[int]) -> list[tuple[int, int]]:
    """Return (step, start) of the buckets of all cached tiers that hold one of `times`."""
    finest = CACHED_TIERS[0]
    starts = {time - (time - finest.origin) % finest.step for time in times}
    found: list[tuple[int, int]] = []
    for tier in CACHED_TIERS:
        starts = {tier.floor(start) for start in starts}
        found += [(tier.step, start) for start in starts]
    return found


def raise_buckets(
    connection: sqlite3.Connection, entry: TypeEntry, raised: Iterable[tuple[int, int]]
) -> None:
    """Add a random integer from 1 to 2**32, or two, to each bucket's revision."""
    write_rows(
        connection,
        f"INSERT INTO {entry.revisions}",
        f"(?, ?, {INCREMENT})",
        f"ON CONFLICT DO UPDATE SET number = {RAISED}",
        [part for bucket in raised for part in bucket],
        2,
    )


def write_rows(
    connection: sqlite3.Connection, head: str, row: str, tail: str, values: Sequence[Any], width: int
) -> int:
    """Execute ``head VALUES row, row, … tail`` over a flat sequence of values, `width` to a row.

    Repeats the last row up to the next of `SIZES`, so writing a row twice must do no harm. Returns
    the number of rows changed.
    """
    changed = 0
    for position in range(0, len(values), SIZES[-1] * width):
        part = [*values[position : position + SIZES[-1] * width]]
        count = len(part) // width
        size = SIZES[bisect_left(SIZES, count)]
        part += part[-width:] * (size - count)
        changed += connection.execute(f"{head} VALUES {','.join([row] * size)} {tail}", part).rowcount
    return changed


def _insert(connection: sqlite3.Connection, entry: TypeEntry, values: Sequence[Any], on_conflict: str) -> int:
    head = f"INSERT INTO {entry.events} (time, id, data)"
    return write_rows(connection, head, "(?,?,?)", f"ON CONFLICT DO {on_conflict}", values, 3)


def _stored_times(
    connection: sqlite3.Connection, entry: TypeEntry, ids: Sequence[EventId]
) -> dict[EventId, int]:
    stored: dict[EventId, int] = {}
    for position in range(0, len(ids), _LOOKUP_IDS):
        some = ids[position : position + _LOOKUP_IDS]
        marks = ",".join("?" * len(some))
        found = connection.execute(f"SELECT id, time FROM {entry.events} WHERE id IN ({marks})", some)  # noqa: S608 - our table, marks only
        stored.update(found)
    return stored
