"""Deleting some events by an expression, and raising buckets by hand: each slice in a transaction.

Which events are selected is looked up outside of the transaction, beside others that save; in it only those
are looked at again. What has been replaced meanwhile is judged as it is now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from cube.columns import needed, selected
from cube.columns.block import Block
from cube.expression.nodes import EventExpression
from cube.model import instant
from cube.model.event import EventId
from cube.model.tier import CACHED_TIERS, Span
from cube.store.selected_places import Place, shown_by_filters
from cube.store.sqlite import catalog, packs, saving
from cube.store.sqlite.catalog import TypeEntry
from cube.store.sqlite.packs import Pack

MOST_PACKS: Final = 50
"""Packs that one transaction writes anew: 50 MiB at most, and usually much less."""

_LOOKUP_IDS = 500


class Removed(NamedTuple):
    """What one transaction did: how many of the places it looked at, and how many events it deleted."""

    looked_at: int
    deleted: int


class _Row(NamedTuple):
    """An event as it is stored; ``pack``: the number of its pack, None for a row of its own."""

    time: int
    id: EventId
    data: str | None
    pack: int | None


@dataclass(frozen=True, slots=True)
class RowRemoval:
    """Deletes those of some places that an expression still selects, the first ones first."""

    expression: EventExpression
    places: Sequence[Place]

    def write(self, connection: sqlite3.Connection) -> Removed:
        """Delete events and raise their buckets; call it in a write transaction."""
        entry = catalog.find(connection, self.expression.type)
        if entry is None or not entry.known:
            return Removed(len(self.places), 0)
        places, numbers = self._within_bounds(connection, entry)
        rows = [*_own_rows(connection, entry, places), *_packed_rows(connection, entry, numbers, places)]
        rows = self._selected(rows)
        with _overwriting(connection):
            own = [(row.time, row.id) for row in rows if row.pack is None]
            connection.executemany(f"DELETE FROM {entry.events} WHERE time = ? AND id = ?", own)  # noqa: S608 - our table
            for number in {row.pack for row in rows if row.pack is not None}:
                gone = {(row.time, row.id) for row in rows if row.pack == number}
                _shrink(connection, entry, number, gone)
        if rows:
            times = {row.time for row in rows}
            saving.raise_buckets(connection, entry, saving.buckets(times))
        return Removed(len(places), len(rows))

    def _within_bounds(
        self, connection: sqlite3.Connection, entry: TypeEntry
    ) -> tuple[Sequence[Place], set[int]]:
        """Return the first places, as many as are in `MOST_PACKS`, or one, and the numbers of their packs."""
        places = self.places
        while True:
            numbers = packs.holding(connection, entry.packs, (), (id for _, id in places))
            if len(numbers) <= MOST_PACKS or len(places) == 1:
                return places, numbers
            places = places[: max(1, min(len(places) // 2, len(places) * MOST_PACKS // len(numbers)))]

    def _selected(self, rows: Sequence[_Row]) -> list[_Row]:
        """Return those that the expression selects as they are now."""
        expression = shown_by_filters(self.expression)
        ids = [row.id for row in rows]
        block = Block.from_json(
            [row.time for row in rows], [row.data for row in rows], ids, fields=needed(expression)
        )
        return [rows[place] for place in np.flatnonzero(selected(expression, block)).tolist()]


def known_buckets(connection: sqlite3.Connection, entry: TypeEntry, span: Span) -> list[int]:
    """Return the starts of a span's finest buckets that have an event or a revision, and have not expired.

    Those that a limit of the span cuts are among them.
    """
    tier = CACHED_TIERS[0]
    step, origin = tier.step, tier.origin
    floor = f"time - ((time - {origin}) % {step} + {step}) % {step}"  # % has the sign of the left side
    query = (
        f"SELECT {floor} FROM {entry.events} WHERE time >= :start AND time < :stop"  # noqa: S608 - our names
        f" UNION SELECT {floor} FROM (SELECT second AS time FROM {entry.packs}"
        f" WHERE second > :start - {packs.PACK_MS} AND second < :stop)"
        f" UNION SELECT bucket FROM {entry.revisions} WHERE step = {step} AND bucket > :start - {step}"
        " AND bucket < :stop"
    )
    live = instant.EARLIEST if entry.expired_before is None else entry.expired_before
    bounds = {"start": max(span.start, live), "stop": span.stop}
    return [start for (start,) in connection.execute(query, bounds)]


def _own_rows(connection: sqlite3.Connection, entry: TypeEntry, places: Sequence[Place]) -> Iterator[_Row]:
    wanted = set(places)
    ids = [id for _, id in places]
    for position in range(0, len(ids), _LOOKUP_IDS):
        some = ids[position : position + _LOOKUP_IDS]
        marks = ",".join("?" * len(some))
        query = f"SELECT time, id, data FROM {entry.events} WHERE id IN ({marks})"  # noqa: S608 - our table, marks only
        for time, id, data in connection.execute(query, some).fetchall():
            if (time, id) in wanted:
                yield _Row(time, id, data, None)


def _packed_rows(
    connection: sqlite3.Connection, entry: TypeEntry, numbers: set[int], places: Sequence[Place]
) -> Iterator[_Row]:
    wanted = set(places)
    for number in numbers:
        for time, id, data in packs.read(connection, entry.packs, number).rows():
            if (time, id) in wanted:
                yield _Row(time, id, data, number)


def _shrink(connection: sqlite3.Connection, entry: TypeEntry, number: int, gone: set[Place]) -> None:
    """Take events out of a pack; where few are left they become rows."""
    pack = packs.read(connection, entry.packs, number)
    left = [row for row in pack.rows() if row[:2] not in gone]
    connection.execute(f"DELETE FROM {entry.packs} WHERE number = ?", (number,))  # noqa: S608 - our table
    if len(left) >= packs.MIN_EVENTS:
        packs.insert(connection, entry.packs, [Pack.of_rows(pack.second, left)])
    elif left:
        saving.insert_rows(connection, entry, left)


@contextmanager
def _overwriting(connection: sqlite3.Connection) -> Iterator[None]:
    """Have SQLite overwrite what it deletes: the data of a person are not to be found in free pages."""
    (usual,) = connection.execute("PRAGMA secure_delete").fetchone()
    connection.execute("PRAGMA secure_delete = ON").fetchall()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA secure_delete = {usual}").fetchall()
