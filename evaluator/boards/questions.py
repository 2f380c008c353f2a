"""What the page will ask when a board is opened: its expressions, at the steps that it may choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cube.expression.variables import substituted
from cube.model.board import COLUMNS, Board, Chart, length
from cube.model.grid import grid_of
from cube.model.tier import TIERS, Span

PAGE_PIXELS: Final = 1200
"""About the width of a board on a screen."""

PIXELS: Final = {"bars": 4, "heat": 2}
"""For a bucket where it is not one, as in ``pages/query.js``."""

FEWEST: Final = 60
"""Buckets that a chart may always have, however narrow it is."""


@dataclass(frozen=True, slots=True)
class BoardQuestion:
    """An expression over an aligned span that ends with the last whole bucket.

    ``step``, ``timezone``, ``week_start``: as a question has them.
    """

    expression: str
    step: int | str
    timezone: str
    week_start: str
    span: Span

    def raw(self) -> dict[str, Any]:
        """Return it as the parameters of ``/1.0/metric``."""
        return {
            "expression": self.expression,
            "start": self.span.start,
            "stop": self.span.stop,
            "step": self.step,
            "timezone": self.timezone,
            "week_start": self.week_start,
        }


def questions(board: Board, now: int) -> Iterator[BoardQuestion]:
    """Return what is asked of a board at a moment, each variable at the value that it has at first."""
    values = {variable.name: variable.value for variable in board.variables}
    covered, zone = Span(now - length(board.span), now), board.timezone or "UTC"
    for chart in board.charts:
        shifts = [0, length(chart.compare)] if chart.compare else [0]
        for step in _steps(chart, covered.length):
            grid = grid_of(step, zone, board.week_start)
            for shift in shifts:
                span = grid.cover(Span(covered.start - shift, grid.floor(now) - shift))
                for text in chart.expressions:
                    yield BoardQuestion(substituted(text, values), step, zone, board.week_start, span)


def _steps(chart: Chart, milliseconds: int) -> Sequence[int | str]:
    """Return the chosen step; else what fits a screen, and the next one, for a narrower window."""
    if chart.step is not None:
        return [chart.step]
    pixels = PAGE_PIXELS * chart.width / COLUMNS / PIXELS.get(chart.chart, 1)
    steps = list(TIERS)
    fits = [step for step in steps if milliseconds / step <= max(FEWEST, pixels)]
    return fits[:2] or steps[-1:]
