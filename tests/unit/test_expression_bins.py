"""The bins that groups stand for, and where they begin and end."""

from __future__ import annotations

import math

import pytest

from cube.columns.definition import group_at
from cube.expression import parse_metric, print_expression
from cube.expression.bins import bins
from cube.expression.nodes import Reduction, Value

BINNED = [
    ("floor(ms)", "ms", None, 1, 1),
    ("floor(ms / 100)", "ms", None, 100, 100),
    ("floor(ms / 49) * 49", "ms", None, 1, 49),
    ("10 * floor(ms * 0.5)", "ms", None, 0.2, 2),
    ("floor(ms / 4 / 25)", "ms", None, 100, 100),
    ("floor(log2(ms))", "ms", 2, 1, 1),
    ("floor(log2(ms / 2) * 4)", "ms / 2", 2, 0.25, 0.25),
    ("floor(log10(ms - wait))", "ms - wait", 10, 1, 1),
    ("floor(ms * wait / 3)", "ms * wait", None, 3, 3),
    ("floor(ms + wait / 3)", "ms + wait / 3", None, 1, 1),
    ("floor(100 / ms)", "100 / ms", None, 1, 1),
]
OTHERS = ["ms", "host", "round(ms)", "floor(ms) + 1", "-floor(ms)", "abs(floor(ms))", "floor(ms) / ms"]
WITHOUT_WIDTH = [
    "floor(ms / 0)",
    "floor(ms * 0)",
    "floor(ms / -5)",
    "floor(ms / 1e300 / 1e300)",
    "floor(ms) / 0",
]


def group(text: str) -> Value:
    reduction = parse_metric(f"sum(request).group({text})")
    assert isinstance(reduction, Reduction)
    assert reduction.group is not None
    return reduction.group.parts[0].value


@pytest.mark.parametrize(("text", "value", "base", "step", "width"), BINNED)
def test_a_value_that_is_rounded_down_makes_bins(
    text: str, value: str, base: int | None, step: float, width: float
) -> None:
    found = bins(group(text))
    assert found is not None
    assert (print_expression(found.value), found.base) == (value, base)
    assert (found.step, found.width) == (step, width)


@pytest.mark.parametrize("text", [*OTHERS, *WITHOUT_WIDTH])
def test_other_groups_are_no_bins(text: str) -> None:
    assert bins(group(text)) is None


@pytest.mark.parametrize("text", [each[0] for each in BINNED[:6]])
@pytest.mark.parametrize("ms", [0.3, 1, 49, 50, 99.5, 100, 127, 128, 1023.5])
def test_a_group_holds_what_lies_within_its_bounds(text: str, ms: float) -> None:
    found, number = bins(group(text)), group_at(group(text), {"ms": ms})
    assert found is not None
    assert isinstance(number, int | float)
    low, high = found.step * number, found.step * number + found.width
    if found.base is not None:
        low, high = math.pow(found.base, low), math.pow(found.base, high)
    assert low <= ms < high
