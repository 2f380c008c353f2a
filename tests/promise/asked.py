"""What the questions of a run are about, and the times and ids of its events."""

from __future__ import annotations

from dataclasses import dataclass

from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.tier import TIERS, Span, Tier

MONDAY = 1_704_067_200_000  # 2024-01-01T00:00Z
OFFSETS = (0, 4_000, 10_000, 61_000, 3_600_000, 86_400_000, 8 * 86_400_000)
TIMES = tuple(MONDAY + offset for offset in OFFSETS)
STEPS = tuple(sorted(TIERS))
IDS = ("a", "b", "c", "d")
SUM = parse_metric("sum(test(v))")
GROUPED = parse_metric("sum(test(v)).group(v)")
COMPUTED = parse_metric("sum(test(v)).group(floor(v / 2))")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about ``after`` buckets from that of ``anchor`` on, and ``before`` ones before it."""

    step: int
    anchor: int
    before: int = 1
    after: int = 2

    @property
    def tier(self) -> Tier:
        return TIERS[self.step]

    @property
    def reduction(self) -> Reduction:
        """Sums; of two buckets those of each value, or at every other tier of what is computed of it."""
        grouped = COMPUTED if STEPS.index(self.step) % 2 else GROUPED
        found = grouped if self.after == 2 else SUM
        assert isinstance(found, Reduction)
        return found

    @property
    def span(self) -> Span:
        first = self.tier.floor(self.anchor)
        return Span(first - self.before * self.step, first + self.after * self.step)
