"""Answers as the JSON objects of the native interface, written part by part, up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain, islice, product
from typing import Any, ClassVar, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from cube import json_text
from cube.columns.values import Floats
from cube.model import instant
from cube.model.event import ABSENT
from cube.model.grid import Grid
from cube.model.tier import GroupKey, Scalar, Span, group_of_key, is_rest
from cube.store.find import Found
from cube.web import MemoryBudget, Reply, Reservation
from evaluator.engine.series import Series
from evaluator.query.queries import AnswerDropped, LimitExceeded

Row: TypeAlias = "dict[str, Any]"
Frame: TypeAlias = Callable[[Row], Mapping[str, Any]]

PART_ROWS = 1_000
"""Rows made in one piece: some milliseconds."""

FEW_TIMES = 8
"""Fewer are written one by one."""

PART_TEXTS = 5_000
"""So many of those that are written from arrays."""

ROW_BYTES = 48
"""What a text takes beside its bytes."""

REPORT_BYTES = 64 * 1024
"""A writer reports how much it holds in steps of these."""

_NUMBERS = msgspec.json.Encoder()
_MAY_BE_DATED = frozenset({dict, list, datetime})
_EXACT = 2.0**53  # larger floats are written as floats: not every integer there is one


class AnswerSize:
    """Counts the bytes of an answer's JSON, of which there may be ``limit``; ``bytes``: so far."""

    def __init__(self, limit: int) -> None:
        self.bytes = 0
        self._limit = limit

    def add(self, more: int) -> None:
        """Count so many bytes more; raises `LimitExceeded` over the limit."""
        if self.bytes + more > self._limit:
            raise LimitExceeded(
                f"The answer has more than {self._limit} bytes of JSON, which is the limit:"
                " take a shorter span or a lower limit, or name the fields that you need.",
                reason="bytes",
            )
        self.bytes += more

    def add_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count rows that are written later, and somewhere else."""
        for row in rows:
            self.add(len(json_text.encode(row)) + 1)


class ResponseWriter:
    """The rows of one answer as JSON texts of ``limit`` bytes together at most; ``size``: so far.

    ``answers`` bounds what all answers hold together, from when they grow; what this one holds is given
    back at the end of a ``with`` block. Where others need the room more, ``rows`` are dropped, and what
    would add to them raises `AnswerDropped`. ``frame``: what a client is shown of a row, unless as it is.
    """

    is_slow: ClassVar[bool] = False
    """Whether even a few rows are better written in a thread."""

    def __init__(self, limit: int, answers: MemoryBudget, frame: Frame | None = None) -> None:
        self.rows: list[Any] = []  # of JSON texts, unless a subclass keeps others
        self._size = AnswerSize(limit)
        self._frame = frame
        self._unreported = 0
        self._growing = Reservation(answers, self._drop, AnswerDropped)
        self._give_up: Callable[[], object] | None = None

    def __enter__(self) -> ResponseWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def size(self) -> int:
        """The bytes of the answer so far."""
        return self._size.bytes

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write in this block: what is waited for in it is given up where the rows are dropped."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                self._give_up = partial(loop.call_soon_threadsafe, _expire, limit)
                yield
        except TimeoutError:
            self._growing.check()
            raise
        finally:
            self._give_up = None

    def hold(self, more: int) -> None:
        """Hold so many bytes more, or less, beside the rows; raises `AnswerDropped` as `write` does."""
        if more > 0:
            self._growing.grow(more)
        else:
            self._growing.shrink(-more)

    def write(self, rows: Iterable[Row]) -> None:
        """Write some rows; raises `LimitExceeded` over the limit."""
        for row in rows if self._frame is None else map(self._frame, rows):
            self._take(json_text.encode(row))
        self._report()

    def write_found(self, found: Iterable[Found], may_end: bool) -> int:
        """Write some events and return how many; with ``may_end`` those up to the limit, if there are any."""
        rows = event_rows(found)
        texts = map(json_text.encode, rows if self._frame is None else map(self._frame, rows))
        return self.take_fitting(((text, len(text) + 1) for text in texts), may_end)

    def take_fitting(self, rows: Iterable[tuple[Any, int]], may_end: bool) -> int:
        """Take rows, each with its size in the answer, as `write_found` does."""
        before = len(self.rows)
        try:
            for row, size in rows:
                self.count(size)
                self.rows.append(row)
        except LimitExceeded:
            if not (may_end and self.rows):
                raise
        self._report()
        return len(self.rows) - before

    def count(self, size: int) -> None:
        """Count so many bytes more of the answer; raises as `write` does."""
        self._size.add(size)
        self._grow(size - 1 + ROW_BYTES)

    def write_metrics(self, series: Series, grid: Grid, span: Span) -> Iterator[None]:
        """Write the rows of a series, a part of them at each step; raises as `write` does."""
        if self._frame is not None:
            for rows in metric_parts(series, grid, span):
                self.write(rows)
                yield
            return
        for text in metric_texts(series, grid, span):
            self._take(text)
            self._report()
            yield

    async def reply(self, headers: tuple[tuple[str, str], ...]) -> Reply:
        """Return the answer as a reply; raises as `array` does."""
        return Reply(self.array(), headers=headers)

    def array(self) -> bytes:
        """Return the rows as one JSON array; they are held no more. Raises as `write` does."""
        self._grow(self.size)
        self.complete()
        rows = self.rows or [b""]
        rows[0] = b"[" + rows[0]
        rows[-1] += b"]"
        text = b",".join(rows)  # the whole is copied once: it may be megabytes
        self.rows.clear()
        return text

    def complete(self) -> None:
        """Have all rows: they are not dropped any more. Raises `AnswerDropped` where they were."""
        self._report()
        self._growing.complete()

    def release(self) -> None:
        self._growing.release()

    def _drop(self) -> None:
        self.rows.clear()
        give_up = self._give_up
        if give_up is not None:
            give_up()

    def _take(self, text: bytes) -> None:
        self.count(len(text) + 1)
        self.rows.append(text)

    def _grow(self, size: int) -> None:
        self._unreported += size
        if self._unreported >= REPORT_BYTES:
            self._report()

    def _report(self) -> None:
        self._growing.grow(self._unreported)
        self._unreported = 0


def _expire(limit: asyncio.Timeout) -> None:
    with suppress(RuntimeError):  # the block has ended meanwhile
        limit.reschedule(asyncio.get_running_loop().time())


def metric_rows(series: Series, grid: Grid, span: Span) -> list[Row]:
    """Return ``{time, value?, group?}`` for each bucket of a span, ordered by time, then by group."""
    return list(chain.from_iterable(metric_parts(series, grid, span)))


def metric_parts(series: Series, grid: Grid, span: Span) -> Iterator[list[Row]]:
    """Yield what `metric_rows` returns, in lists of about `PART_ROWS`."""
    keys = None if series.groups is None else sorted(series.groups)
    for part, some in _parts(series, grid, span, PART_ROWS):
        times = bucket_times(grid, part)
        if keys is None or series.groups is None:
            values = series.default[some].tolist()
            yield [metric_row(time, value) for time, value in zip(times, values, strict=True)]
        else:
            table = np.array([series.groups[key][some] for key in keys]).T.tolist()
            groups = [group_shown(key) for key in keys]
            yield [
                {**metric_row(time, value), **group}
                for time, values in zip(times, table, strict=True)
                for value, group in zip(values, groups, strict=True)
            ]


def metric_texts(series: Series, grid: Grid, span: Span) -> Iterator[bytes]:
    """Yield the JSON of the rows that `metric_rows` returns, joined by commas, about `PART_TEXTS` at once."""
    keys = None if series.groups is None else sorted(series.groups)
    for part, some in _parts(series, grid, span, PART_TEXTS):
        if keys is None or series.groups is None:
            yield _joined_rows(grid, part, (b"}",), series.default[some])
        else:
            table = np.array([series.groups[key][some] for key in keys]).T
            ends = (b"," + json_text.encode(group_shown(key))[1:] for key in keys)
            yield _joined_rows(grid, part, tuple(ends), table.ravel())


def _parts(series: Series, grid: Grid, span: Span, rows: int) -> Iterator[tuple[Span, slice]]:
    """Cut a span into parts of about so many rows of an answer; yield each, and where its numbers are."""
    groups = 1 if series.groups is None else len(series.groups)
    if groups:
        count, buckets = max(1, rows // groups), grid.buckets(span)
        for first in range(0, len(buckets), count):
            some = slice(first, min(first + count, len(buckets)))
            stop = buckets[some.stop] if some.stop < len(buckets) else span.stop
            yield Span(buckets[first], stop), some


def _joined_rows(grid: Grid, span: Span, ends: tuple[bytes, ...], values: Floats) -> bytes:
    """Write the rows of each bucket with each end, of so many values."""
    numbers = _NUMBERS.encode(_shown(values))[1:-1].split(b",")  # as one text, which costs least
    if not np.isnan(values).any():
        return _template(grid, span, ends) % tuple(numbers)
    pairs = product(_row_starts(grid, span), ends)
    return b",".join(
        [
            start + end if number == b"null" else start + b',"value":' + number + end
            for (start, end), number in zip(pairs, numbers, strict=True)
        ]
    )


@lru_cache(maxsize=8)
def _template(grid: Grid, span: Span, ends: tuple[bytes, ...]) -> bytes:
    """Write the rows of a span with a place for each value; many charts show the same."""
    escaped = [end.replace(b"%", b"%%") for end in ends]
    pairs = product(_row_starts(grid, span), escaped)
    return b",".join([start + b',"value":%b' + end for start, end in pairs])


def _shown(values: Floats) -> list[float]:
    """Return values as rows show them, NaN where there is none."""
    with np.errstate(invalid="ignore"):
        is_whole = (np.abs(values) < _EXACT) & (values == np.trunc(values))
    if is_whole.all():
        whole: list[float] = values.astype(np.int64).tolist()
        return whole
    return [
        int(value) if its else value for value, its in zip(values.tolist(), is_whole.tolist(), strict=True)
    ]


@lru_cache(maxsize=8)
def _row_starts(grid: Grid, span: Span) -> Sequence[bytes]:
    """Write how the rows of a span begin."""
    return [f'{{"time":"{time}"'.encode() for time in bucket_times(grid, span)]


def event_rows(found: Iterable[Found]) -> Iterator[Row]:
    """Yield ``{id?, time, data?}`` for each event; an id that Cube made is not shown."""
    rest = iter(found)
    while some := list(islice(rest, PART_ROWS)):
        for event, time in zip(some, _time_texts([event.time for event in some]), strict=True):
            row: Row = {}
            if not isinstance(event.id, bytes):
                row["id"] = event.id
            row["time"] = time
            if event.data is not ABSENT:
                row["data"] = dated(event.data)
            yield row


def _time_texts(times: Sequence[int]) -> list[str]:
    """Write times in ISO 8601: many of them at once, which takes a tenth of the time."""
    if len(times) < FEW_TIMES or min(times) < instant.EARLIEST or max(times) > instant.LATEST:
        return list(map(instant.format, times))
    return _numpy_texts(np.array(times, dtype=np.int64))


def _numpy_texts(times: npt.NDArray[np.int64]) -> list[str]:
    return [f"{text}Z" for text in np.datetime_as_string(times.astype("datetime64[ms]")).tolist()]


def bucket_times(grid: Grid, span: Span) -> list[str]:
    """Write the starts of a span's buckets in ISO 8601."""
    return _numpy_texts(np.array(grid.buckets(span), dtype=np.int64))


