"""Frames: which interval of time each bucket of a series stands for, as functions of series move it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cube.expression.nodes import SeriesCall
from cube.expression.series_functions import LOOK_BACK, NONE, PREVIOUS
from cube.model.grid import FixedGrid, Grid
from cube.model.tier import Span, Tier
from cube.model.zone import DAY
from cube.model.zoned_grid import ZonedGrid

Instants: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Frame:
    """The buckets of an aligned span, and what moves their intervals, the outermost function first.

    ``origin``: where what is cumulative begins: the start of the span that is asked for. ``moves``: names of
    functions with their durations. ``is_bare``: whether a reduction without values has no value, instead of
    its empty one. ``together``: so many buckets are taken as one.
    """

    grid: Grid
    span: Span
    origin: int
    moves: tuple[tuple[str, int], ...] = ()
    is_bare: bool = False
    together: int = 1

    @classmethod
    def whole(cls, grid: Grid, span: Span) -> Frame:
        """Return the frame of an aligned span, which is not empty, as one bucket."""
        return cls(grid, span, span.start, together=len(grid.buckets(span)))

    @property
    def count(self) -> int:
        """How many buckets there are."""
        return len(self.grid.buckets(self.span)) // self.together

    def widened(self, before: int) -> Frame:
        """Return the frame with so many more buckets before its first."""
        start = self.grid.back(self.span.start, before * self.together)
        return replace(self, span=Span(start, self.span.stop))

    def moved(self, function: str, duration: int) -> Frame:
        """Return the frame of what is within a function that moves intervals."""
        return replace(self, moves=(*self.moves, (function, duration)))

    def intervals(self) -> tuple[Instants, Instants]:
        """Return the starts and the stops of the intervals; both ascend, and none stops before it starts."""
        starts = np.array(self.grid.buckets(self.span), dtype=np.int64)[:: self.together]
        stops, origin = np.append(starts[1:], self.span.stop) if len(starts) else starts, self.origin
        for function, duration in self.moves:
            match function:
                case "shift":
                    starts, stops = self._back(starts, duration), self._back(stops, duration)
                    origin = int(self._back(np.array([origin]), duration)[0])
                case "rolling":
                    starts = self._back(stops, duration)
                case _:  # cumulative
                    starts = np.full(len(stops), origin)
        return np.minimum(starts, stops), stops

    def aligned(self) -> Span | None:
        """Return the span of which the intervals are the buckets; None where they are not any."""
        if self.together > 1 or any(function != "shift" for function, _ in self.moves):
            return None
        moved = sum(duration for _, duration in self.moves)
        if moved and isinstance(self.grid, (Tier, FixedGrid)):
            is_whole = moved % self.grid.step == 0
            return Span(self.span.start - moved, self.span.stop - moved) if is_whole else None
        return self._span_of_buckets() if moved else self.span

    def _span_of_buckets(self) -> Span | None:
        starts, stops = self.intervals()
        span = self.hull()
        if self.grid.cover(span) != span:
            return None
        buckets = np.array(self.grid.buckets(span), dtype=np.int64)
        is_same = np.array_equal(buckets, starts) and np.array_equal(buckets[1:], stops[:-1])
        return span if is_same else None

    def _back(self, times: Instants, duration: int) -> Instants:
        """Return instants so long before others: by the clocks of the grid's zone, if it is of whole days."""
        if not isinstance(self.grid, ZonedGrid) or duration % DAY:
            return times - duration
        return np.array(self.grid.zone.moved_back(times.tolist(), duration), dtype=np.int64)

    def hull(self) -> Span:
        """Return the shortest span that holds all intervals."""
        starts, stops = self.intervals()
        return Span(int(starts[0]), int(stops[-1])) if len(starts) else Span(0, 0)


def operand_frames(call: SeriesCall, frame: Frame) -> tuple[Frame, ...]:
    """Return the frames in which a call's operand is evaluated, for `time_functions.apply`."""
    match call.function, call.duration, call.option:
        case ("shift" | "rolling") as function, int(duration), _:
            return (frame.moved(function, duration),)
        case "cumulative", _, _:
            return (frame.moved("cumulative", 0),)
        case "change", int(duration), _:
            return (frame, frame.moved("shift", duration))
        case "change", _, _:
            return (frame.widened(1),)
        case "fill", _, str(option) if option == PREVIOUS:
            return (frame.widened(LOOK_BACK),)
        case "fill", _, str(option) if option == NONE:
            return (replace(frame, is_bare=True),)
        case _:
            return (frame,)
