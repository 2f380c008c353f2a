"""Answers: series and events as the JSON objects of the native interface."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import numpy as np

from cube import instant
from cube.event import ABSENT
from cube.metric import Group
from cube.span import Span
from cube.store.find import Found
from cube.tier import Tier
from evaluator.series import Series

_MAY_BE_DATED = frozenset({dict, list, datetime})
_EXACT = 2.0**53  # larger floats are written as floats: not every integer there is one


def metric_rows(series: Series, tier: Tier, span: Span) -> list[dict[str, Any]]:
    """Return ``{time, value?, group?}`` for each bucket of a span, ordered by time, then by group."""
    times = texts(tier, span)
    if series.groups is None:
        return [_row(time, value) for time, value in zip(times, series.default.tolist(), strict=True)]
    keys = sorted(series.groups)
    table = np.array([series.groups[key] for key in keys]).T.tolist() if keys else []
    groups = [_group(key[1]) for key in keys]
    return [
        {**_row(time, value), "group": group}
        for time, values in zip(times, table, strict=False)
        for value, group in zip(values, groups, strict=True)
    ]


def event_rows(found: Iterable[Found]) -> Iterator[dict[str, Any]]:
    """Yield ``{id?, time, data?}`` for each event; an id that Cube made is not shown."""
    for event in found:
        row: dict[str, Any] = {}
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


def shown(value: float) -> int | float:
    """Return a number as JSON shows it: integral ones without a fraction."""
    return int(value) if value.is_integer() and -_EXACT < value < _EXACT else value


def _row(time: str, value: float) -> dict[str, Any]:
    if value != value:  # NaN: no value
        return {"time": time}
    return {"time": time, "value": int(value) if value.is_integer() and -_EXACT < value < _EXACT else value}


def _dated(value: Any) -> Any:
    """Return data with stored dates as texts of the one form of times; what holds none is as it was."""
    if value.__class__ is dict:
        return {
            name: _dated(item) if item.__class__ in _MAY_BE_DATED else item for name, item in value.items()
        }
    if value.__class__ is list:
        return [_dated(item) if item.__class__ in _MAY_BE_DATED else item for item in value]
    return instant.format(instant.from_datetime(value)) if value.__class__ is datetime else value


def _group(group: Group) -> Group:
    return shown(group) if isinstance(group, float) else group
