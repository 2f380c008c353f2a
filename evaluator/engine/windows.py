"""Windows: a reduction over any intervals of time, which may overlap, from the partials of the largest tiers.

The intervals' edges cut time into stretches, each of which is made of buckets of the largest tiers that fit.
Every such bucket is looked up, or computed, once; windows slide over their partials. All is pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from cube.columns import with_argument
from cube.columns.values import Floats
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES, Partial
from cube.model.tier import CHUNK_BUCKETS, TIERS, GroupKey, Span, Tier
from cube.settings import EvaluatorLimits
from evaluator.engine.frames import Frame, Instants
from evaluator.engine.series import Series, check_size
from evaluator.engine.sliding import slide
from evaluator.engine.states import States
from evaluator.query.limits import LimitExceeded

_COARSEST_FIRST = tuple(TIERS.values())[::-1]


@lru_cache(maxsize=16)
def parts(frame: Frame, cells: int) -> Mapping[Tier, Sequence[int]]:
    """Return the buckets that a frame's intervals are made of, by tier, ascending; all are disjoint.

    The intervals begin and end at multiples of the finest step. Raises `LimitExceeded` where there are more
    buckets than ``cells``.
    """
    starts, stops = frame.intervals()
    found: dict[Tier, list[int]] = {}
    count = 0
    for stretch in stretches(starts, stops):
        for tier, buckets in _tiled(stretch, 0):
            count += len(buckets)
            if count > cells:
                raise LimitExceeded(
                    f"The expression's windows are made of more than {cells} buckets, the limit:"
                    " take a shorter span, or a larger step.",
                    reason="cells",
                )
            found.setdefault(tier, []).extend(buckets)
    return {tier: sorted(buckets) for tier, buckets in found.items()}


def series(
    reduction: Reduction, starts: Instants, stops: Instants, states: States, limits: EvaluatorLimits
) -> Series:
    """Return the series of a reduction over windows; CPU-bound.

    ``states``: of the `parts` that have samples; None of one that is lost, which leaves its windows no value.
    """
    known = sorted(bucket for bucket, state in states.items() if state)
    times = np.array(known, dtype=np.int64)
    gone = np.array(sorted(bucket for bucket, state in states.items() if state is None), dtype=np.int64)
    is_lost = np.searchsorted(gone, starts) < np.searchsorted(gone, stops)
    samples: dict[GroupKey | None, tuple[list[int], list[Partial]]] = {}
    for place, bucket in enumerate(known):
        for key, partial in (states[bucket] or {}).items():
            places, partials = samples.setdefault(key, ([], []))
            places.append(place)
            partials.append(partial)
    reduce = REDUCES[reduction.reduce]
    default = np.full(len(starts), math.nan if reduce.empty is None else reduce.empty)
    default[is_lost] = math.nan
    given = reduction.argument
    arguments: Sequence[float | None] = given if isinstance(given, tuple) else (given,)
    check_size(limits, len(starts), len(samples) * len(arguments) if reduction.is_grouped else 0)
    slid: dict[GroupKey | None, Floats] = {}
    for key, (places, partials) in samples.items():
        own = times[np.array(places, dtype=np.intp)]
        first, stop = np.searchsorted(own, starts), np.searchsorted(own, stops)
        for argument in arguments:
            values = slide(reduce, argument, partials, first, stop)
            values[is_lost] = math.nan
            is_one = not isinstance(given, tuple)
            slid[key if is_one or argument is None else with_argument(key, argument)] = values
    if not reduction.is_grouped:
        return Series(slid.get(None, default))
    return Series(default, {key: values for key, values in slid.items() if key is not None})


def spans(buckets: Sequence[int], tier: Tier) -> Iterator[Span]:
    """Yield the spans that hold ascending buckets, and few others: some reads of as many chunks."""
    begin = 0
    for place in range(1, len(buckets) + 1):
        if place == len(buckets) or buckets[place] - buckets[place - 1] > CHUNK_BUCKETS * tier.step:
            yield Span(buckets[begin], buckets[place - 1] + tier.step)
            begin = place


def stretches(starts: Instants, stops: Instants) -> Iterator[Span]:
    """Yield what lies between two neighbouring edges of windows, and in a window."""
    edges, places = np.unique(np.concatenate((starts, stops)), return_inverse=True)
    opened = np.zeros(len(edges), dtype=np.int64)
    np.add.at(opened, places[: len(starts)], 1)
    np.add.at(opened, places[len(starts) :], -1)
    inside = np.flatnonzero(np.cumsum(opened) > 0)
    for place in inside.tolist():
        yield Span(int(edges[place]), int(edges[place + 1]))


def _tiled(span: Span, coarsest: int) -> Iterator[tuple[Tier, range]]:
    """Yield the buckets that a span is made of, of the largest tiers."""
    for place, tier in enumerate(_COARSEST_FIRST[coarsest:], coarsest):
        inside = Span(tier.ceil(span.start), tier.floor(span.stop))
        if inside:
            yield tier, tier.buckets(inside)
            for rest in (Span(span.start, inside.start), Span(inside.stop, span.stop)):
                if rest:
                    yield from _tiled(rest, place + 1)
            return
