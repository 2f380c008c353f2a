"""A scan over what is stored in rows and in packs, in the one order of (time, id).

The span is read section by section: seconds that have packs, with their rows, and what lies between, which
has rows alone and is `scanning`'s.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.model.event import EventId, id_key
from cube.model.tier import Span
from cube.store.sqlite.packs import COLUMNS, PACK_MS, Pack
from cube.store.sqlite.scanning import BLOCK_BYTES, BLOCK_ROWS, BlockQuery

_NOTHING = Block(np.array([], dtype=np.int64), [])

Row: TypeAlias = "tuple[int, EventId, str | None]"
Times: TypeAlias = "npt.NDArray[np.int64]"
Run: TypeAlias = "tuple[Times, Sequence[str]]"
"""The times of some events in order, and their data: JSON arrays, one behind the other."""


@dataclass(frozen=True, slots=True)
class MergedQuery:
    """Where the next block of a scan begins.

    ``span``: what no section has been made of yet. ``section``: what is left of the rows between packs that
    are being read. What is left of seconds with packs: ``runs`` of packs, each of which is a block as it is,
    or ``merged`` rows, in the order of the scan.
    """

    whole: BlockQuery
    packs: str
    span: Span
    section: BlockQuery | None = None
    runs: Sequence[Run] = ()
    merged: Sequence[Row] = ()

    @classmethod
    def of(cls, rows: BlockQuery, packs: str) -> MergedQuery:
        """Begin a scan of what a query finds among rows, and of the same in packs."""
        return cls(rows, packs, rows.span)

    def read(self, connection: sqlite3.Connection) -> tuple[Block, MergedQuery | None]:
        """Read one block, which may be empty; with it the query for the next one, None if there is none."""
        if self.runs:
            return self.run()
        if self.merged:
            return self.part()
        if self.section is not None:
            block, section = self.section.read(connection)
            return block, replace(self, section=section).or_end()
        second = self._next_second(connection)
        if second is None:
            return self._rows(self.span.start, self.span.stop).read(connection)
        start, stop = max(self.span.start, second), min(self.span.stop, second + PACK_MS)
        if self.whole.newest_first and stop < self.span.stop:
            return self._rows(stop, self.span.stop).read(connection)
        if not self.whole.newest_first and start > self.span.start:
            return self._rows(self.span.start, start).read(connection)
        return self._seconds(connection, second)

    def or_end(self) -> MergedQuery | None:
        """Return this query, or None where nothing is left of it."""
        is_read = self.section is None and not self.runs and not self.merged
        is_over = is_read and self.span.start >= self.span.stop
        return None if is_over else self

    def _left(self, start: int, stop: int) -> Span:
        """Return what is left of the span once a part at its beginning, in the scan's order, is read."""
        if self.whole.newest_first:
            return Span(self.span.start, max(self.span.start, start))
        return Span(min(self.span.stop, stop), self.span.stop)

    def _rows(self, start: int, stop: int) -> MergedQuery:
        passed = self.whole.after
        is_within = passed is not None and start <= passed[0] < stop
        section = replace(self.whole, span=Span(start, stop), after=passed if is_within else None)
        return replace(self, span=self._left(start, stop), section=section)

    def _next_second(self, connection: sqlite3.Connection) -> int | None:
        """Return the first second of the span, in the scan's order, that has packs."""
        order = "DESC" if self.whole.newest_first else "ASC"
        within = "second > ? AND second < ?"
        found = connection.execute(
            f"SELECT second FROM {self.packs} WHERE {within} ORDER BY second {order} LIMIT 1",  # noqa: S608 - our table
            (self.span.start - PACK_MS, self.span.stop),
        ).fetchone()
        return None if found is None else int(found[0])

    def _seconds(self, connection: sqlite3.Connection, second: int) -> tuple[Block, MergedQuery | None]:
        """Read seconds with packs, from one on that has some, one after the other without a gap."""
        packs = self._packs_from(connection, second)
        first, last = min(packs[0].second, packs[-1].second), max(packs[0].second, packs[-1].second)
        packs = [pack for pack in packs if not self._is_passed_whole(pack)]
        start, stop = max(first, self.span.start), min(last + PACK_MS, self.span.stop)
        left = replace(self, span=self._left(start, stop))
        rows = self._rows_within(connection, start, stop)
        if not rows and (first, last + PACK_MS) == (start, stop):
            runs = self._as_they_are(packs)
            if runs:
                return replace(left, runs=runs).run()
        merged = self._merged(packs, rows, start, stop)
        return replace(left, merged=merged).part() if merged else (_NOTHING, left.or_end())

    def _packs_from(self, connection: sqlite3.Connection, second: int) -> list[Pack]:
        """Return the packs of a second and of those that follow it, up to a block, always all of a second."""
        newest_first = self.whole.newest_first
        data = COLUMNS if self.whole.reads_data else COLUMNS.replace(" data", " '' AS data")
        step, (beyond, order) = (-PACK_MS, ("<", "DESC")) if newest_first else (PACK_MS, (">", "ASC"))
        cursor = connection.execute(
            f"SELECT {data} FROM {self.packs} WHERE second {beyond}= ? ORDER BY second {order}, number",  # noqa: S608 - our table
            (second,),
        )
        found: list[Pack] = []
        count = size = 0
        for row in cursor:
            pack = Pack(*row)
            if pack.second != second:
                is_next = pack.second == second + step and self.span.start < pack.second + PACK_MS
                if not is_next or pack.second >= self.span.stop or newest_first:
                    break
                if count + pack.events > BLOCK_ROWS or size > BLOCK_BYTES:
                    break
                second = pack.second
            found.append(pack)
            count += pack.events
            size += len(pack.data)
        cursor.close()
        return found

    def _rows_within(self, connection: sqlite3.Connection, start: int, stop: int) -> list[Row]:
        whole = self.whole
        return connection.execute(
            f"SELECT time, id, {whole.data} FROM {whole.table} WHERE time >= ? AND time < ?",  # noqa: S608 - our table
            (start, stop),
        ).fetchall()

    def _as_they_are(self, packs: Sequence[Pack]) -> Sequence[Run]:
        """Return packs as runs, each a block, where no more is asked for than they tell, and none overlap."""
        whole = self.whole
        if whole.ids or whole.newest_first or whole.holding or not whole.reads_data:
            return ()
        timed = sorted(((pack.times_array(), pack.data) for pack in packs), key=lambda each: int(each[0][0]))
        if not _ascend([times for times, _ in timed]):
            return ()
        runs: list[list[tuple[Times, str]]] = []
        rows = size = 0
        for times, data in timed:
            if len(times) > BLOCK_ROWS or len(data) > BLOCK_BYTES:
                return ()
            rows, size = rows + len(times), size + len(data)
            if not runs or rows > BLOCK_ROWS or size > BLOCK_BYTES:
                runs.append([])
                rows, size = len(times), len(data)
            runs[-1].append((times, data))
        return [(np.concatenate([times for times, _ in run]), [data for _, data in run]) for run in runs]

    def run(self) -> tuple[Block, MergedQuery | None]:
        """Return a run as a block, and what is left then."""
        times, arrays = self.runs[0]
        block = Block.from_arrays(times, arrays, fields=self.whole.fields)
        return block, replace(self, runs=self.runs[1:]).or_end()

    def _merged(self, packs: Sequence[Pack], rows: Sequence[Row], start: int, stop: int) -> Sequence[Row]:
        """Return packs and rows in the order of the scan, without what is passed, or left out for sure."""
        found: list[Row] = list(rows)
        for pack in packs:
            texts = pack.texts() if self.whole.reads_data else [None] * pack.events
            found += zip(pack.instants(), pack.event_ids(), texts, strict=True)
        passed = self.whole.after
        if passed is not None and start <= passed[0] < stop:
            found = [row for row in found if not self._is_passed(row[0], row[1], passed)]
        kept = [row for row in found if start <= row[0] < stop and self.whole.may_pass(row[2])]
        kept.sort(key=_place if rows else itemgetter(0, 1), reverse=self.whole.newest_first)
        return kept

    def _is_passed(self, time: int, id: EventId, passed: tuple[int, EventId]) -> bool:
        """Tell whether an event is of the time that the scan is behind, and passed there."""
        if time != passed[0]:
            return False
        mine, other = id_key(passed[1]), id_key(id)
        return other >= mine if self.whole.newest_first else other <= mine

    def _is_passed_whole(self, pack: Pack) -> bool:
        """Tell of a pack of one time, without a look at its data, whether all of it is passed."""
        passed = self.whole.after
        if passed is None or not pack.second <= passed[0] < pack.second + PACK_MS:
            return False
        is_one = set(pack.instants()) == {passed[0]}
        return is_one and all(self._is_passed(passed[0], id, passed) for id in pack.edges)

    def part(self) -> tuple[Block, MergedQuery | None]:
        """Return a block of what is merged, and what is left then."""
        rows, whole = self.merged[:BLOCK_ROWS], self.whole
        size = sum(len(row[2]) for row in rows if row[2] is not None)
        if size > BLOCK_BYTES:
            rows = rows[: max(1, len(rows) * BLOCK_BYTES // size)]
        ids: Any = [row[1] for row in rows] if whole.ids else None
        block = Block.from_json([row[0] for row in rows], [row[2] for row in rows], ids, fields=whole.fields)
        return block, replace(self, merged=self.merged[len(rows) :]).or_end()


def _ascend(times: Sequence[Times]) -> bool:
    """Tell whether packs of these times, one after the other, are in the order of (time, id)."""
    # Within a pack equal times have their ids in order; of two packs nobody has compared them.
    return all(earlier[-1] < later[0] for earlier, later in pairwise(times))


def _place(row: Row) -> tuple[int, Any]:
    return row[0], id_key(row[1])
