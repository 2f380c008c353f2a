"""How often something happened in the last minutes, by name."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final

STEP_MS: Final = 10_000
BUCKETS: Final = 31
"""The open bucket, and five minutes of whole ones."""

MOST_NAMES: Final = 200
"""Names counted in one bucket; what comes under others beyond it is counted as `OTHER`."""

TOLD_NAMES: Final = 50
"""Names told of, those with most; the rest is told as `OTHER`."""

OTHER: Final = ""


class RecentCounts:
    """Counts by name, in buckets of `STEP_MS` of a clock; memory is bounded whatever the names are."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self.total = 0
        self._clock = clock
        self._totals: dict[str, int] = {}
        self._number = clock() // STEP_MS
        self._open: dict[str, int] = {}
        self._buckets: deque[tuple[int, dict[str, int]]] = deque([(self._number, self._open)], BUCKETS)

    def add(self, name: str, count: int) -> None:
        """Count so many of a name, now."""
        number = self._clock() // STEP_MS
        if number != self._number:
            self._turn(number)
        counts = self._open
        if name not in counts and len(counts) >= MOST_NAMES:
            name = OTHER
        counts[name] = counts.get(name, 0) + count
        self.total += count

    def told_up_to(self, totals: Mapping[str, int]) -> dict[str, Any]:
        """Count, as now, what some totals have more than at the last time; return what `told` does."""
        for name, total in totals.items():
            self.add(name, total - self._totals.get(name, 0))
        self._totals = dict(totals)
        return self.told()

    def told(self) -> dict[str, Any]:
        """Return ``{step, start, total, names: {name: [count, …]}}``: the last `BUCKETS`, the open one last.

        ``start``: of the first bucket. Names that nothing was counted of meanwhile are left out.
        """
        last = self._clock() // STEP_MS
        first = last - BUCKETS + 1
        counts = {number: bucket for number, bucket in self._buckets if first <= number <= last}
        sums: Counter[str] = Counter()
        for bucket in counts.values():
            sums.update(bucket)
        unnamed = sums.pop(OTHER, 0)
        told = {name for name, _ in sums.most_common(TOLD_NAMES)}
        names = {name: [0] * BUCKETS for name in sorted(told)}
        if unnamed or len(sums) > len(told):
            names[OTHER] = [0] * BUCKETS
        for number, bucket in counts.items():
            for name, count in bucket.items():
                names[name if name in told else OTHER][number - first] += count
        return {"step": STEP_MS, "start": first * STEP_MS, "total": self.total, "names": names}

    def _turn(self, number: int) -> None:
        """Begin another bucket; a clock that was put back begins anew."""
        if number < self._number:
            self._buckets.clear()
        self._number = number
        self._open = {}
        self._buckets.append((number, self._open))
