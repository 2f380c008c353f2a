"""Sliding merges: a reduce over windows of consecutive parts of time, none merged once for each window.

A window is ``[first, stop)``, places in a list of partials in order of time; neither end ever goes back.
Sums, counts and tallies are taken in and out again, exactly; smallest and largest values come from a sparse
table, different values from where each was last; all else goes through two stacks, in which each partial is
merged twice at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns.column import Numbered
from cube.columns.tallies import Tally
from cube.columns.values import Floats
from cube.model.reduce import Partial, Reduce

Places: TypeAlias = npt.NDArray[np.int64]

_EXACT: Final = 2.0**53
"""Whole floats add up exactly below it."""

_SHORT: Final = 2**16
"""Numbers below it sort many times as fast."""

_BLOCK: Final = 512
"""Counts of values are added up so many at a time, so that a quantile looks at few of them."""


def slide(
    reduce: Reduce, argument: float | None, partials: Sequence[Partial], first: Places, stop: Places
) -> Floats:
    """Return the value of each window, shape (n,); NaN is "no value".

    ``argument``: what the reduce takes. A window without partials has the reduce's empty value.
    """
    values = np.full(len(first), math.nan if reduce.empty is None else reduce.empty)
    filled = first < stop
    if partials and filled.any():
        values[filled] = _method(reduce)(reduce, argument, partials, first[filled], stop[filled])
    return values


def _method(reduce: Reduce) -> Callable[..., Floats]:
    return _METHODS.get(reduce.name, _stacked)


def _stacked(
    reduce: Reduce, argument: float | None, partials: Sequence[Partial], first: Places, stop: Places
) -> Floats:
    """Merge by two stacks: of what is taken in since they were turned over, and of what is left before."""
    values = np.full(len(first), math.nan)
    older: list[Partial] = []  # by place from the last: the merge of it and of all up to the turn
    newer: Partial | None = None
    at = turn = 0  # what is in: [at, turn) is in older, [turn, taken) in newer
    taken = 0
    for number, (begin, end) in enumerate(zip(first.tolist(), stop.tolist(), strict=True)):
        if begin >= taken:
            at = turn = taken = begin
            older, newer = [], None
        for place in range(taken, end):
            newer = partials[place] if newer is None else reduce.merge([newer, partials[place]])
        taken = max(taken, end)
        if begin >= turn:
            older, newer = _suffixes(reduce, partials[begin:taken]), None
            at, turn = begin, taken
        del older[len(older) - (begin - at) :]
        at = begin
        parts = [part for part in ((older[-1] if older else None), newer) if part is not None]
        value = reduce.finish(parts[0] if len(parts) == 1 else reduce.merge(parts), argument)
        values[number] = math.nan if value is None else value
    return values


def _suffixes(reduce: Reduce, partials: Sequence[Partial]) -> list[Partial]:
    """Return the merges of the last partial, of the last two, and so on."""
    found: list[Partial] = []
    for partial in reversed(partials):
        found.append(reduce.merge([partial, found[-1]]) if found else partial)
    return found


def _counts(_: Reduce, __: float | None, partials: Sequence[int], first: Places, stop: Places) -> Floats:
    before = np.concatenate(([0], np.cumsum(np.fromiter(partials, np.int64, len(partials)))))
    found: Floats = (before[stop] - before[first]).astype(np.float64)
    return found


def _extremes(
    reduce: Reduce, _: float | None, partials: Sequence[float], first: Places, stop: Places
) -> Floats:
    """Look each window up as two that overlap, each of a power of two long."""
    best = np.minimum if reduce.name == "min" else np.maximum
    level = np.fromiter(partials, np.float64, len(partials))
    size = np.frexp((stop - first).astype(np.float64))[1] - 1  # the largest power of two in a window
    values = np.empty(len(first))
    for power in range(int(size.max()) + 1):
        chosen = size == power
        values[chosen] = best(level[first[chosen]], level[stop[chosen] - (1 << power)])
        level = best(level[: -(1 << power)], level[1 << power :])
    return values


def _sums(_: Reduce, __: float | None, partials: Sequence[Any], first: Places, stop: Places) -> Floats:
    return _exact_sums(np.array([partial[:2] for partial in partials], dtype=np.float64), first, stop)


def _means(_: Reduce, __: float | None, partials: Sequence[Any], first: Places, stop: Places) -> Floats:
    sums = _exact_sums(np.array([partial[:2] for partial in partials], dtype=np.float64), first, stop)
    before = np.concatenate(([0], np.cumsum([partial[2] for partial in partials])))
    means: Floats = sums / (before[stop] - before[first])
    return means


def _exact_sums(parts: Floats, first: Places, stop: Places) -> Floats:
    """Return the sums of rows of parts, exact but for the last rounding; NaN where no float can hold one.

    Whole numbers are added up in floats, as long as these hold them; others as fractions over one power of
    two, so that what is taken out again leaves nothing behind.
    """
    if not np.isfinite(parts).all():
        return _finite(np.array([_plain_sum(parts[i:j]) for i, j in zip(first, stop, strict=True)]))
    whole = parts.sum(axis=1)
    if not parts[:, 1].any() and (np.rint(whole) == whole).all() and np.abs(whole).sum() < _EXACT:
        before = np.concatenate(([0.0], np.cumsum(whole)))
        found: Floats = before[stop] - before[first]
        return found
    mantissas, exponents = np.frexp(parts)
    least = int(exponents[parts != 0].min(initial=0)) - 53
    shifts = np.where(parts != 0, exponents - 53 - least, 0).tolist()
    integers = np.ldexp(mantissas, 53).astype(np.int64).tolist()
    sums = [0]
    for (high, low), (left, right) in zip(integers, shifts, strict=True):
        sums.append(sums[-1] + (high << left) + (low << right))
    return np.array(
        [_scaled(sums[j] - sums[i], least) for i, j in zip(first.tolist(), stop.tolist(), strict=True)]
    )


def _scaled(number: int, exponent: int) -> float:
    """Return ``number * 2 ** exponent`` as a sum's value is: two floats that hold it, added up.

    So a window of one bucket has that bucket's value, to the last digit.
    """
    unit, number = (1 << -exponent, number) if exponent < 0 else (1, number << exponent)
    try:
        high = number / unit
    except OverflowError:
        return math.nan
    whole, parts = high.as_integer_ratio()
    rest = number - whole * unit // parts
    return high + rest / unit if rest else high


def _plain_sum(parts: Floats) -> float:
    return float(parts.sum())


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, math.nan)


def _distincts(_: Reduce, __: float | None, partials: Sequence[Any], first: Places, stop: Places) -> Floats:
    """Count each key of a part in the windows that have the part, and none before it with the same key.

    Since no end of a window goes back, these windows follow each other.
    """
    base = int(first[0])
    used = partials[base : int(stop[-1])]
    lengths = np.fromiter(map(len, used), np.intp, len(used))
    numbers = Numbered[bytes]()
    keys = np.fromiter(map(numbers.__getitem__, chain.from_iterable(used)), np.int64, int(lengths.sum()))
    places = np.repeat(np.arange(base, base + len(used)), lengths)
    order = np.argsort(keys.astype(np.uint16) if len(numbers) <= _SHORT else keys, kind="stable")
    keys, places = keys[order], places[order]
    every = np.arange(base, base + len(used))
    gone, come = first.searchsorted(every, "right"), stop.searchsorted(every, "right")
    begin, end = come[places - base], gone[places - base]
    again = np.flatnonzero(keys[1:] == keys[:-1])
    begin[again + 1] = np.maximum(begin[again + 1], end[again])
    end = np.maximum(begin, end)
    steps = np.bincount(begin, minlength=len(first) + 1) - np.bincount(end, minlength=len(first) + 1)
    counts: Floats = np.cumsum(steps)[:-1].astype(np.float64)
    return counts


def _quantiles(
    _: Reduce, argument: float | None, partials: Sequence[Mapping[float, int]], first: Places, stop: Places
) -> Floats:
    q = 0.5 if argument is None else argument
    used = list(map(Tally.of, partials[int(first[0]) : int(stop[-1])]))
    known = np.unique(np.concatenate([tally.numbers for tally in used]))
    tallies = [(np.searchsorted(known, tally.numbers), tally.counts) for tally in used]
    counts = np.zeros(-(-len(known) // _BLOCK) * _BLOCK, np.int64).reshape(-1, _BLOCK)
    flat, blocks = counts.reshape(-1), counts.sum(axis=1)
    total, values, base = 0, np.empty(len(first)), int(first[0])
    for number, (gone, come) in enumerate(_moves(first, stop)):
        for places, sign in ((come, 1), (gone, -1)):
            for place in places:
                ranks, times = tallies[place - base]
                flat[ranks] += sign * times
                np.add.at(blocks, ranks // _BLOCK, sign * times)
                total += sign * int(times.sum())
        values[number] = _interpolated(known, counts, blocks, (total - 1) * q)
    return _finite(values)


def _interpolated(known: Floats, counts: Places, blocks: Places, position: float) -> float:
    """Return the value at a position among those that are counted; see `cube.model.reduce.quantile`."""
    below = math.floor(position)
    low = _at_rank(known, counts, blocks, below)
    if position == below:
        return low
    high = _at_rank(known, counts, blocks, below + 1)
    share = position - below
    return low * (1 - share) + high * share


def _at_rank(known: Floats, counts: Places, blocks: Places, rank: int) -> float:
    passed = np.cumsum(blocks)
    block = int(np.searchsorted(passed, rank, side="right"))
    left = rank - (int(passed[block - 1]) if block else 0)
    place = int(np.searchsorted(np.cumsum(counts[block]), left, side="right"))
    return float(known[block * _BLOCK + place])


def _firsts(
    reduce: Reduce, argument: float | None, partials: Sequence[Any], first: Places, _: Places
) -> Floats:
    return np.array([reduce.finish(partials[place], argument) for place in first.tolist()], dtype=np.float64)


def _lasts(
    reduce: Reduce, argument: float | None, partials: Sequence[Any], _: Places, stop: Places
) -> Floats:
    return _firsts(reduce, argument, partials, stop - 1, stop)


def _moves(first: Places, stop: Places) -> Iterator[tuple[range, range]]:
    """Yield the places that each window has no more, and those that it has newly."""
    begun = ended = int(first[0])
    for begin, end in zip(first.tolist(), stop.tolist(), strict=True):
        come = range(ended, max(ended, end))
        yield range(begun, begin), come
        begun, ended = begin, come.stop


_METHODS: Final[dict[str, Callable[..., Floats]]] = {
    "sum": _sums,
    "count": _counts,
    "min": _extremes,
    "max": _extremes,
    "mean": _means,
    "median": _quantiles,
    "quantile": _quantiles,
    "distinct": _distincts,
    "first": _firsts,
    "last": _lasts,
}
"""What is faster than `_stacked`, by the reduce."""
