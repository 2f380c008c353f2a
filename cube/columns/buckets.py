"""Which bucket each row of a block is in: of a tier by arithmetic, of any intervals by their edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cube.model.tier import Span, Tier

Times: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Cuts:
    """Intervals in order of time that do not overlap; what lies between them is in none."""

    starts: Times
    stops: Times

    @classmethod
    def of(cls, intervals: Sequence[Span]) -> Cuts:
        edges = [(each.start, each.stop) for each in intervals]
        starts, stops = np.array(edges, dtype=np.int64).reshape(-1, 2).T
        return cls(starts, stops)

    def holds(self, times: Times) -> npt.NDArray[np.bool_]:
        """Tell which times are in an interval."""
        if not len(self.starts):
            return np.zeros(len(times), dtype=np.bool_)
        numbers = self.numbers(times)
        held: npt.NDArray[np.bool_] = (numbers >= 0) & (times < self.stops[numbers])
        return held

    def numbers(self, times: Times) -> Times:
        """Return the number of the interval of each time that is in one."""
        return self.starts.searchsorted(times, side="right") - 1


Buckets: TypeAlias = Tier | Cuts
"""What divides the rows of a block."""


def complete(buckets: Buckets, starts: Times, span: Span | None) -> slice:
    """Return which of some buckets, whose starts ascend, have all their events in one block.

    ``span``: of which the block has all; without one the first and the last bucket may go on elsewhere.
    """
    if span is None:
        inner = slice(int(starts.searchsorted(starts[0], "right")), int(starts.searchsorted(starts[-1])))
    else:
        stops = buckets.stops[buckets.numbers(starts)] if isinstance(buckets, Cuts) else starts + buckets.step
        inner = slice(int(starts.searchsorted(span.start)), int(stops.searchsorted(span.stop, "right")))
    return inner if inner.start < inner.stop else slice(len(starts), len(starts))


def first_rows(buckets: Buckets, times: Times) -> list[int]:
    """Return where in ascending times buckets begin, but the first."""
    numbers = (
        buckets.numbers(times) if isinstance(buckets, Cuts) else (times - buckets.origin) // buckets.step
    )
    rows: list[int] = (np.flatnonzero(numbers[1:] != numbers[:-1]) + 1).tolist()
    return rows


def bucket_numbers(buckets: Buckets, times: Times) -> tuple[Times, Callable[[Times], Times]]:
    """Return the number of each time's bucket, from 0 on in order of time, and what tells starts of numbers.

    All times, of which there is at least one, are in buckets.
    """
    if isinstance(buckets, Cuts):
        numbers, starts = buckets.numbers(times), buckets.starts
        least = int(numbers.min())
        return numbers - least, lambda some: starts[some + least]
    first, step = buckets.floor(int(times.min())), buckets.step
    return (times - first) // step, lambda some: first + some * step


def ascending_numbers(buckets: Buckets, times: Times) -> tuple[Times, Callable[[Times], Times]]:
    """Return what `bucket_numbers` does of ascending times; only buckets that have times are numbered."""
    starts, edges = bucket_edges(buckets, times)
    return np.repeat(np.arange(len(starts)), np.diff(edges, append=len(times))), lambda some: starts[some]


def bucket_edges(buckets: Buckets, times: Times) -> tuple[Times, npt.NDArray[np.intp]]:
    """Return the starts of the buckets that some ascending times are in, and where in them each begins.

    All times, of which there is at least one, are in buckets.
    """
    if isinstance(buckets, Cuts):
        starts = buckets.starts
    else:
        first, step = buckets.floor(int(times[0])), buckets.step
        count = (int(times[-1]) - first) // step + 1
        if count > len(times):
            numbers = (times - first) // step
            edges = np.concatenate(([0], np.flatnonzero(numbers[1:] != numbers[:-1]) + 1))
            return first + numbers[edges] * step, edges
        starts = first + np.arange(count, dtype=np.int64) * step
    edges = times.searchsorted(starts)
    filled = np.flatnonzero(np.diff(edges, append=len(times)))
    return starts[filled], edges[filled]
