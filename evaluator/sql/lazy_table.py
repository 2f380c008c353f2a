"""A table that DuckDB scans: only the columns and spans of time that a statement needs are asked for.

DuckDB hands a dataset of Arrow the columns that it needs, and the filters that it leaves to it. Which days
and hours can have rows that pass them Arrow itself tells, of fragments that are known to lie in each.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs

from evaluator.sql.messages import Channel, NextRows, Table, TableScan

TIME: Final = "time"
MILLISECONDS: Final = "collector_tstamp"

_HOUR: Final = 3_600_000
_MOST_DAYS: Final = 62
"""Of so many days hours are looked at."""

_FORMAT: Final = ds.ParquetFileFormat()
_NOWHERE: Final = pyarrow.fs.LocalFileSystem()
_numbers = itertools.count()


class Stale(Exception):
    """The columns of a table have other types by now: the statement begins again."""


READ_AHEAD: Final = 2
"""Batches that Arrow is to hold beside the one that DuckDB works on; its own thread may be further."""


class LazyTable(ds.InMemoryDataset):  # type: ignore[misc]  # pyarrow has no types
    """One table; DuckDB calls `scanner` each time that it reads it."""

    def __init__(self, channel: Channel, place: int, table: Table) -> None:
        self.columns = pa.ipc.read_schema(pa.py_buffer(table.columns))
        super().__init__([], self.columns)
        self._channel = channel
        self._place = place
        self._days = table.days

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> Any:
        """Return what reads some columns (None: all) of the rows that pass a filter."""
        needed = list(self.columns.names if columns is None else columns)
        if filter is not None:  # whose columns need not be among those that are wanted
            text = str(filter)
            needed += [name for name in self.columns.names if name not in needed and _names(name, text)]
        schema = pa.schema([self.columns.field(name) for name in needed])
        spans = self._spans(filter)
        return ds.Scanner.from_batches(
            self._batches(needed, spans, schema),
            schema=schema,
            columns=columns,
            filter=filter,
            batch_readahead=READ_AHEAD,
            fragment_readahead=1,
        )

    def _batches(self, columns: list[str], spans: list[tuple[int, int]], schema: Any) -> Iterator[Any]:
        number = next(_numbers)
        answer = self._channel.ask(TableScan(number, self._place, columns, spans))
        while not answer.is_stale:
            answer = self._channel.ask(NextRows(number))
            if answer.content is None and not answer.is_stale:
                return
            if answer.content is not None:
                yield pa.ipc.read_record_batch(pa.py_buffer(answer.content), schema)
        raise Stale

    def _spans(self, filter: Any) -> list[tuple[int, int]]:
        """Return the days and hours that may have rows which pass, in order."""
        if filter is None:
            return self._days
        days = self._passing(self._days, filter)
        if len(days) > _MOST_DAYS:
            return days
        return self._passing([hour for day in days for hour in _hours(day)], filter)

    def _passing(self, spans: Sequence[tuple[int, int]], filter: Any) -> list[tuple[int, int]]:
        fragments = [
            _FORMAT.make_fragment(str(place), _NOWHERE, partition_expression=_within(span))
            for place, span in enumerate(spans)
        ]
        dataset = ds.FileSystemDataset(fragments, self.columns, _FORMAT, _NOWHERE)
        try:
            return [spans[int(found.path)] for found in dataset.get_fragments(filter=filter)]
        except pa.ArrowException:  # a filter that it cannot judge: all may pass
            return list(spans)


def _hours(day: tuple[int, int]) -> list[tuple[int, int]]:
    """Cut a day into hours; what is longer is all there is of a type whose days nobody knows."""
    if day[1] - day[0] > 24 * _HOUR:
        return [day]
    return [(start, min(start + _HOUR, day[1])) for start in range(day[0], day[1], _HOUR)]


def _within(span: tuple[int, int]) -> Any:
    start, stop = span
    time, number = pc.field(TIME), pc.field(MILLISECONDS)
    first, last = (pa.scalar(1000 * edge, pa.timestamp("us", "UTC")) for edge in span)
    return (time >= first) & (time < last) & (number >= start) & (number < stop)


def _names(name: str, text: str) -> bool:
    """Tell whether a filter's text may have a column: one too many is only read in vain."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None
