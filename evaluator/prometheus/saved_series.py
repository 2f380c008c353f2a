"""The series of a saved name in some time, by their labels: what is asked for its labels and their values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cube.model.duration import LONGEST
from cube.model.tier import DAY
from evaluator.api.service import QueryService
from evaluator.prometheus import answers
from evaluator.prometheus.parameters import SECOND, Parameters, time
from evaluator.prometheus.questions import asked
from evaluator.prometheus.selectors import Selector


async def saved_series(
    service: QueryService, parameters: Parameters, selectors: Sequence[Selector], names: Sequence[str]
) -> list[answers.Labels]:
    """Return the labels of each series of the saved names that any of some selectors names as they are.

    Those that have a value between ``start`` and ``end``: which is now unless given, nor later, and ``start``
    the day before it. A pattern names none: there may be many. ``names``: all that one may ask for. Raises as
    a query does.
    """
    return [
        labels
        for selector in selectors
        if selector.exact_name
        for name in selector.names(names)
        for labels in await _series(service, parameters, name)
        if selector.passes(labels)
    ]


async def _series(service: QueryService, parameters: Parameters, name: str) -> list[answers.Labels]:
    times = _times(parameters, service.context.clock())
    if not times:
        return []
    points = await asked(service, parameters, times, name)
    series = await service.evaluate(points.query)
    found = answers.all_series(series, answers.label_names(points.query.expression), points.metric)
    return [labels for labels, values in found if np.isfinite(values).any()]


def _times(parameters: Parameters, now: int) -> range:
    """Return the ends of buckets that cover the time, one where it is no longer than a bucket may be."""
    end = min(time(parameters, "end", now), now) // SECOND * SECOND
    start = time(parameters, "start", end - DAY.step) // SECOND * SECOND
    if start >= end:
        return range(0)
    step = min(end - start, LONGEST // SECOND * SECOND)
    return range(end - (end - start - 1) // step * step, end + 1, step)
