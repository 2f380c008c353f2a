"""Times of questions, which may be relative to now."""

from __future__ import annotations

import pytest

from cube.errors import InvalidRequest
from cube.model import instant, relative

NOW = instant.parse("2011-07-18T12:34:56.789Z")
HOUR = 3_600_000
YEAR = instant.parse("2026-01-01")

READ = {
    "now": NOW,
    "-6h": NOW - 6 * HOUR,
    "+6h": NOW + 6 * HOUR,
    "now-1d": NOW - 24 * HOUR,
    "now+1h30m": NOW + 90 * 60_000,
    "now-500ms": NOW - 500,
    "-520w": NOW - 520 * 7 * 24 * HOUR,
    " 6h": NOW + 6 * HOUR,
    "now 6h": NOW + 6 * HOUR,
    "2011-07-18": instant.parse("2011-07-18"),
    "2011-07-18T12:00:00-06:00": instant.parse("2011-07-18T18:00Z"),
    "-21600000": -21_600_000,
    "1310992496789": NOW,
}

REFUSED = [
    "",
    "-",
    "6h",
    "now6h",
    "now-",
    "--6h",
    "-6h-1h",
    "-30m1h",
    "-0s",
    "-1.5h",
    "-6H",
    "Now",
    "-9000000d",
]


@pytest.mark.parametrize(("text", "time"), READ.items())
def test_a_time_is_read_absolute_or_relative(text: str, time: int) -> None:
    assert relative.parse(text, NOW) == time


@pytest.mark.parametrize("value", [*REFUSED, "-" + "9" * 200 + "h", None, True, [], float("nan")])
def test_what_is_neither_is_refused_with_what_is_accepted(value: object) -> None:
    with pytest.raises(InvalidRequest, match=r"^Got the time .*; accepted is ISO 8601 .* -6h, now or now-1d"):
        relative.parse(value, NOW)


def test_numbers_are_read_as_instants() -> None:
    assert relative.parse(NOW, 0) == NOW


@pytest.mark.parametrize("year", ["1900", "2026", "2199", 2026, 2026.0])
def test_a_year_alone_is_refused_with_both_that_it_may_mean(year: object) -> None:
    number = int(year)  # type: ignore[call-overload]
    moment = instant.format(number)
    with pytest.raises(InvalidRequest) as refused:
        relative.parse(year, NOW)
    assert str(refused.value) == (
        f"Got the time {number}, a year or {moment} as milliseconds;"
        f" accepted are {number}-01-01 and {moment}."
    )


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("1899", 1899),
        ("2200", 2200),
        ("-2026", -2026),
        ("02026", 2026),
        (2026.5, 2026),
        ("2026-01", YEAR),
        ("0", 0),
    ],
)
def test_numbers_that_are_no_year_stay_milliseconds(value: object, time: int) -> None:
    assert relative.parse(value, NOW) == time