def metric_row(time: str, value: float) -> Row:
    """Return one row of a metric's answer; of a bucket without a value (NaN) only the time."""
    if value != value:  # NaN: no value
        return {"time": time}
    return {"time": time, "value": int(value) if value.is_integer() and -_EXACT < value < _EXACT else value}


def group_shown(key: GroupKey) -> Row:
    """Return what rows have that are of a group: ``group``, and ``other`` where it is the rest."""
    if is_rest(key):
        return {"group": group_of_key(key), "other": True}
    group = group_of_key(key)
    return {"group": list(map(part_shown, group)) if isinstance(group, tuple) else part_shown(group)}


def part_shown(group: Scalar) -> Scalar:
    """Return a value as rows show it: integral numbers without a fraction."""
    is_whole = isinstance(group, float) and group.is_integer() and -_EXACT < group < _EXACT
    return int(group) if is_whole else group


def dated(value: Any) -> Any:
    """Return data with stored dates as texts of the one form of times; what holds none is as it was."""
    if value.__class__ is dict:
        return {
            name: dated(item) if item.__class__ in _MAY_BE_DATED else item for name, item in value.items()
        }
    if value.__class__ is list:
        return [dated(item) if item.__class__ in _MAY_BE_DATED else item for item in value]
    return instant.format(instant.from_datetime(value)) if value.__class__ is datetime else value
