"""Durations as words and as milliseconds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InvalidRequest
from cube.model import duration

READ = {
    "500ms": 500,
    "10s": 10_000,
    "15m": 900_000,
    "2h": 7_200_000,
    "7d": 604_800_000,
    "1w": 604_800_000,
    "1h30m": 5_400_000,
    "1d12h": 129_600_000,
    "007s": 7_000,
    "366d": 31_622_400_000,
}

REFUSED = {
    "a whole number and a unit": [
        "",
        "15",
        "m",
        "1.5h",
        "-1h",
        "1 h",
        "1y",
        "\u0661h",
        "1M",
        "9" * 200 + "s",
    ],
    "longer units before": ["30m1h", "1h1h"],
    "from 1ms to 366d": ["0s", "367d", "9999999999999999999ms"],
}


@pytest.mark.parametrize(("text", "milliseconds"), READ.items())
def test_words_are_read(text: str, milliseconds: int) -> None:
    assert duration.parse(text) == milliseconds


@pytest.mark.parametrize(
    ("told", "text"), [(told, text) for told, texts in REFUSED.items() for text in texts]
)
def test_what_is_not_a_duration_is_refused_with_what_is_accepted(told: str, text: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        duration.parse(text)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0ms"),
        (1_500, "1500ms"),
        (90_000, "90s"),
        (5_400_000, "90m"),
        (86_400_000, "1d"),
        (1_209_600_000, "2w"),
    ],
)
def test_the_longest_unit_that_is_whole_is_written(milliseconds: int, text: str) -> None:
    assert duration.format(milliseconds) == text


@given(st.integers(1, duration.LONGEST))
def test_what_is_written_is_read_as_it_was(milliseconds: int) -> None:
    assert duration.parse(duration.format(milliseconds)) == milliseconds
