"""The rows of a block that count, by bucket and group: put in order of them, or numbered as cells of a table.

A *segment* is a run of rows of one bucket and group.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from cube.columns.block import Block
from cube.columns.buckets import Buckets, Cuts, Times, ascending_numbers, bucket_edges, bucket_numbers
from cube.columns.column import Rows, stored
from cube.columns.evaluation import mask, numbers, present
from cube.columns.groups import Codes, Labels, grouped
from cube.expression.nodes import Field, Reduction, Value
from cube.model.reduce import REDUCES
from cube.model.tier import GroupKey

Item = TypeVar("Item", np.float64, np.int64)

_CELLS_A_ROW = 4
"""A table has at most so many cells for each row."""


@dataclass(frozen=True, slots=True)
class Segments:
    """``rows`` of the block in order of segment; ``edges``: where in them each segment begins.

    A row that is in several groups is in several segments. ``first``: the first row, where all follow each
    other; None where that is not known.
    """

    rows: Rows
    edges: Rows
    first: int | None = None

    def lengths(self) -> npt.NDArray[np.intp]:
        """Return how many rows each segment has."""
        return np.diff(self.edges, append=len(self.rows))

    def part(self, some: slice) -> Segments:
        """Return some segments that follow each other."""
        edges = self.edges[some]
        if not len(edges):
            return Segments(self.rows[:0], edges)
        start = int(edges[0])
        after = self.edges[some.stop :] if some.stop is not None else self.edges[:0]
        stop = int(after[0]) if len(after) else len(self.rows)
        first = None if self.first is None else self.first + start
        return Segments(self.rows[start:stop], edges - start, first)

    def of(self, values: npt.NDArray[Item]) -> npt.NDArray[Item]:
        """Return the rows' values, of those of all rows of the block; a view where that is enough."""
        if self.first is None:
            return values[self.rows]
        return values[self.first : self.first + len(self.rows)]

    def slices(self) -> list[slice]:
        """Return where in the rows each segment lies."""
        edges = self.edges.tolist()
        return [slice(*pair) for pair in zip(edges, [*edges[1:], len(self.rows)], strict=True)]


@dataclass(frozen=True, slots=True)
class Cells:
    """A table of buckets and groups, row by row: ``of_rows``: the cell of each; ``count``: of all cells.

    ``used``: the cells that have rows, ascending, and ``lengths``: how many each of them has.
    """

    of_rows: Codes
    count: int
    used: Rows
    lengths: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Labelled:
    """``rows`` of a block, at least one, each with the numbers of its bucket and of its group.

    A row that is in several groups stands there once for each. ``starts_of`` tells the starts of buckets of
    their numbers, which are from 0 on. ``codes``: None without groups; ``groups``: their names, by code.
    ``is_all``: whether it is all rows of the block in their order, each once.
    """

    rows: Rows
    numbers: Times
    starts_of: Callable[[Times], Times]
    codes: Codes | None
    groups: Sequence[GroupKey | None]
    is_all: bool

    def of(self, values: npt.NDArray[Item]) -> npt.NDArray[Item]:
        """Return the rows' values, of those of all rows of the block; these where that is all."""
        return values if self.is_all else values[self.rows]

    def segmented(self) -> tuple[Segments, Times, Labels]:
        """Return the segments, and the bucket and the group of each."""
        if self.codes is None:
            rows, numbers = self._ascending()
            segments = Segments(rows, edges_of(numbers))
            buckets = self.starts_of(numbers[segments.edges])
            return segments, buckets, Labels(np.zeros(len(buckets), dtype=np.int64), self.groups)
        order = _order(self.numbers, self.codes, len(self.groups))
        numbers, codes = self.numbers[order], self.codes[order]
        segments = Segments(self.rows[order], edges_of(numbers, codes))
        buckets = self.starts_of(numbers[segments.edges])
        return segments, buckets, Labels(codes[segments.edges], self.groups)

    def cells(self) -> Cells | None:
        """Return the table; None without groups, or where most of it would be empty."""
        if self.codes is None:
            return None
        count = (int(self.numbers.max()) + 1) * len(self.groups)
        if count > _CELLS_A_ROW * len(self.rows):
            return None
        of_rows = self.numbers * len(self.groups) + self.codes
        lengths = np.bincount(of_rows, minlength=count)
        used = np.flatnonzero(lengths)
        return Cells(of_rows, count, used, lengths[used])

    def named(self, cells: Rows) -> tuple[Times, Labels]:
        """Return the bucket and the group of each of some cells."""
        numbers, codes = np.divmod(cells, len(self.groups))
        return self.starts_of(numbers), Labels(codes, self.groups)

    def _ascending(self) -> tuple[Rows, Times]:
        """Return the rows in order of bucket, in which they are unless the block's times descend."""
        if (self.numbers[1:] >= self.numbers[:-1]).all():
            return self.rows, self.numbers
        order = np.argsort(self.numbers, kind="stable")
        return self.rows[order], self.numbers[order]


