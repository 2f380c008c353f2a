"""The rows of answers: of metrics and of events, as objects, and as JSON written from arrays.

And the texts of those that are asked for again and again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain, islice
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from cube import json_text
from cube.columns.values import Floats
from cube.model import instant
from cube.model.event import ABSENT, shown_id
from cube.model.grid import Grid
from cube.model.tier import GroupKey, Scalar, Span, group_of_key, is_rest
from cube.store.find import Found
from evaluator.engine.kept_series import bytes_of
from evaluator.engine.series import Series

Row: TypeAlias = "dict[str, Any]"

PART_ROWS = 1_000
"""Rows made in one piece: some milliseconds."""

FEW_TIMES = 8
"""Fewer are written one by one."""

PART_TEXTS = 20_000
"""So many of those that are written from arrays."""

MOST_SHARE = 0.25
"""A text that takes more of what all may take is not kept."""

_NUMBERS = msgspec.json.Encoder()
_VALUE = b',"value":'
_MAY_BE_DATED = frozenset({dict, list, datetime})
_EXACT = 2.0**53  # larger floats are written as floats: not every integer there is one


@dataclass(frozen=True, slots=True)
class AnswerText:
    """The rows of a series over a span, as JSON texts; ``is_silent``: see `Series.is_silent`.

    ``bytes``: what it takes, about, with the series, which it keeps alive.
    """

    series: Series
    parts: tuple[bytes, ...]
    is_silent: bool
    bytes: int


class AnswerTexts:
    """The texts of answers that are kept as series, within a bound of bytes; those used last stay.

    A series that is kept is the same object each time, and never changes.
    """

    def __init__(self, memory_bytes: int) -> None:
        self.bytes = 0
        self._bound = memory_bytes
        self._kept: OrderedDict[tuple[int, str, Span], AnswerText] = OrderedDict()

    def get(self, series: Series, grid: Grid, span: Span) -> AnswerText | None:
        """Return the text of a series over a span."""
        key = (id(series), grid.text, span)  # the text holds the series, so nothing else has its id
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, series: Series, grid: Grid, span: Span, parts: tuple[bytes, ...]) -> None:
        """Keep the text of a series, if revisions vouch for that; others are never met again."""
        key, size = (id(series), grid.text, span), sum(map(len, parts)) + bytes_of(series)
        if series.vouched is None or key in self._kept or size > MOST_SHARE * self._bound:
            return
        text = self._kept[key] = AnswerText(series, parts, series.is_silent, size)
        self.bytes += text.bytes
        while self.bytes > self._bound:
            self.bytes -= self._kept.popitem(last=False)[1].bytes


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
    ends = tuple(b"," + json_text.encode(group_shown(key))[1:] for key in keys or ())
    for part, some in _parts(series, grid, span, PART_TEXTS):
        if keys is None or series.groups is None:
            yield _joined_rows(grid, part, (b"}",), series.default[some])
        else:
            table = np.array([series.groups[key][some] for key in keys]).T
            yield _joined_rows(grid, part, ends, table.ravel())


def text_count(series: Series, grid: Grid, span: Span) -> int:
    """Return how many texts `metric_texts` yields."""
    groups = 1 if series.groups is None else len(series.groups)
    return -(-len(grid.buckets(span)) // _buckets_of(PART_TEXTS, groups)) if groups else 0


def _buckets_of(rows: int, groups: int) -> int:
    return max(1, rows // groups)


def _parts(series: Series, grid: Grid, span: Span, rows: int) -> Iterator[tuple[Span, slice]]:
    """Cut a span into parts of about so many rows of an answer; yield each, and where its numbers are."""
    groups = 1 if series.groups is None else len(series.groups)
    if groups:
        count, buckets = _buckets_of(rows, groups), grid.buckets(span)
        for first in range(0, len(buckets), count):
            some = slice(first, min(first + count, len(buckets)))
            stop = buckets[some.stop] if some.stop < len(buckets) else span.stop
            yield Span(buckets[first], stop), some


def _joined_rows(grid: Grid, span: Span, ends: tuple[bytes, ...], values: Floats) -> bytes:
    """Write the rows of each bucket with each end, of so many values."""
    numbers = _written(values)
    if not np.isnan(values).any():
        return _template(grid, span, ends, _VALUE) % tuple(numbers)
    shown = (b"" if number == b"null" else _VALUE + number for number in numbers)
    return _template(grid, span, ends, b"") % tuple(shown)


@lru_cache(maxsize=8)
def _template(grid: Grid, span: Span, ends: tuple[bytes, ...], before: bytes) -> bytes:
    """Write the rows of a span with a place for each value; many charts show the same.

    ``before``: what stands before each place.
    """
    rests = [before + b"%b" + end.replace(b"%", b"%%") + b"," for end in ends]
    return b"".join([start.join((b"", *rests)) for start in _row_starts(grid, span)])[:-1]


def _written(values: Floats) -> list[bytes]:
    """Write values as rows show them, as one text, which costs least; null where there is none."""
    if (np.abs(values) >= _EXACT).any():
        return _NUMBERS.encode(list(map(part_shown, values.tolist())))[1:-1].split(b",")
    shown = np.flatnonzero(values)
    if 2 * len(shown) > len(values):
        return _written_floats(values + 0.0)  # without a negative zero
    texts = np.full(len(values), b"0", dtype=np.object_)
    texts[shown] = np.array(_written_floats(values[shown]), dtype=np.object_)
    written: list[bytes] = texts.tolist()
    return written


def _written_floats(values: Floats) -> list[bytes]:
    floats = _NUMBERS.encode(values.tolist())
    return (floats[1:-1] + b",").replace(b".0,", b",").split(b",")[:-1]


@lru_cache(maxsize=8)
def _row_starts(grid: Grid, span: Span) -> Sequence[bytes]:
    """Write how the rows of a span begin."""
    return [f'{{"time":"{time}"'.encode() for time in bucket_times(grid, span)]


def event_rows(found: Iterable[Found], *, all_ids: bool = False) -> Iterator[Row]:
    """Yield ``{id?, time, data?}`` for each event; one that Cube made only with ``all_ids``."""
    rest = iter(found)
    while some := list(islice(rest, PART_ROWS)):
        for event, time in zip(some, _time_texts([event.time for event in some]), strict=True):
            row: Row = {}
            if all_ids or not isinstance(event.id, bytes):
                row["id"] = shown_id(event.id)
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
