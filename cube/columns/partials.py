"""Reduces over whole blocks: the partials of every bucket, and of every group in it.

The rows that count are put in order of bucket (and group), see `cube.columns.segments`. The partials are
those of `cube.model.reduce`, which defines them one event at a time; a reduce that is not in `FAST` is
computed by that definition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise, repeat
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.buckets import Buckets
from cube.columns.column import Rows, renumbered
from cube.columns.evaluation import keys, numbers
from cube.columns.groups import Labels
from cube.columns.segments import Segments, edges_of, labelled
from cube.columns.sums import exact_sums
from cube.columns.tallies import Tally
from cube.columns.values import Floats
from cube.expression.nodes import Reduction
from cube.model.event import EventId, id_key
from cube.model.reduce import REDUCES, Deviations, IdKey, Partial, Sample
from cube.model.tier import GroupKey

_LONG = 256
"""Segments of so many rows, on average, are sorted one by one; shorter ones all at once."""

_FEW = 512
"""Codes of so many rows are told apart by a set, those of more by a table."""

Edge: TypeAlias = tuple[int, IdKey, float]


def partials(reduction: Reduction, tier: Buckets, block: Block) -> dict[int, Partial]:
    """Return the partial of each bucket that has samples, by the bucket's start, ascending.

    A group of the reduction is disregarded. `first` and `last` need a block with ids.
    """
    found = states(replace(reduction, group=None), tier, block)
    return {bucket: state[None] for bucket, state in found.items()}


def grouped_partials(
    reduction: Reduction, tier: Buckets, block: Block
) -> dict[int, dict[GroupKey | None, Partial]]:
    """Return the partial of each group in each bucket that has samples, by the bucket's start.

    A group appears in a bucket for every event there that passes the filters and has a value that
    the reduce takes.
    """
    if reduction.group is None:
        raise ValueError(f"{reduction} has no group")
    return states(reduction, tier, block)


def states(reduction: Reduction, tier: Buckets, block: Block) -> dict[int, dict[GroupKey | None, Partial]]:
    """Return what `grouped_partials` does; of a reduction without a group the partials, under None."""
    block = block.in_use()
    found = labelled(reduction, tier, block)
    return {} if found is None else by_bucket(reduction, block, *found.segmented())


def by_bucket(
    reduction: Reduction,
    block: Block,
    segments: Segments,
    buckets: npt.NDArray[np.int64],
    groups: Labels,
    *,
    at_ends: bool = False,
) -> dict[int, dict[GroupKey | None, Partial]]:
    """Return the partial of each of some segments, by the start of its bucket and by its group.

    ``at_ends``: they are buckets at the ends of a block, to be merged with another's, and finished.
    """
    found: dict[int, dict[GroupKey | None, Partial]] = {}
    partials = _at_ends(reduction, block, segments) if at_ends else reduced(reduction, block, segments)
    for bucket, group, partial in zip(buckets.tolist(), groups, partials, strict=True):
        found.setdefault(bucket, {})[group] = partial
    return found


_Fast: TypeAlias = Callable[[Reduction, Block, Segments], Sequence[Partial]]


def reduced(reduction: Reduction, block: Block, segments: Segments) -> Sequence[Partial]:
    """Return the partial of each segment."""
    if not len(segments.edges):
        return ()
    return FAST.get(reduction.reduce, _plain)(reduction, block, segments)


def _at_ends(reduction: Reduction, block: Block, segments: Segments) -> Sequence[Partial]:
    few = len(segments.edges)
    if reduction.reduce not in ("median", "quantile") or not few or len(segments.rows) < _LONG * few:
        return reduced(reduction, block, segments)
    values = values_of(reduction, block, segments) + 0.0  # -0.0 is 0
    return [Tally.unsorted(values[piece].copy()) for piece in segments.slices()]


def _plain(reduction: Reduction, block: Block, segments: Segments) -> list[Partial]:
    """Make the partials sample by sample, as the reduce defines them."""
    reduce, rows = REDUCES[reduction.reduce], segments.rows
    values = (
        values_of(reduction, block, segments).tolist() if reduce.numeric else _keys(reduction, block, rows)
    )
    times, ids = block.times[rows].tolist(), _ids(block, rows) if reduce.ordered else repeat("")
    samples = list(map(Sample, times, ids, values))
    return [reduce.partial(samples[piece]) for piece in segments.slices()]


def values_of(reduction: Reduction, block: Block, segments: Segments) -> Floats:
    """Return what a numeric reduce takes of the segments' rows."""
    return segments.of(numbers(reduction.value, block))


def _ids(block: Block, rows: Rows) -> list[EventId]:
    ids = block.known_ids
    return [ids[row] for row in rows.tolist()]