@dataclass(frozen=True, slots=True)
class InOrder:
    """``rows`` of a block, at least one, whose ``times`` ascend: where buckets begin is searched for."""

    rows: Rows
    tier: Buckets
    times: Times

    def segmented(self) -> tuple[Segments, Times, Labels]:
        """Return the segments, and the bucket and the group of each; there are no groups."""
        first, last = self.rows[[0, -1]].tolist()
        run = Segments(self.rows, self.rows[:0], first if last - first == len(self.rows) - 1 else None)
        starts, edges = bucket_edges(self.tier, run.of(self.times))
        labels = Labels(np.zeros(len(starts), dtype=np.int64), (None,))
        return replace(run, edges=edges), starts, labels


def labelled(reduction: Reduction, tier: Buckets, block: Block) -> Labelled | InOrder | None:
    """Return the rows of a block that count; None where there are none."""
    taken = rows = _rows(reduction, block)
    if isinstance(tier, Cuts):
        taken = rows = rows[tier.holds(block.times[rows])]
    if reduction.group is None and block.span is not None:
        return InOrder(rows, tier, block.times) if len(rows) else None
    codes: Codes | None = None
    groups: Sequence[GroupKey | None] = (None,)
    if reduction.group is not None:
        rows, codes, groups = grouped(reduction.group, block, rows)
    if not len(rows):
        return None
    is_all = rows is taken and len(rows) == len(block)
    times = block.times if is_all else block.times[rows]
    found = bucket_numbers(tier, times) if block.span is None else ascending_numbers(tier, times)
    return Labelled(rows, *found, codes, groups, is_all)


def _order(numbers: Times, codes: Codes, groups: int) -> npt.NDArray[np.intp]:
    """Order rows by bucket and group: numbers of 16 bits sort many times as fast."""
    if (int(numbers.max()) + 1) * groups > np.iinfo(np.uint16).max:
        return np.lexsort((codes, numbers))
    return np.argsort((numbers * groups + codes).astype(np.uint16), kind="stable")


def _rows(reduction: Reduction, block: Block) -> Rows:
    passed, value = mask(reduction.filters, block), reduction.value
    is_numeric = REDUCES[reduction.reduce].numeric
    if value is None or (is_numeric and _has_numbers(value, block)):
        return np.arange(len(passed)) if passed.all() else np.flatnonzero(passed)
    taken = ~np.isnan(numbers(value, block)) if is_numeric else present(value, block)
    return np.flatnonzero(passed & taken)


def _has_numbers(value: Value, block: Block) -> bool:
    """Tell whether all rows are known to have a number: a field's, for what is computed may have none."""
    return isinstance(value, Field) and stored(block, value.path).is_exact


def edges_of(*labels: npt.NDArray[Any]) -> Rows:
    """Return where runs of equal labels begin, the first at 0."""
    changes = np.logical_or.reduce([label[1:] != label[:-1] for label in labels])
    return np.concatenate(([0], np.flatnonzero(changes) + 1))
