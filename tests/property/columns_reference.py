"""Reductions of events one at a time, from the plain definitions of filters, values and reduces."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from cube.columns.definition import compute, evaluate, matches
from cube.columns.groups import group_keys_of
from cube.columns.values import canonical, read
from cube.expression.nodes import Field, Reduction, Value
from cube.model.event import ABSENT
from cube.model.reduce import REDUCES, Partial, Sample
from cube.model.tier import GroupKey, Tier

Row = tuple[int, int, Any]
"""Time, id and data of one event."""


def plain_partials(reduction: Reduction, tier: Tier, rows: Sequence[Row]) -> dict[int, Partial]:
    """Return what `cube.columns.partials` must return."""
    samples = defaultdict(list)
    for sample, _ in samples_of(reduction, rows):
        samples[tier.floor(sample.time)].append(sample)
    return {start: REDUCES[reduction.reduce].partial(each) for start, each in samples.items()}


def plain_grouped_partials(
    reduction: Reduction, tier: Tier, rows: Sequence[Row]
) -> dict[int, dict[GroupKey, Partial]]:
    """Return what `cube.columns.grouped_partials` must return."""
    samples: dict[int, dict[GroupKey, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample, data in samples_of(reduction, rows):
        for key in group_keys(reduction, data, sample.time):
            samples[tier.floor(sample.time)][key].append(sample)
    partial = REDUCES[reduction.reduce].partial
    return {start: {key: partial(each) for key, each in of.items()} for start, of in samples.items()}


def samples_of(reduction: Reduction, rows: Sequence[Row]) -> Iterator[tuple[Sample, Any]]:
    """Yield the samples of a reduction, each with its event's data."""
    for time, number, data in rows:
        if all(matches(each, data, time) for each in reduction.filters):
            for value in taken(reduction, data, time):
                yield Sample(time, number, value), data


def taken(reduction: Reduction, data: Any, time: int) -> list[Any]:
    """Return the one value that a reduction takes of an event, or none."""
    if REDUCES[reduction.reduce].numeric:
        number = 1.0 if reduction.value is None else compute(reduction.value, data, time)
        return [] if math.isnan(number) else [number]
    value = sampled(reduction.value, data, time)
    if value is ABSENT:
        return []
    return [canonical(value)] if reduction.reduce == "distinct" else [value]


def sampled(value: Value | None, data: Any, time: int) -> Any:
    """Return what "count" and "distinct" take: a field as it is, else what is computed; `ABSENT` for none."""
    if value is None:
        return 1
    if isinstance(value, Field):
        stored = read(data, value.path)
        return ABSENT if stored is None else stored
    return evaluate(value, data, time)


def group_keys(reduction: Reduction, data: Any, time: int) -> list[GroupKey]:
    """Return the keys of the groups that an event is in."""
    assert reduction.group is not None
    return group_keys_of(reduction.group, data, time)
