"""Reduces: what turns the values of many events into one number.

Each reduce has a *partial*: a small state that can be merged with others of its kind, so that a
coarse bucket is built from finer ones. The functions here define the result, plainly, in Python;
`cube.columns` makes the same partials from whole columns at once, and is tested against these. A new
reduce is one entry of `REDUCES`.

=====================  ==========================================================
reduce                 partial
=====================  ==========================================================
sum                    (high, low): a double-double, high + low is the sum
count                  int
min, max               float
mean                   (high, low, count)
variance, stddev       (count, mean, rest, M2): mean + rest is the mean, beyond the
                       precision of one float, M2 the sum of squared deviations
median, quantile       {value: count}, or a `PackedTally` of the same
distinct               the set of the values' canonical keys (bytes)
first, last            (time, id key, value)
=====================  ==========================================================

A bucket without samples has no partial; its value is the reduce's `empty`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol, TypeAlias, get_origin

from cube.model.event import EventId, id_key
from cube.model.exact_sums import exact_sum, two_sum

Partial: TypeAlias = Any
"""One of the forms in the table above."""

Deviations: TypeAlias = tuple[int, float, float, float]
"""The partial of variance: count, mean, rest of the mean, M2."""

IdKey: TypeAlias = "tuple[int, EventId]"


class PackedTally(Protocol):
    """A tally of other make than a dict, which merges and finishes itself: `cube.columns.tallies` has it."""

    def merged(self, tallies: Sequence[Mapping[float, int]]) -> Any: ...

    def quantile(self, q: float) -> float: ...


Tally: TypeAlias = "dict[float, int] | PackedTally"


class Sample(NamedTuple):
    """One event's part in a reduction.

    ``value`` is a finite float for numeric reduces, for others the canonical key (bytes) of the value.
    """

    time: int
    id: EventId
    value: Any


@dataclass(frozen=True, slots=True)
class Reduce:
    """The facts of one reduce.

    ``form``: the partial's type, for decoding. ``partial`` takes at least one sample, in any order,
    `merge` at least one partial; ``finish`` takes the partial and the reduction's argument.
    ``empty``: the value of a bucket without samples; None is "no value". ``numeric``: uses finite
    numbers only; otherwise every value that is present and not null. ``exact_value``: the value
    is itself the partial, so that cached values serve as partials; merging one with ``empty`` changes
    nothing. ``ordered``: samples need their ids. ``takes_probability``: has an argument, from 0 to 1.
    ``words``: how an explanation begins (``name`` and ``argument`` are put in), and ``of_events`` where the
    value is 1 for every event, if that makes another sentence. ``grows``: whether a partial is as large as
    there are different values, and is not a few numbers.
    """

    name: str
    form: Any
    partial: Callable[[Sequence[Sample]], Partial]
    merge: Callable[[Sequence[Partial]], Partial]
    finish: Callable[[Partial, float | None], float | None]
    empty: float | None = None
    numeric: bool = True
    exact_value: bool = False
    ordered: bool = False
    takes_probability: bool = False
    words: str = "the {name} of"
    of_events: str = ""
    grows: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "grows", get_origin(self.form) in (dict, set, list))


def quantile(tally: dict[float, int], q: float) -> float:
    """Interpolate the q-quantile of a tally value -> count.

    Type 7 of Hyndman & Fan, "Sample Quantiles in Statistical Packages", 1996: position
    (n - 1) q among the sorted values, linear between the closest ranks.
    """
    values = sorted(tally)
    position = (sum(tally.values()) - 1) * q
    below = math.floor(position)
    low = _at_rank(values, tally, below)
    if position == below:
        return low
    high = _at_rank(values, tally, below + 1)
    share = position - below
    return low * (1 - share) + high * share


def _at_rank(values: list[float], tally: dict[float, int], rank: int) -> float:
    passed = 0
    for value in values:
        passed += tally[value]
        if rank < passed:
            return value
    return values[-1]


def _partial_sum(samples: Sequence[Sample]) -> tuple[float, float]:
    return exact_sum(map(_value, samples))


def _partial_mean(samples: Sequence[Sample]) -> tuple[float, float, int]:
    return (*_partial_sum(samples), len(samples))


def _merge_mean(partials: Sequence[tuple[float, float, int]]) -> tuple[float, float, int]:
    sums = exact_sum(part for partial in partials for part in partial[:2])
    return (*sums, sum(partial[2] for partial in partials))


def _partial_variance(samples: Sequence[Sample]) -> Deviations:
    count = len(samples)
    high, low, _ = _partial_mean(samples)
    mean = (high + low) / count
    apart = [sample.value - mean for sample in samples]
    if not all(map(math.isfinite, apart)):
        return count, mean, 0.0, math.inf
    rest = math.fsum(apart) / count
    return count, mean, rest, exact_sum((value - rest) * (value - rest) for value in apart)[0]


def _merge_variance(partials: Sequence[Deviations]) -> Deviations:
    """Chan, Golub & LeVeque, "Updating Formulae ... for Computing Sample Variances", 1979."""
    count, mean, rest, m2 = partials[0]
    for more, its_mean, its_rest, its_m2 in partials[1:]:
        total = count + more
        delta = (its_mean - mean) + (its_rest - rest)
        mean, rest = two_sum(mean, rest + delta * (more / total))
        m2 += its_m2 + delta * delta * (count / total) * more
        count = total
    return count, mean, rest, m2


def _finish_variance(partial: Deviations, _: float | None) -> float | None:
    return _finite(partial[3] / partial[0])


def _finish_stddev(partial: Deviations, _: float | None) -> float | None:
    variance = _finish_variance(partial, None)
    return None if variance is None else math.sqrt(variance)


def _tally(samples: Sequence[Sample]) -> dict[float, int]:
    return dict(Counter(map(_value, samples)))


def _merge_tallies(partials: Sequence[Any]) -> Tally:
    total: Counter[float] = Counter()
    for partial in partials:
        if not isinstance(partial, dict):
            merged: Tally = partial.merged(partials)
            return merged
        total.update(partial)
    return dict(total)


def _finish_quantile(partial: Tally, q: float | None) -> float | None:
    q = 0.5 if q is None else q
    return _finite(quantile(partial, q) if isinstance(partial, dict) else partial.quantile(q))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _exact(partial: float, _: float | None) -> float | None:
    return float(partial)


def _extreme(name: str, best: Callable[..., float], words: str) -> Reduce:
    return Reduce(
        name, float, lambda samples: best(map(_value, samples)), best, _exact, exact_value=True, words=words
    )


def _edge(name: str, best: Callable[..., tuple[int, IdKey, float]]) -> Reduce:
    """Return the reduce to the first or the last value, by time and then by id."""
    by_time_and_id = itemgetter(0, 1)
    return Reduce(
        name,
        tuple[int, tuple[int, Any], float],  # msgspec has no union of str and bytes
        partial=lambda samples: best(
            ((sample.time, id_key(sample.id), sample.value) for sample in samples), key=by_time_and_id
        ),
        merge=lambda partials: best(partials, key=by_time_and_id),
        finish=lambda partial, _: float(partial[2]),
        ordered=True,
        words="the {name} value of",
    )


_value = attrgetter("value")
_EVENTS = "the number of"

_ALL = (
    Reduce(
        "sum",
        tuple[float, float],
        _partial_sum,
        lambda partials: exact_sum(chain.from_iterable(partials)),
        lambda partial, _: _finite(partial[0] + partial[1]),
        empty=0.0,
        of_events=_EVENTS,
    ),
    Reduce(
        "count",
        int,
        len,
        sum,
        _exact,
        empty=0.0,
        numeric=False,
        exact_value=True,
        words="the number of values of",
        of_events=_EVENTS,
    ),
    _extreme("min", min, "the smallest value of"),
    _extreme("max", max, "the largest value of"),
    Reduce(
        "mean",
        tuple[float, float, int],
        _partial_mean,
        _merge_mean,
        lambda partial, _: _finite((partial[0] + partial[1]) / partial[2]),
    ),
    Reduce("variance", Deviations, _partial_variance, _merge_variance, _finish_variance),
    Reduce(
        "stddev",
        Deviations,
        _partial_variance,
        _merge_variance,
        _finish_stddev,
        words="the standard deviation of",
    ),
    Reduce("median", dict[float, int], _tally, _merge_tallies, _finish_quantile),
    Reduce(
        "quantile",
        dict[float, int],
        _tally,
        _merge_tallies,
        _finish_quantile,
        takes_probability=True,
        words="the {argument} {name} of",
    ),
    Reduce(
        "distinct",
        set[bytes],
        partial=lambda samples: set(map(_value, samples)),
        merge=lambda partials: set().union(*partials),
        finish=lambda partial, _: float(len(partial)),
        empty=0.0,
        numeric=False,
        words="the number of different values of",
    ),
    _edge("first", min),
    _edge("last", max),
)

REDUCES: dict[str, Reduce] = {reduce.name: reduce for reduce in _ALL}
"""Every reduce by its name in the expression language."""
