"""Finished values of whole blocks: where all of a bucket lies in one block, no partial is made of it.

The values are those that `Reduce.finish` makes of the partials of `cube.columns.partials`. Of tallies and of
sets of keys that would be most of the work; they are sorted, or counted, as arrays instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.buckets import Buckets, Times, complete
from cube.columns.column import Rows, finite
from cube.columns.evaluation import evaluated, keys, numbers
from cube.columns.groups import Labels
from cube.columns.partials import ascending, by_bucket, reduced, values_of
from cube.columns.segments import Cells, InOrder, Labelled, Segments, labelled
from cube.columns.sums import exact_sums, exact_totals
from cube.columns.values import Floats
from cube.expression.nodes import Reduction
from cube.model.reduce import REDUCES, Partial
from cube.model.tier import GroupKey, group_key, part_keys, several_key

_SHORT = 256
"""Segments of fewer rows, on average, are sorted all at once; longer ones are partitioned one by one."""

_PADDED_CELLS = 4
"""A padded table has at most so many cells for each value."""

_TABLE_CELLS = 2**20
"""A table of segments and codes has at most so many cells, or four a row."""


Number = TypeVar("Number", np.float64, np.int32)


@dataclass(frozen=True, slots=True)
class Finals:
    """What a block says of its buckets.

    ``buckets``, ``groups`` and ``values``: of each bucket (and group) that has samples, ordered by bucket;
    NaN is "no value". ``groups`` has None where there are none. ``shared``: the partials of the buckets that
    may have more samples in other blocks, the first and the last at most; they are not among the others.
    """

    buckets: Times = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    groups: Labels = field(default_factory=lambda: Labels.of(()))
    values: Floats = field(default_factory=lambda: np.zeros(0))
    shared: Mapping[int, dict[GroupKey | None, Partial]] = field(default_factory=dict)


def finals(reduction: Reduction, tier: Buckets, block: Block) -> Finals:
    """Return the values of the buckets that have samples in a block; see `Finals`."""
    block = block.in_use()
    found = labelled(reduction, tier, block)
    if found is None:
        return Finals()
    tabled = _tabled(reduction, tier, block, found)
    if tabled is not None:
        return tabled
    segments, buckets, groups = found.segmented()
    some = complete(tier, buckets, block.span)
    shared: dict[int, dict[GroupKey | None, Partial]] = {}
    for outer in (slice(0, some.start), slice(some.stop, None)):
        ends = segments.part(outer), buckets[outer], groups[outer]
        shared |= by_bucket(reduction, block, *ends, at_ends=True)
    if some.start == some.stop:
        return Finals(shared=shared)
    finish = _FINISHES.get(reduction.reduce, _finished)
    values = finish(reduction, block, segments.part(some))
    if reduction.arguments is None:
        return Finals(buckets[some], groups[some], values, shared)
    every = np.repeat(buckets[some], len(reduction.arguments))
    keys = [with_argument(key, each) for key in groups[some] for each in reduction.arguments]
    return Finals(every, Labels.of(keys), values, shared)


def _tabled(reduction: Reduction, tier: Buckets, block: Block, found: Labelled | InOrder) -> Finals | None:
    """Return the values out of a table of buckets and groups, for which no row need be put in order.

    None where the reduce takes more than totals, a bucket may go on elsewhere, or that is dearer.
    """
    total = _TOTALS.get(reduction.reduce)
    if total is None or not isinstance(found, Labelled):
        return None
    cells = found.cells()
    if cells is None:
        return None
    buckets, groups = found.named(cells.used)
    if complete(tier, buckets, block.span) != slice(0, len(buckets)):
        return None
    values = total(reduction, block, found, cells)
    return None if values is None else Finals(buckets, groups, values)


def finished(
    reduction: Reduction, state: Mapping[GroupKey | None, Partial]
) -> Iterator[tuple[GroupKey | None, float | None]]:
    """Yield the values of the partials of one bucket, each with its group; of several arguments each one."""
    finish = REDUCES[reduction.reduce].finish
    for key, partial in state.items():
        if isinstance(reduction.argument, tuple):
            for each in reduction.argument:
                yield with_argument(key, each), finish(partial, each)
        else:
            yield key, finish(partial, reduction.argument)


def with_argument(key: GroupKey | None, argument: float) -> GroupKey:
    """Return the group of one of several arguments of a reduce: a part of its own, the last."""
    own = group_key(argument)
    return own if key is None else several_key((*part_keys(key), own))


_Finish: TypeAlias = Callable[[Reduction, Block, Segments], Floats]
_Total: TypeAlias = Callable[[Reduction, Block, Labelled, Cells], "Floats | None"]


def _finished(reduction: Reduction, block: Block, segments: Segments) -> Floats:
    partials = reduced(reduction, block, segments)
    values = [value for partial in partials for _, value in finished(reduction, {None: partial})]
    return np.array(values, dtype=np.float64)  # None is NaN


def _sums(reduction: Reduction, block: Block, segments: Segments) -> Floats:
    if reduction.value is None:
        return _counts(reduction, block, segments)
    high, low = exact_sums(values_of(reduction, block, segments), segments.edges)
    with np.errstate(all="ignore"):
        return finite(high + low)


def _counts(_: Reduction, __: Block, segments: Segments) -> Floats:
    return segments.lengths().astype(np.float64)


def _means(reduction: Reduction, block: Block, segments: Segments) -> Floats:
    high, low = exact_sums(values_of(reduction, block, segments), segments.edges)
    with np.errstate(all="ignore"):
        return finite((high + low) / segments.lengths())


def _total_counts(_: Reduction, __: Block, ___: Labelled, cells: Cells) -> Floats:
    return cells.lengths.astype(np.float64)


def _total_sums(reduction: Reduction, block: Block, found: Labelled, cells: Cells) -> Floats | None:
    if reduction.value is None:
        return _total_counts(reduction, block, found, cells)
    totals = exact_totals(found.of(numbers(reduction.value, block)), cells)
    return None if totals is None else finite(totals)


def _total_means(reduction: Reduction, block: Block, found: Labelled, cells: Cells) -> Floats | None:
    totals = exact_totals(found.of(numbers(reduction.value, block)), cells)
    return None if totals is None else finite(totals / cells.lengths)


def _extremes(extreme: np.ufunc) -> _Finish:
    def extremes(reduction: Reduction, block: Block, segments: Segments) -> Floats:
        found: Floats = extreme.reduceat(values_of(reduction, block, segments), segments.edges)
        return found

    return extremes


def _quantiles(reduction: Reduction, block: Block, segments: Segments) -> Floats:
    """Interpolate as `cube.model.reduce.quantile` does, among each segment's own values in order.

    Of several quantiles those of a segment follow each other; it is sorted once for all of them.
    """
    values, lengths = values_of(reduction, block, segments), segments.lengths()
    argument = 0.5 if reduction.argument is None else reduction.argument
    wanted = np.array(argument if isinstance(argument, tuple) else (argument,), dtype=np.float64)
    positions = (lengths[:, np.newaxis] - 1) * wanted
    below = np.floor(positions).astype(np.intp)
    above = np.minimum(below + 1, lengths[:, np.newaxis] - 1)
    table = _padded(values, lengths, np.inf)
    if table is not None:
        table.sort(axis=1)
        rows = np.arange(len(lengths))[:, np.newaxis]
        low, high = table[rows, below], table[rows, above]
    elif len(values) < _SHORT * len(lengths):
        values, first = values[_sorted_within(values, lengths)], segments.edges[:, np.newaxis]
        low, high = values[first + below], values[first + above]
    else:
        low, high = _ranked(values, segments, below, above)
    shares = positions - below
    with np.errstate(all="ignore"):
        found: Floats = np.where(shares == 0, low, low * (1 - shares) + high * shares)
    return finite(found.ravel())


def _padded(
    values: npt.NDArray[Number], lengths: npt.NDArray[np.intp], pad: float
) -> npt.NDArray[Number] | None:
    """Return a table with a row for each segment, filled up at the end; None where that would be most of it.

    Rows of a table are sorted together many times as fast as segments one by one.
    """
    longest = int(lengths.max())
    if longest * len(lengths) > _PADDED_CELLS * len(values):
        return None
    if longest * len(lengths) == len(values):
        return values.reshape(len(lengths), longest).copy()
    table = np.full((len(lengths), longest), pad, dtype=values.dtype)
    table[np.arange(longest) < lengths[:, np.newaxis]] = values
    return table


def _sorted_within(values: Floats, lengths: npt.NDArray[np.intp]) -> Rows:
    """Return the order of values in each segment; by value first, since numbers of 16 bits sort fast."""
    owners = np.repeat(np.arange(len(lengths)), lengths)
    if len(lengths) > np.iinfo(np.uint16).max:
        return np.lexsort((values, owners))
    order: Rows = np.argsort(values)
    return order[np.argsort(owners[order].astype(np.uint16), kind="stable")]


def _ranked(
    values: Floats, segments: Segments, below: npt.NDArray[np.intp], above: npt.NDArray[np.intp]
) -> tuple[Floats, Floats]:
    pairs = np.empty((2, *below.shape))
    for place, piece in enumerate(segments.slices()):
        ranks = np.stack((below[place], above[place]))
        pairs[:, place] = np.partition(values[piece], np.unique(ranks))[ranks]
    return pairs[0], pairs[1]


def _distincts(reduction: Reduction, block: Block, segments: Segments) -> Floats:
    codes, count = _codes(reduction, block, segments.rows)
    lengths = segments.lengths()
    cells = len(lengths) * count
    if cells > max(_TABLE_CELLS, 4 * len(codes)):
        return _different(codes, count, lengths).astype(np.float64)
    table = np.zeros(cells, dtype=np.bool_)
    table[np.repeat(np.arange(len(lengths)), lengths) * count + codes] = True
    counts: Floats = np.count_nonzero(table.reshape(-1, count), axis=1).astype(np.float64)
    return counts


def _different(
    codes: npt.NDArray[np.int64], count: int, lengths: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Return how many different codes, all below ``count``, each segment has."""
    table = _padded(codes.astype(np.int32), lengths, count)
    if table is None:
        pairs = np.unique(np.repeat(np.arange(len(lengths)), lengths) * count + codes)
        return np.bincount(pairs // count, minlength=len(lengths))
    table.sort(axis=1)
    changes = np.count_nonzero(table[:, 1:] != table[:, :-1], axis=1)
    different: npt.NDArray[np.intp] = 1 + changes - (lengths < table.shape[1])  # one is to the padding
    return different


def _codes(reduction: Reduction, block: Block, rows: Rows) -> tuple[npt.NDArray[np.int64], int]:
    """Number the different values of some rows; return how many numbers there are."""
    value = reduction.value
    own = None if value is None else evaluated(value, block).value_codes(rows)
    if own is not None:
        return own
    found, places = ascending(rows, len(block))
    codes, names = keys(value, block, found)
    return codes[places], len(names)


_FINISHES: dict[str, _Finish] = {
    "sum": _sums,
    "mean": _means,
    "count": _counts,
    "min": _extremes(np.minimum),
    "max": _extremes(np.maximum),
    "median": _quantiles,
    "quantile": _quantiles,
    "distinct": _distincts,
}
"""What makes values without partials, by the reduce's name."""

_TOTALS: dict[str, _Total] = {
    "sum": _total_sums,
    "mean": _total_means,
    "count": _total_counts,
}
"""What makes values of totals by cell alone."""
