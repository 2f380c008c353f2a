"""What the questions of a run are about, and the times and ids of its events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cube.expression import parse_metric
from cube.expression.nodes import MetricExpression, Reduction
from cube.model import duration
from cube.model.grid import Grid, grid_of
from cube.model.tier import TIERS, Span
from tests.promise.model import Window

MONDAY = 1_704_067_200_000  # 2024-01-01T00:00Z
OFFSETS = (0, 4_000, 10_000, 61_000, 3_600_000, 86_400_000, 8 * 86_400_000)
TIMES = tuple(MONDAY + offset for offset in OFFSETS)
STEPS = tuple(sorted(TIERS))
GRIDS = tuple(grid_of(step) for step in ("7s", "25s", "15m", "2h", "3d", "month"))
GRIDS += tuple(grid_of("1d", zone) for zone in ("Asia/Kathmandu", "Europe/Berlin"))
"""Others: below an hour all is read from events, above it pieces are merged, and the edges read."""

IDS = ("a", "b", "c", "d")
SUM = parse_metric("sum(test(v))")
GROUPED = parse_metric("sum(test(v)).group(v)")
COMPUTED = parse_metric("sum(test(v)).group(floor(v / 2))")
RANKED = parse_metric("sum(test(v)).group(v, floor(v / 2)).top(1)")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about ``after`` buckets from that of ``anchor`` on, and ``before`` ones before it.

    ``function``: "shift" or "rolling" has the buckets stand for other intervals, which need other buckets;
    "top" sums up the largest group, of two parts, and the rest. ``grid``: of which the buckets are, not
    the tier of ``step``.
    """

    step: int
    anchor: int
    before: int = 1
    after: int = 2
    function: str = ""
    grid: Grid | None = None

    @property
    def tier(self) -> Grid:
        return TIERS[self.step] if self.grid is None else self.grid

    @property
    def reduction(self) -> Reduction:
        """Sums; of two buckets those of each value, or at every other tier of what is computed of it."""
        grouped = COMPUTED if STEPS.index(self.step) % 2 else GROUPED
        found = grouped if self.after == 2 else SUM
        assert isinstance(found, Reduction)
        return found

    @property
    def span(self) -> Span:
        first = stop = self.tier.floor(self.anchor)
        for _ in range(self.after):
            stop = self.tier.after(stop)
        return Span(self.tier.back(first, self.before), stop)

    @property
    def moved(self) -> MetricExpression | None:
        """What is evaluated, as the reduction cannot be measured alone; None where it can."""
        if not self.function:
            return None
        if self.function == "top":
            return RANKED
        return parse_metric(f"{self.function}(sum(test(v)),{duration.format(self._duration)})")

    def check(self, window: Window, sums: Mapping[int, float | None], expired_before: int | None) -> None:
        """Raise AssertionError unless the sums by bucket are what the promise allows."""
        if self.function in ("", "top"):
            window.check(sums, self.tier, expired_before)
            return
        for bucket, total in sums.items():
            covered = self._covered(bucket)
            window.check({covered.start: total}, Covered(covered), expired_before)

    @property
    def _duration(self) -> int:
        return self.step + 4_000 if self.function == "shift" else 2 * self.step + 4_000

    def _covered(self, bucket: int) -> Span:
        stop = bucket + self.step
        if self.function == "shift":
            return Span(bucket - self._duration, stop - self._duration)
        return Span(stop - self._duration, stop)


@dataclass(frozen=True, slots=True)
class Covered:
    """One interval, in the place of a tier of which it is a bucket."""

    span: Span

    def floor(self, time: int) -> int:
        """Return the start of the interval, and something else for a time that is not in it."""
        return self.span.start if time in self.span else self.span.start - 1
