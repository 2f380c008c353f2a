"""Paired measurement: ours and a reference in turn, so that a drifting machine slows both."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one comparison; ``unit`` says whether more or less is better."""

    name: str
    unit: str
    ours: Sequence[float]
    reference: Sequence[float]
    reference_name: str

    @property
    def ratios(self) -> list[float]:
        """Ours over the reference's, turn by turn."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.reference, strict=True)]

    def __str__(self) -> str:
        return (
            f"{self.name}: {spread(self.ours)} {self.unit}; {self.reference_name}: "
            f"{spread(self.reference)} {self.unit}; ratio {spread(self.ratios)}"
        )


def compare(
    name: str,
    ours: Callable[[], float],
    reference: Callable[[], float],
    *,
    unit: str,
    reference_name: str,
    turns: int = 5,
) -> Result:
    """Call both in turn, `turns` times after one warm-up each, and print the result."""
    ours()
    reference()
    pairs = [(ours(), reference()) for _ in range(turns)]
    result = Result(name, unit, [a for a, _ in pairs], [b for _, b in pairs], reference_name)
    print(result, flush=True)
    return result


def spread(figures: Sequence[float]) -> str:
    """Write ``median [minimum - maximum]``."""
    return f"{_short(statistics.median(figures))} [{_short(min(figures))} - {_short(max(figures))}]"


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
