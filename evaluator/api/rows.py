"""Answers: series and events as the JSON objects of the native interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from cube.model import instant
from cube.model.event import ABSENT
from cube.model.metric import Group
from cube.model.span import Span
from cube.model.tier import Tier
from cube.store.find import Found
from evaluator.engine.series import Series

Row: TypeAlias = "dict[str, Any]"

PART_ROWS = 1_000
"""Rows made in one piece: some milliseconds."""

_MAY_BE_DATED = frozenset({dict, list, datetime})
_EXACT = 2.0**53  # larger floats are written as floats: not every integer there is one


def metric_rows(series: Series, tier: Tier, span: Span) -> list[Row]:
    """Return ``{time, value?, group?}`` for each bucket of a span, ordered by time, then by group."""
    return list(chain.from_iterable(metric_parts(series, tier, span)))


def metric_parts(series: Series, tier: Tier, span: Span) -> Iterator[list[Row]]:
    """Yield what `metric_rows` returns, in lists of about `PART_ROWS`."""
    keys = None if series.groups is None else sorted(series.groups)
    if keys == []:
        return
    buckets = tier.buckets(span)
    step = PART_ROWS if keys is None else max(1, PART_ROWS // len(keys))
    for first in range(0, len(buckets), step):
        some = slice(first, min(first + step, len(buckets)))
        times = texts(tier, Span(buckets[some.start], buckets[some.stop - 1] + tier.step))
        if keys is None or series.groups is None:
            yield [
                metric_row(time, value)
                for time, value in zip(times, series.default[some].tolist(), strict=True)
            ]
        else:
            table = np.array([series.groups[key][some] for key in keys]).T.tolist()
            yield _grouped(times, table, [group_shown(key[1]) for key in keys])


def event_rows(found: Iterable[Found]) -> Iterator[Row]:
    """Yield ``{id?, time, data?}`` for each event; an id that Cube made is not shown."""
    for event in found:
        row: Row = {}
        if not isinstance(event.id, bytes):
            row["id"] = event.id
        row["time"] = instant.format(event.time)
        if event.data is not ABSENT:
            row["data"] = _dated(event.data)
        yield row


def texts(tier: Tier, span: Span) -> list[str]:
    """Write the starts of a span's buckets in ISO 8601."""
    times = np.arange(span.start, span.stop, tier.step, dtype=np.int64).astype("datetime64[ms]")
    return [f"{text}Z" for text in np.datetime_as_string(times).tolist()]


def metric_row(time: str, value: float) -> Row:
    """Return one row of a metric's answer; of a bucket without a value (NaN) only the time."""
    if value != value:  # NaN: no value
        return {"time": time}
    return {"time": time, "value": int(value) if value.is_integer() and -_EXACT < value < _EXACT else value}


def group_shown(group: Group) -> Group:
    """Return a group as rows show it."""
    return shown(group) if isinstance(group, float) else group


def shown(value: float) -> int | float:
    """Return a number as JSON shows it: integral ones without a fraction."""
    return int(value) if value.is_integer() and -_EXACT < value < _EXACT else value


def _grouped(times: list[str], table: list[list[float]], groups: list[Group]) -> list[Row]:
    return [
        {**metric_row(time, value), "group": group}
        for time, values in zip(times, table, strict=True)
        for value, group in zip(values, groups, strict=True)
    ]


def _dated(value: Any) -> Any:
    """Return data with stored dates as texts of the one form of times; what holds none is as it was."""
    if value.__class__ is dict:
        return {
            name: _dated(item) if item.__class__ in _MAY_BE_DATED else item for name, item in value.items()
        }
    if value.__class__ is list:
        return [_dated(item) if item.__class__ in _MAY_BE_DATED else item for item in value]
    return instant.format(instant.from_datetime(value)) if value.__class__ is datetime else value
