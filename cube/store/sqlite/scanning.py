"""The statements of a scan: block after block, each as one row where nobody asks for ids.

Python's sqlite3 gives up the interpreter's lock for each row, and may wait for it a while beside a busy
thread: beside an event loop under load, 4 000 rows took seconds, and the same joined in one row 15 ms.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.model.event import EventId
from cube.model.tier import Span
from cube.store.bucket_revisions import BucketRevisions
from cube.store.equality import Scalar, Wanted
from cube.store.sqlite.field_index import Lookup

FIRST_BLOCK_ROWS = 1_024  # a query for the latest few events reads few
BLOCK_ROWS = 4_096  # a block is read and decoded in one time slice: some 10 ms
BLOCK_BYTES = 2 * 1024 * 1024

_GROWTH = 4
_STEP_ROWS = 16  # how many rows are read between two looks at the block's bytes
_JOINED_BYTES = 4 * BLOCK_BYTES  # more is read row by row

_integers = msgspec.json.Decoder(list[int]).decode


@dataclass(frozen=True, slots=True)
class BlockQuery:
    """Where the next block of a scan begins: after the event (time, id), or at the span's edge.

    ``holding``: what the JSON of the data must hold. ``lookup``: the index that finds the events.
    """

    table: str
    span: Span
    fields: Sequence[str] | None
    ids: bool
    newest_first: bool
    holding: tuple[str, ...] = ()
    lookup: Lookup | None = None
    rows: int = FIRST_BLOCK_ROWS
    after: tuple[int, EventId] | None = None

    def read(self, connection: sqlite3.Connection) -> tuple[Block, BlockQuery | None]:
        """Read one block; with it the query for the one after it, None if there is none."""
        if not (self.ids or self.newest_first or (self.holding and self.lookup is None)):
            full = f"{self._select('time, id')} ORDER BY time, id LIMIT 1 OFFSET {self.rows - 1}"
            last = connection.execute(full, self._parameters()).fetchone()  # of a full block
            block = self._joined(connection, last)
            if block is not None:
                return block, None if last is None else self._next(block, last)
        return self._read_rows(connection)

    def _joined(self, connection: sqlite3.Connection, last: tuple[int, EventId] | None) -> Block | None:
        """Read the events up to one, or to the end, as one row; None where that is not possible."""
        parameters = self._parameters()
        until = ""
        if last is not None:
            until = "AND (time, id) <= (:last_time, :last_id) "
            parameters |= {"stop": last[0] + 1, "last_time": last[0], "last_id": last[1]}
        key = "time" if self.lookup is None else "time, id"  # what is merged shows what it is ordered by
        rows = f"{self._select(f'{key}, {self.data} AS data', until)} ORDER BY time, id"
        try:
            with _texts_of_at_most(connection, _JOINED_BYTES):
                count, present, times, data = connection.execute(_joined_row(rows), parameters).fetchone()
        except sqlite3.DataError:  # longer than that
            return None
        absent = None
        if 0 < present < count:
            (marks,) = connection.execute(f"SELECT group_concat(data IS NULL, '') FROM ({rows})", parameters)  # noqa: S608 - our names
            absent = np.frombuffer(marks[0].encode(), dtype=np.uint8) == ord("1")
        return _block(count, present, times or "", data or "", absent, self.fields)

    def _read_rows(self, connection: sqlite3.Connection) -> tuple[Block, BlockQuery | None]:
        order = "DESC" if self.newest_first else "ASC"
        rows = f"{self._select(f'time, id, {self.data}')} ORDER BY time {order}, id {order} LIMIT {self.rows}"
        cursor = connection.execute(rows, self._parameters())
        try:
            found = _bounded(cursor)
        finally:
            cursor.close()
        times = [row[0] for row in found]
        ids = [row[1] for row in found] if self.ids else None
        block = Block.from_json(times, [row[2] for row in found], ids, fields=self.fields)
        return block, self._next(block, found[-1][:2]) if found else None

    def _next(self, block: Block, last: tuple[int, EventId]) -> BlockQuery:
        """Return the query that goes on, for as many rows as `BLOCK_BYTES` hold, about, of these."""
        growth = min(_GROWTH, BLOCK_BYTES / max(1, block.size))
        rows = max(_STEP_ROWS, min(int(len(block) * growth), BLOCK_ROWS))
        return replace(self, rows=rows, after=last)

    @property
    def reads_data(self) -> bool:
        return self.fields is None or bool(self.fields)

    @property
    def data(self) -> str:
        """The SQL of what is read of the data."""
        return "data" if self.reads_data else "NULL"

    def may_pass(self, text: str | None) -> bool:
        """Tell whether the JSON of an event's data holds what it must hold."""
        return not self.holding or (text is not None and all(held in text for held in self.holding))

    def _select(self, columns: str, until: str = "") -> str:
        """Return the statement without its order; with an index two of them, both of which that orders."""
        after = f"AND (time, id) {'<' if self.newest_first else '>'} (:time, :id) " if self.after else ""
        holding = "".join(f"AND instr(data, :text{number}) " for number in range(len(self.holding)))
        index = "" if self.lookup is None else self.lookup.source
        select = (
            f"SELECT {columns} FROM {self.table} {index} WHERE TRUE {self._within(until)}"  # noqa: S608 - our names
            f"{holding}{until}{after}"
        )
        if self.lookup is None:
            return select
        return " UNION ALL ".join(f"{select}AND {condition}" for condition in self.lookup.conditions)

    def _within(self, until: str) -> str:
        """Return the span as conditions; where (time, id) has such a bound, without that of the time.

        SQLite uses one of both: then each block of events of one time would look at all before it.
        """
        is_bounded = self.after is not None and self.lookup is None
        lower = "" if is_bounded and not self.newest_first else "AND time >= :start "
        is_bounded = (is_bounded and self.newest_first) or (bool(until) and self.lookup is None)
        return lower + ("" if is_bounded else "AND time < :stop ")

    def _parameters(self) -> dict[str, Scalar | EventId]:
        start, stop = self._edges()
        parameters: dict[str, Scalar | EventId] = {"start": start, "stop": stop}
        parameters |= {f"text{number}": text for number, text in enumerate(self.holding)}
        if self.after is not None:
            parameters |= {"time": self.after[0], "id": self.after[1]}
        return parameters if self.lookup is None else parameters | {"wanted": self.lookup.value}

    def _edges(self) -> tuple[int, int]:
        """Return the span of what is left: SQLite does not see that ``after`` bounds the time as well."""
        start, stop = self.span.start, self.span.stop
        if self.after is None:
            return start, stop
        time = self.after[0]
        return (start, min(stop, time + 1)) if self.newest_first else (max(start, time), stop)


