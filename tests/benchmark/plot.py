"""The plot of growth: milliseconds over the number of events, both on logarithmic axes, as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmark.builds import CHECKOUT
from tests.benchmark.report import Row, median

PLACE = CHECKOUT / "docs" / "performance.svg"
Point = tuple[float, float]

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 810, 400, 70, 240, 20, 50
_COLOURS = ("#0b6e4f", "#c1292e", "#1f5fa8", "#b36a00", "#6b3fa0", "#444444")
_OF_BASE = ", BASE"


def series(rows: Sequence[Row]) -> dict[str, list[Point]]:
    """Return the lines to draw from the table's rows about growth."""
    found: dict[str, list[Point]] = {}
    for row in rows:
        name, _, size = row.workload.split("`")[1].partition(" ")
        if name not in ("growth", "ten-million") or not row.figure.endswith(" ms"):
            continue
        kind = row.figure.removesuffix(" ms")
        found.setdefault(f"{kind} question", []).append((float(size), median(row.ours)))
        if row.base != "–":
            found.setdefault(f"{kind} question{_OF_BASE}", []).append((float(size), median(row.base)))
        if row.beside.startswith("duckdb "):
            found.setdefault("DuckDB", []).append((float(size), median(row.beside.split(" (")[0][7:])))
    return {name: sorted(points) for name, points in found.items()}


def svg(lines: Mapping[str, Sequence[Point]]) -> str:
    """Draw lines of points, each with its name at its end; all numbers are greater than 0.

    What BASE takes has the colour of what this tree does, and is dashed.
    """
    points = [point for line in lines.values() for point in line]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    across, up = _Axis(min(xs), max(xs)), _Axis(min(ys), max(ys))
    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
    ]
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for tick in across.ticks:
        x = _x(across, tick)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{bottom}" stroke="#dddddd"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{_number(tick)}</text>')
    for tick in up.ticks:
        y = _y(up, tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{right}" stroke="#dddddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">events</text>')
    parts.append(f'<text x="{_LEFT + 6}" y="{_TOP + 14}">ms</text>')
    ends = _apart([_y(up, line[-1][1]) for line in lines.values()])
    kinds = list(dict.fromkeys(name.removesuffix(_OF_BASE) for name in lines))
    for number, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[kinds.index(name.removesuffix(_OF_BASE)) % len(_COLOURS)]
        dashes = ' stroke-dasharray="6 4"' if name.endswith(_OF_BASE) else ""
        places = [(_x(across, x), _y(up, y)) for x, y in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{right + 10}" y="{ends[number] + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>", ""])


def write(rows: Sequence[Row], place: Path = PLACE) -> None:
    """Draw the plot, if there is growth to be seen."""
    lines = series(rows)
    if any(len(points) > 1 for points in lines.values()):
        place.write_text(svg(lines))


class _Axis:
    """A logarithmic axis of whole decades."""

    def __init__(self, least: float, most: float) -> None:
        self.low = math.floor(math.log10(least))
        self.high = max(self.low + 1, math.ceil(math.log10(most)))
        self.ticks = [10.0**power for power in range(self.low, self.high + 1)]

    def place(self, value: float) -> float:
        """Return where a value lies, from 0 to 1."""
        return (math.log10(value) - self.low) / (self.high - self.low)


def _x(axis: _Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: _Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 1 else f"{value:g}"


def _apart(heights: list[float], least: float = 15) -> list[float]:
    """Return heights for labels that do not cover each other, in the order given."""
    moved = dict.fromkeys(range(len(heights)), 0.0)
    last = -math.inf
    for number in sorted(moved, key=lambda number: heights[number]):
        last = moved[number] = max(heights[number], last + least)
    return [moved[number] for number in range(len(heights))]