def _of_numbers(reduce: Callable[[Floats, Segments], Sequence[Partial]]) -> _Fast:
    return lambda reduction, block, segments: reduce(values_of(reduction, block, segments), segments)


def _sums(values: Floats, segments: Segments) -> list[tuple[float, float]]:
    high, low = exact_sums(values, segments.edges)
    return list(zip(high.tolist(), low.tolist(), strict=True))


def _means(values: Floats, segments: Segments) -> list[tuple[float, float, int]]:
    sums = _sums(values, segments)
    return [(*sums_, count) for sums_, count in zip(sums, segments.lengths().tolist(), strict=True)]


def _extremes(extreme: np.ufunc) -> _Fast:
    return _of_numbers(lambda values, segments: extreme.reduceat(values, segments.edges).tolist())


def _variances(values: Floats, segments: Segments) -> list[Deviations]:
    counts = segments.lengths()
    with np.errstate(all="ignore"):
        means = np.array([high + low for high, low in _sums(values, segments)]) / counts
        apart = values - np.repeat(means, counts)
        rests = np.add.reduceat(apart, segments.edges) / counts
        squares = np.add.reduceat(np.square(apart - np.repeat(rests, counts)), segments.edges)
    overflown = ~np.isfinite(rests)
    rests[overflown], squares[overflown] = 0.0, np.inf
    columns = (counts.tolist(), means.tolist(), rests.tolist(), squares.tolist())
    return list(zip(*columns, strict=True))


def _tallies(values: Floats, segments: Segments) -> list[Tally]:
    owners = np.repeat(np.arange(len(segments.edges)), segments.lengths())
    values = values + 0.0  # -0.0 is 0
    if len(values) < _LONG * len(segments.edges):
        values = values[np.lexsort((values, owners))]
    else:
        for piece in segments.slices():
            values[piece].sort()
    edges = edges_of(values, owners)
    counts, different = np.diff(edges, append=len(values)), values[edges]
    bounds = np.searchsorted(owners[edges], np.arange(len(segments.edges) + 1)).tolist()
    return [Tally(different[start:stop], counts[start:stop]) for start, stop in pairwise(bounds)]


def _keys(reduction: Reduction, block: Block, rows: Rows) -> list[bytes]:
    codes, names = _codes(reduction, block, rows)
    return [names[code] for code in codes.tolist()]


def _codes(reduction: Reduction, block: Block, rows: Rows) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    found, places = ascending(rows, len(block))
    codes, names = keys(reduction.value, block, found)
    return codes[places], names


def ascending(rows: Rows, length: int) -> tuple[Rows, Rows]:
    """Return some rows, of so many, in ascending order and each once, and where each of them is there."""
    taken = np.zeros(length, dtype=np.bool_)
    taken[rows] = True
    found = np.flatnonzero(taken)
    return found, (np.cumsum(taken) - 1)[rows]


def _distinct(reduction: Reduction, block: Block, segments: Segments) -> list[set[bytes]]:
    codes, names = _codes(reduction, block, segments.rows)
    return [
        {names[code] for code in renumbered(codes[piece], len(names))[1].tolist()}
        if piece.stop - piece.start > _FEW
        else {names[code] for code in codes[piece].tolist()}
        for piece in segments.slices()
    ]


def _ends(extreme: np.ufunc, choose: Callable[..., Edge]) -> _Fast:
    def ends(reduction: Reduction, block: Block, segments: Segments) -> list[Edge]:
        values, times = values_of(reduction, block, segments), block.times[segments.rows]
        edges = extreme.reduceat(times, segments.edges)
        candidates = np.flatnonzero(times == np.repeat(edges, segments.lengths()))
        owners = np.searchsorted(segments.edges, candidates, side="right") - 1
        ids = _ids(block, segments.rows[candidates])
        chosen: dict[int, Edge] = {}
        for place, owner, id in zip(candidates.tolist(), owners.tolist(), ids, strict=True):
            edge = (int(times[place]), id_key(id), float(values[place]))
            chosen[owner] = choose(chosen.get(owner, edge), edge, key=lambda each: each[:2])
        return [chosen[owner] for owner in range(len(edges))]

    return ends


FAST: dict[str, _Fast] = {
    "sum": _of_numbers(_sums),
    "count": lambda reduction, block, segments: list(segments.lengths().tolist()),
    "min": _extremes(np.minimum),
    "max": _extremes(np.maximum),
    "mean": _of_numbers(_means),
    "variance": _of_numbers(_variances),
    "stddev": _of_numbers(_variances),
    "median": _of_numbers(_tallies),
    "quantile": _of_numbers(_tallies),
    "distinct": _distinct,
    "first": _ends(np.minimum, min),
    "last": _ends(np.maximum, max),
}
"""What reduces whole columns faster than sample by sample, by the reduce's name."""
