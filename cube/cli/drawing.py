"""Metrics as lines of braille dots, by plotille."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotille

from cube.cli.output import cell
from cube.cli.time_axis import TimeAxis
from cube.model.tier import Metric

COLOURS: Final = ("cyan", "magenta", "yellow", "green", "blue", "red", "white")
"""Of the lines, one after another; there are no more lines than these."""

MARGIN: Final = 14
"""Columns left of a plot, which plotille needs for its labels."""

ARROW: Final = 8
"""Columns right of a plot, with the unit of its times."""

LINES_AROUND: Final = 5
"""Lines above and below a plot: its axes, and the names of its lines."""

LONGEST_NAME: Final = 24
"""Characters of a group that are shown."""

TOP: Final = 0.04
"""The part of a plot that is left free above the largest value."""

LEAST_HEIGHT, MOST_HEIGHT = 5, 40

Line = list[tuple[int, float]]
"""Times and values without a gap between them."""


@dataclass(frozen=True, slots=True)
class Size:
    """What there is room for, in characters."""

    width: int
    height: int

    @property
    def buckets(self) -> int:
        """How many buckets a plot has: one for each character."""
        return max(10, self.width - MARGIN - ARROW)


def drawn(found: Sequence[Metric], size: Size, *, with_colours: bool) -> str:
    """Return a plot of metrics as text, no larger than a size; of nothing a sentence."""
    lines = _lines(found)
    values = [metric.value for metric in found if metric.value is not None]
    if not values:
        return "There are no values."
    shown = sorted(lines, key=lambda name: -_total(lines[name]))[: len(COLOURS)]
    figure = plotille.Figure()
    figure.with_colors, figure.color_mode = with_colours, "names"
    figure.width = size.buckets
    figure.height = max(LEAST_HEIGHT, min(MOST_HEIGHT, size.height - LINES_AROUND))
    figure.origin = False
    figure.x_label, figure.y_label = "", ""
    last = _set_limits(figure, found, values)
    for name, colour in zip(shown, COLOURS, strict=False):
        _add(figure, lines[name], colour)
    axis = TimeAxis(found[0].time, last, figure.width)
    text = _with_axis(str(figure.show()), axis)
    return (
        text if len(lines) < 2 else f"{text}\n{_legend(shown, len(lines), size, with_colours=with_colours)}"
    )


def _with_axis(text: str, axis: TimeAxis) -> str:
    """Return a plot with an axis of round times: plotille marks every tenth column, whatever its time is."""
    *lines, _, _ = text.splitlines()
    marks, labels = axis.lines()
    left = MARGIN - len("|-|")
    return "\n".join((*lines, f"{'-' * left}|-{marks}-> UTC", f"{' ' * left}| {labels}"))


def _legend(names: Sequence[str], groups: int, size: Size, *, with_colours: bool) -> str:
    """Return one line with the name of each line; what has no room is counted."""
    parts, left = [" " * MARGIN], size.width - MARGIN - len("  and 1000 more")
    for name, colour in zip(names, COLOURS, strict=False):
        text = f"  ⠒⠒ {name[:LONGEST_NAME]}"
        left -= len(text)
        if left < 0:
            break
        parts.append(plotille.color(text, fg=colour, mode="names") if with_colours else text)
    more = groups - len(parts) + 1
    return "".join(parts) + (f"  and {more} more" if more else "")


def _set_limits(figure: Any, found: Sequence[Metric], values: Sequence[float]) -> int:
    """Set what a plot is from and to; returns where its times end."""
    first, last = found[0].time, found[-1].time
    end = last + max(1, (last - first) // 100)
    figure.set_x_limits(min_=first, max_=end)
    low, high = min(0.0, *values), max(values)
    room = (high - low) * TOP or 1.0  # what lies at a limit is not drawn
    figure.set_y_limits(min_=low - (room if low < 0 else 0), max_=high + room)

    def label(value: float, chars: int, delta: float, left: bool = False) -> str:
        return short_number(value).rjust(chars)

    for kind in (int, float):
        figure.register_label_formatter(kind, label)
    return end


def _lines(found: Sequence[Metric]) -> dict[str, list[Line]]:
    """Return the lines of each group, one after each gap."""
    lines: dict[str, list[Line]] = {}
    in_gap: dict[str, bool] = {}
    for metric in found:
        name = "" if metric.group is None else cell(metric.group)
        own = lines.setdefault(name, [])
        if metric.value is None:
            in_gap[name] = True
            continue
        if not own or in_gap.get(name):
            own.append([])
            in_gap[name] = False
        own[-1].append((metric.time, metric.value))
    return lines


def _add(figure: Any, lines: list[Line], colour: str) -> None:
    for line in lines:
        times, values = zip(*line, strict=True)
        draw = figure.plot if len(line) > 1 else figure.scatter
        draw(list(times), list(values), lc=colour)


def _total(lines: list[Line]) -> float:
    return sum(abs(value) for value in _values(lines))


def _values(lines: list[Line]) -> Iterator[float]:
    return (value for line in lines for _, value in line)


def short_number(value: float) -> str:
    """Return a number of an axis in at most seven characters or so: 12.5k, 3M, 0.25."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * 0.9995 and abs(value) < size * 1000:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"
