"""Answers as Arrow streams, where a client asks for them in ``Accept``: what their columns are.

Metrics: ``time``, ``value``, and with groups ``group`` (of several parts ``group_1``, ``group_2`` …) and
``other``. Events: ``time``, ``id``, and a column for each field, named as an expression has it; what would be
called as one of the two has an underscore more. Data that is not an object is the column ``data``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from cube.columns import arrow_stream
from cube.columns.arrow_stream import MEDIA_TYPE, Column
from cube.expression import print_expression
from cube.expression.grouping import grouped_by
from cube.expression.nodes import EventExpression, Field, MetricExpression
from cube.model.event import ABSENT
from cube.model.grid import Grid
from cube.model.tier import TEN_SECONDS, GroupKey, Span, is_rest, part_keys
from cube.process.threads import run_in_thread
from cube.store.find import Found
from cube.web import MemoryBudget, Reply
from evaluator.answers.response_writer import ResponseWriter
from evaluator.answers.rows import dated, part_shown
from evaluator.engine.series import Series

VALUE_BYTES = 8
"""What a value, or the place of a text, takes."""

_REMEMBERED_CHARACTERS = 200
_OWN = re.compile(r"(?:time|id)_*")


def metric_stream(series: Series, parts: int, grid: Grid, span: Span) -> bytes:
    """Return the rows of a series, by time, then by group; ``parts``: so many parts has each group."""
    buckets = np.array(grid.buckets(span), dtype=np.int64)
    if series.groups is None:
        return arrow_stream.stream(
            {
                "time": arrow_stream.times(buckets),
                "value": arrow_stream.numbers(series.default[: len(buckets)]),
            }
        )
    keys = sorted(series.groups)
    table = np.array([series.groups[key] for key in keys]) if keys else np.empty((0, len(buckets)))
    columns = {
        "time": arrow_stream.times(np.repeat(buckets, len(keys))),
        "value": arrow_stream.numbers(np.ascontiguousarray(table.T).ravel()),
    }
    for name, values in _groups(keys, parts):
        columns[name] = arrow_stream.repeated(values, len(buckets))
    columns["other"] = arrow_stream.repeated([is_rest(key) for key in keys], len(buckets))
    return arrow_stream.stream(columns)


class ArrowWriter(ResponseWriter):
    """Writes an answer to an expression as an Arrow stream; its rows are no JSON texts.

    Events are held as they were read until all are there: what kind a column has, all of its values decide.
    """

    is_slow: ClassVar[bool] = True  # pyarrow takes a while to be loaded
    has_texts: ClassVar[bool] = False

    def __init__(
        self, limit: int, answers: MemoryBudget, expression: MetricExpression | EventExpression
    ) -> None:
        super().__init__(limit, answers)
        self._expression = expression
        self._metrics: bytes | None = None

    def write_metrics(self, series: Series, grid: Grid, span: Span) -> Iterator[None]:
        """Write the rows of a series, in one step."""
        parts = len(grouped_by(self._expression) or ())
        self.count(series.rows * VALUE_BYTES * (2 + parts))
        self._metrics = metric_stream(series, parts, grid, span)
        yield from ()

    def write_found(self, found: Iterable[Found], may_end: bool) -> int:
        """Take some events and return how many; with ``may_end`` those up to the limit, if there are any."""
        return self.take_fitting(self._sized(found), may_end)

    async def reply(self, headers: tuple[tuple[str, str], ...]) -> Reply:
        """Return the answer as a reply."""
        stream = await run_in_thread(self._stream)
        return Reply(stream, content_type=MEDIA_TYPE, headers=(*headers, ("Vary", "Accept")))

    def _stream(self) -> bytes:
        self.complete()
        if not isinstance(self._expression, EventExpression):
            return self._metrics or metric_stream(Series(np.empty(0)), 0, TEN_SECONDS, Span(0, 0))
        rows: list[tuple[int, Any, dict[str, Any]]] = self.rows
        names = {name: None for _, _, values in rows for name in values}
        columns: dict[str, Column] = {
            "time": arrow_stream.times([time for time, _, _ in rows]),
            "id": arrow_stream.column([id for _, id, _ in rows]),
        }
        for name in sorted(names):
            columns[name] = arrow_stream.column([values.get(name) for _, _, values in rows])
        self.rows.clear()
        return arrow_stream.stream(columns)

    def _sized(self, found: Iterable[Found]) -> Iterator[tuple[Any, int]]:
        for event in found:
            id = None if isinstance(event.id, bytes) else event.id
            values = {_column_name(path): value for path, value in _leaves(dated(event.data), ())}
            yield (event.time, id, values), VALUE_BYTES + _size(id) + sum(map(_size, values.values()))


def _groups(keys: list[GroupKey], parts: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield the name and the groups of each part; of the rest its name, in the first."""
    if parts <= 1:
        yield "group", [part_shown(key[1]) for key in keys]
        return
    for place in range(parts):
        yield (
            f"group_{place + 1}",
            [
                (key[1] if place == 0 else None) if is_rest(key) else part_shown(part_keys(key)[place][1])
                for key in keys
            ],
        )


def _leaves(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if value.__class__ is dict and value:
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif value is not ABSENT:
        yield path, value


def _column_name(path: tuple[str, ...]) -> str:
    is_short = sum(map(len, path)) <= _REMEMBERED_CHARACTERS
    return (_name if is_short else _name.__wrapped__)(path)


@lru_cache(maxsize=4_096)  # of `_REMEMBERED_CHARACTERS` at most: a megabyte or two
def _name(path: tuple[str, ...]) -> str:
    name = print_expression(Field(path)) if path else "data"
    return f"{name}_" if _OWN.fullmatch(name) else name


def _size(value: Any) -> int:
    inner: Iterable[Any] = ()
    if value.__class__ is str:
        return VALUE_BYTES + len(value)
    if value.__class__ is list:
        inner = value
    elif value.__class__ is dict:
        inner = value.values()
    return VALUE_BYTES + sum(map(_size, inner))
