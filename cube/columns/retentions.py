"""Retention: keys by their first event, and whether they come back in later periods.

The first event is the first of all that are kept, whatever span is asked for: so a bucket has the same answer
in every question. Period n of a key is ``[first + n * period, first + (n + 1) * period)``.
"""

from __future__ import annotations

import numpy as np

from cube.columns.block import Block
from cube.columns.funnels import Counts
from cube.columns.key_events import Codes, KeyNumbers
from cube.expression.nodes import EventExpression, Value
from cube.model import instant
from cube.model.tier import Span

_ALWAYS = Span(instant.EARLIEST, instant.LATEST + 1)
_NEVER = np.iinfo(np.int64).max
_GROWTH = 2


class FirstEvents:
    """The time of each key's first event; ``bytes``: about what that takes."""

    def __init__(self, key: Value, selection: EventExpression) -> None:
        self.numbers = KeyNumbers(key)
        self._selections = (selection,)
        self._times = np.full(1_024, _NEVER, dtype=np.int64)

    @property
    def bytes(self) -> int:
        return self.numbers.bytes + self._times.nbytes

    @property
    def times(self) -> Codes:
        """The first time of each key, by its number."""
        return self._times[: len(self.numbers)]

    def add(self, block: Block, stop: int) -> None:
        """Take in the events of a block, in any order, that are before a time."""
        span = Span(instant.EARLIEST, stop)
        found = self.numbers.read(self._selections, self._selections[0].type, block, span)
        if len(self.numbers) > len(self._times):
            more = np.full(_GROWTH * len(self.numbers), _NEVER, dtype=np.int64)
            more[: len(self._times)] = self._times
            self._times = more
        np.minimum.at(self._times, found.keys, found.times)


class Returns:
    """Which keys of some cohorts come back in which period; ``firsts``: those of all keys.

    ``edges``: the starts of the buckets, ascending, and the end of the last one.
    """

    def __init__(self, firsts: FirstEvents, period: int, periods: int, edges: Codes) -> None:
        self._firsts = firsts
        self._period, self._periods = period, periods
        self._edges = edges
        times = firsts.times
        self._members = np.flatnonzero((times >= edges[0]) & (times < edges[-1]))
        self._rows = np.full(len(times), -1, dtype=np.int64)
        self._rows[self._members] = np.arange(len(self._members))
        self._seen = np.zeros((len(self._members), periods + 1), dtype=np.bool_)
        self._seen[:, 0] = True

    @property
    def bytes(self) -> int:
        return self._seen.nbytes + self._rows.nbytes + self._members.nbytes

    def add(self, selection: EventExpression, block: Block) -> None:
        """Take in the events of a block that pass a selection."""
        found = self._firsts.numbers.read((selection,), selection.type, block, _ALWAYS)
        known = found.keys < len(self._rows)  # others had no first event
        keys, times = found.keys[known], found.times[known]
        rows = self._rows[keys]
        inside = rows >= 0
        rows, after = rows[inside], times[inside] - self._firsts.times[keys[inside]]
        periods = after // self._period
        counts = (after >= 0) & (periods <= self._periods) & (periods > 0)
        self._seen[rows[counts], periods[counts]] = True

    def counts(self) -> Counts:
        """Return the keys of each cohort, and how many came back in each period: (buckets, 1 + periods)."""
        return self.counts_in(self._edges[:-1], self._edges[1:])

    def counts_in(self, starts: Codes, stops: Codes) -> Counts:
        """Return the same of any intervals between the first edge and the last one: (intervals, …)."""
        times = self._firsts.times[self._members]
        counts = np.zeros((len(starts), self._periods + 1))
        for period in range(self._periods + 1):
            some = np.sort(times[self._seen[:, period]])
            counts[:, period] = np.searchsorted(some, stops) - np.searchsorted(some, starts)
        return counts
