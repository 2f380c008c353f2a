"""The table of figures: made from a run, written into ``docs/performance.md``, and read from there again."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.benchmark.builds import CHECKOUT
from tests.benchmark.running import Measured

PAGE = CHECKOUT / "docs" / "performance.md"
BEGIN, END = "<!-- written by make bench: begin -->", "<!-- written by make bench: end -->"
HEAD = ("workload", "figure", "this tree", "BASE", "× BASE", "beside it", "wanted", "measured")
PICTURE = "![Milliseconds over the number of events](performance.svg)"
FIRST = "tree"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, as text."""

    workload: str
    figure: str
    ours: str
    base: str
    ratio: str
    beside: str
    wanted: str
    measured: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is about; a later row about the same replaces it."""
        return self.workload, self.figure

    def __str__(self) -> str:
        cells = (self.workload, self.figure, self.ours, self.base, self.ratio, self.beside, self.wanted)
        return f"| {' | '.join((*cells, self.measured))} |"


def rows(measured: Measured, when: str) -> list[Row]:
    """Return the rows of a case, one a figure: medians [lowest – highest], and medians of ratios by turn."""
    case = measured.case
    found = []
    for figure in measured.samples[FIRST][0]:
        ours, base = measured.of(FIRST, figure), measured.of("base", figure)
        others = [_beside(measured, name, figure, ours) for name in case.against]
        found.append(
            Row(
                workload=f"`{case.name}`: {case.title}",
                figure=figure,
                ours=spread(ours),
                base=spread(base) if base else "–",
                ratio=_ratio(ours, base) if base else "–",
                beside="; ".join(filter(None, others)) or "–",
                wanted=case.wanted if figure == next(iter(measured.samples[FIRST][0])) else "",
                measured=when,
            )
        )
    return found


def spread(figures: Sequence[float]) -> str:
    """Write ``median [lowest – highest]``."""
    low, high = short(min(figures)), short(max(figures))
    middle = short(statistics.median(figures))
    return middle if len(figures) == 1 else f"{middle} [{low} – {high}]"


def short(figure: float) -> str:
    """Write three digits, or whole numbers from 100 on, with a thin gap between thousands."""
    return f"{figure:,.0f}".replace(",", " ") if abs(figure) >= 100 else f"{figure:.3g}"


def median(cell: str) -> float:
    """Read the median of a cell."""
    return float(cell.partition("[")[0].replace(" ", ""))


def read(text: str) -> list[Row]:
    """Return the rows of a page; raises `ValueError` where a line is none."""
    block = text.partition(BEGIN)[2].partition(END)[0]
    lines = [line for line in block.splitlines() if line.startswith("| `")]
    found = []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
        if len(cells) != len(HEAD):
            raise ValueError(f"{line!r} has {len(cells)} cells, and a row of the table has {len(HEAD)}.")
        found.append(Row(*cells))
    return found


def merged(text: str, new: Iterable[Row], run: str, order: Sequence[str]) -> str:
    """Return a page with new rows in place of those about the same; `run` tells what was run, and on what.

    `order`: the names of all workloads; rows about others are left out.
    """
    kept = {row.key: row for row in [*read(text), *new]}
    places = {name: place for place, name in enumerate(order)}
    ordered = sorted(
        (row for row in kept.values() if _name(row) in places), key=lambda row: places[_name(row)]
    )
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    head = f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}"
    picture = [PICTURE, ""] if any(_name(row).startswith("growth ") for row in ordered) else []
    block = "\n".join([BEGIN, "", run, "", head, *map(str, ordered), "", *picture, END])
    return before + block + after


def _name(row: Row) -> str:
    found = re.match(r"`([^`]+)`", row.workload)
    return found.group(1) if found else ""


def _beside(measured: Measured, name: str, figure: str, ours: list[float]) -> str:
    theirs = measured.of(name, figure)
    if not theirs:
        return ""
    return f"{name} {short(statistics.median(theirs))} ({_ratio(ours, theirs)})"


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = [a / b for a, b in zip(ours, theirs, strict=False) if b]
    return f"{short(statistics.median(ratios))} ×" if ratios else "–"
