"""The parts of a span's events: its packs, which never change, and its rows, which may be replaced.

A pack is known by its number and the ids of its events. A number hardly ever comes again, nor do ids, unless
events are imported that were exported and deleted: so it takes both. An event of a pack that is replaced, or
deleted beside others, leaves that pack first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from cube.columns.block import Block
from cube.model.tier import Span
from cube.store.ports import PartEvents
from cube.store.sqlite import catalog, packs

T = TypeVar("T")

MOST_ROWS: Final = 4_096
"""Where there are more rows, parts are not worth telling."""

_NO_TIMES = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class SqliteParts:
    """`StoredParts` of a span of whole seconds, read in one snapshot by ``run``."""

    run: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]
    entry: catalog.TypeEntry
    span: Span
    keys: Mapping[int, Hashable]
    sizes: Mapping[int, int]
    has_rest: bool

    async def read(self, fields: Sequence[str], numbers: Collection[int]) -> PartEvents:
        events: PartEvents = await self.run(lambda connection: self._read(connection, fields, numbers))
        return events

    async def rest(self, fields: Sequence[str]) -> PartEvents | None:
        events: PartEvents | None = await self.run(lambda connection: self._rest(connection, fields))
        return events

    def _read(
        self, connection: sqlite3.Connection, fields: Sequence[str], numbers: Collection[int]
    ) -> PartEvents:
        chosen = f"number IN ({','.join(map(str, numbers))}) ORDER BY second, number"
        query = f"SELECT {packs.COLUMNS} FROM {self.entry.packs} WHERE {chosen}"  # noqa: S608 - our names
        found = [packs.Pack(*row) for row in connection.execute(query).fetchall()]
        times = np.concatenate([_NO_TIMES, *(pack.times_array() for pack in found)])
        ids = b"".join([id for pack in found for id in pack.event_ids()])
        return PartEvents(Block.from_arrays(times, [pack.data for pack in found], fields=fields), ids)

    def _rest(self, connection: sqlite3.Connection, fields: Sequence[str]) -> PartEvents | None:
        query = f"SELECT time, id, data FROM {self.entry.events} WHERE time >= ? AND time < ?"  # noqa: S608 - our table
        rows = connection.execute(query, (self.span.start, self.span.stop)).fetchall()
        times, ids, data = ([row[place] for row in rows] for place in range(3))
        if not all(packs.is_made(id) for id in ids):
            return None
        return PartEvents(Block.from_json(times, data, fields=fields), b"".join(ids))


def find(
    connection: sqlite3.Connection,
    type: str,
    span: Span,
    run: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
) -> SqliteParts | None:
    """Return the parts of a span of whole seconds; None where it has more rows than are worth it."""
    entry = catalog.find(connection, type)
    if entry is None or not entry.known or span.start % packs.PACK_MS or span.stop % packs.PACK_MS:
        return None
    some = f"SELECT 1 FROM {entry.events} WHERE time >= ? AND time < ? LIMIT {MOST_ROWS + 1}"  # noqa: S608 - our table
    (count,) = connection.execute(f"SELECT count(*) FROM ({some})", (span.start, span.stop)).fetchone()  # noqa: S608 - as above
    if count > MOST_ROWS:
        return None
    query = f"SELECT number, events, last_id, ids FROM {entry.packs} WHERE second >= ? AND second < ?"  # noqa: S608 - our table
    found = connection.execute(query, (span.start, span.stop)).fetchall()
    keys = {number: (events, *ids) for number, events, *ids in found}
    sizes = {number: events for number, events, *_ in found}
    return SqliteParts(run, entry, span, keys, sizes, bool(count))