def _joined_row(rows: str) -> str:
    return (
        "SELECT count(*), count(data), group_concat(time), group_concat(coalesce(data, 'null'))"  # noqa: S608 - our names
        f" FROM ({rows})"
    )


def as_stored(wanted: Wanted) -> tuple[str, ...]:
    """Return wanted texts as they stand in stored data, which is JSON of one encoder."""
    texts = (value for value in wanted.values() if isinstance(value, str))
    return tuple(msgspec.json.encode(text).decode() for text in texts)


def read_revisions(connection: sqlite3.Connection, query: str, parameters: Sequence[int]) -> BucketRevisions:
    """Return what a query finds, a bucket and its revision a row: read as one row."""
    joined = f"WITH pairs(a, b) AS ({query}) SELECT group_concat(a), group_concat(b) FROM pairs"  # noqa: S608
    buckets, revisions = (_numbers(each) for each in connection.execute(joined, parameters).fetchone())
    return BucketRevisions.sorted(buckets, revisions)


@contextmanager
def _texts_of_at_most(connection: sqlite3.Connection, length: int) -> Iterator[None]:
    """Refuse longer texts in this block: those that are joined, and those that are stored."""
    usual = connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, length)
    try:
        yield
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, usual)


def _block(
    count: int,
    present: int,
    times: str,
    data: str,
    absent: npt.NDArray[np.bool_] | None,
    fields: Sequence[str] | None,
) -> Block | None:
    """Make a block of joined rows; None where they are not in order, which SQLite does not promise."""
    instants = _numbers(times)
    if len(instants) != count or (np.diff(instants) < 0).any():
        return None
    if not present:
        return Block.from_json(_listed(times), [None] * count, fields=fields)
    if absent is not None and (len(absent), int(absent.sum())) != (count, count - present):
        return None
    return Block.from_joined(instants, data, absent, fields=fields)


def _numbers(joined: str | None) -> npt.NDArray[np.int64]:
    return np.array(_listed(joined), dtype=np.int64)


def _listed(joined: str | None) -> list[int]:
    return _integers(f"[{joined or ''}]")


def _bounded(cursor: sqlite3.Cursor) -> list[tuple[int, EventId, str | None]]:
    found: list[tuple[int, EventId, str | None]] = []
    length = 0
    while length < BLOCK_BYTES and (some := cursor.fetchmany(_STEP_ROWS)):
        found += some
        length += sum(len(row[2]) for row in some if row[2] is not None)
    return found
