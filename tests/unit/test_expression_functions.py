"""What functions give: the same over columns as for one event, and exactly at the edges of whole numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cube.expression.functions import FUNCTIONS


@pytest.mark.parametrize(
    ("function", "powers"),
    [
        ("log2", {exponent: 2.0**exponent for exponent in range(-1074, 1024)}),
        ("log10", {exponent: float(f"1e{exponent}") for exponent in range(-307, 309)}),
    ],
)
def test_no_number_is_on_the_wrong_side_of_a_power(function: str, powers: dict[int, float]) -> None:
    entry = FUNCTIONS[function]
    expected = {}
    for exponent, power in powers.items():
        expected[power] = exponent
        expected[math.nextafter(power, math.inf)] = exponent
        expected.setdefault(math.nextafter(power, 0), exponent - 1)
    for number in [each for each in expected if not 0 < each < math.inf]:
        del expected[number]
    if function == "log2":  # between the least numbers lie the next powers themselves
        expected = {number: math.frexp(number)[1] - 1 for number in expected}
    found = entry.columns(np.array(list(expected)))
    assert np.floor(found).tolist() == list(expected.values())
    assert [math.floor(entry.plain(number)) for number in expected] == list(expected.values())
    assert entry.columns(np.array(list(powers.values()))).tolist() == list(powers)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_columns_is_the_plain_one_of_each_row(function: str) -> None:
    entry = FUNCTIONS[function]
    numbers = np.concatenate([np.linspace(-3, 3, 25), [0.0, 1e-300, 1e300, 1000.0, 8.0]])
    with np.errstate(all="ignore"):
        found = entry.columns(numbers)
    for number, value in zip(numbers.tolist(), found.tolist(), strict=True):
        try:
            plain = float(entry.plain(number))
        except (ArithmeticError, ValueError):
            assert not math.isfinite(value)
        else:
            assert value == pytest.approx(plain, rel=1e-14)
