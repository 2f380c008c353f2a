"""A metric as a drawing in the terminal."""

from __future__ import annotations

import re

import pytest

from cube.cli.drawing import Size, drawn, short_number
from cube.cli.time_axis import TimeAxis
from cube.model import instant
from cube.model.tier import Metric

START = instant.parse("2026-11-29T12:00Z")
MINUTE = 60_000


def metrics(*values: float | None, group: str | None = None) -> list[Metric]:
    return [Metric(START + place * MINUTE, value, group) for place, value in enumerate(values)]


def test_a_line_stands_in_axes_of_times_and_values() -> None:
    lines = drawn(metrics(*range(31)), Size(60, 15), with_colours=False).splitlines()
    assert len(lines) <= 15
    assert max(map(len, lines)) <= 60
    heights = [float(line.split("|")[0]) for line in lines[1:-2]]
    assert (heights[-1], sorted(heights, reverse=True)) == (0, heights)
    assert 30 < heights[0] < 32
    assert lines[-1].split()[1:4] == ["12:00", "12:10", "12:20"]


def test_a_gap_is_not_drawn_over() -> None:
    def dots(*values: float | None) -> int:
        text = drawn(metrics(*values), Size(60, 15), with_colours=False)
        return sum("\u2801" <= each <= "\u28ff" for each in text)

    assert dots(5, 5, None, None, None, 5, 5) < dots(5, 5, 5, 5, 5, 5, 5) / 2
    assert dots(None, 5, None, 5) == 2


def test_groups_are_lines_with_names_and_those_of_small_values_are_counted() -> None:
    found = [metric for size in range(9) for metric in metrics(size, size, group=f"g{size}")]
    lines = drawn(
        sorted(found, key=lambda metric: metric.time), Size(100, 20), with_colours=False
    ).splitlines()
    assert lines[-1].split("  ⠒⠒ ")[1:] == ["g8", "g7", "g6", "g5", "g4", "g3", "g2  and 2 more"]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("values", [(), (None, None)])
def test_nothing_is_said_to_be_nothing(values: tuple[None, ...]) -> None:
    assert drawn(metrics(*values), Size(60, 15), with_colours=False) == "There are no values."


@pytest.mark.parametrize("values", [(0, 0), (5,), (-3, -3), (1e300, -1e300)])
def test_what_has_no_extent_is_drawn(values: tuple[float, ...]) -> None:
    assert "|" in drawn(metrics(*values), Size(60, 15), with_colours=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (999.6, "1k"),
        (12_500, "12.5k"),
        (3e6, "3M"),
        (-2.5e9, "-2.5G"),
        (1e20, "1e+20"),
    ],
)
def test_numbers_of_an_axis_are_short(value: float, text: str) -> None:
    assert short_number(value) == text


@pytest.mark.parametrize(
    ("start", "stop", "labels"),
    [
        ("2026-11-29T12:03:17Z", "2026-11-29T12:04:17Z", ["12:03:30", "12:03:45", "12:04:00", "12:04:15"]),
        ("2026-11-29T12:03Z", "2026-11-29T13:03Z", ["12:10", "12:20", "12:30", "12:40", "12:50", "13:00"]),
        ("2026-11-29T07:00Z", "2026-11-30T12:00Z", ["12:00", "18:00", "11-30", "06:00"]),
        ("2026-11-29T12:00Z", "2027-01-02", ["11-30", "12-07", "12-14", "12-21", "12-28"]),
        ("2026-11-02", "2027-11-01", ["2027-01", "2027-04", "2027-07", "2027-10"]),
        ("2026-01-01", "2027-01-01", ["2026-01", "2026-04", "2026-07", "2026-10"]),
        ("1970-01-01", "2026-01-01", ["1980-01", "2000-01", "2020-01"]),
    ],
)
def test_marks_stand_at_round_times(start: str, stop: str, labels: list[str]) -> None:
    axis = TimeAxis(instant.parse(start), instant.parse(stop), 50)
    marks, text = axis.lines()
    assert text.split() == labels
    assert [place for place, mark in enumerate(marks) if mark == "|"] == [
        found.start() for found in re.finditer(r"\S+", text)
    ]
    assert len(marks) == 50
