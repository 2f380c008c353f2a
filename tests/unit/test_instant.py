"""Instants are read from every common form and written in one."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InvalidRequest
from cube.model import instant

T = 1_315_863_192_000  # 2011-09-12T21:33:12.000Z
INSTANTS = st.integers(instant.EARLIEST, instant.LATEST)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2011-09-12T21:33:12.000Z", T),
        ("2011-09-12T21:33:12Z", T),
        ("2011-09-12T21:33:12", T),
        ("2011-09-12 21:33:12", T),
        ("2011-09-12T21:33Z", T - 12_000),
        ("2011-09-12T21:33:12.9Z", T + 900),
        ("2011-09-12T21:33:12.1239999999Z", T + 123),
        ("2011-09-12T21:33:12,5Z", T + 500),
        ("2011-09-12T23:33:12+02:00", T),
        ("2011-09-12T23:33:12+0200", T),
        ("2011-09-12T23:33:12+02", T),
        ("2011-09-12T23:33:12.000 02:00", T),
        ("2011-09-12T23:33:12 02:00", T),
        ("2011-09-12T16:03:12-05:30", T),
        ("2011-09-12", 1_315_785_600_000),
        ("2011-09-12T24:00:00Z", 1_315_872_000_000),
        ("2011-09-12T24:00Z", 1_315_872_000_000),
        ("2011-09-12T213312Z", T),
        ("2011-09-12t21:33:12z", T),
        ("2011-09", 1_314_835_200_000),
        ("2011-09-12Z", 1_315_785_600_000),
        ("2011-09-12-05:00", 1_315_785_600_000 + 5 * 3_600_000),
        ("2011-09-12+02:00", 1_315_785_600_000 - 2 * 3_600_000),
        ("2016-12-31T23:59:60Z", 1_483_228_799_999),
        ("2016-12-31 23:59:60.7", 1_483_228_799_999),
        ("2016-12-31T23:59:60+02:00", 1_483_228_799_999 - 2 * 3_600_000),
        ("2017-01-01T05:29:60+05:30", 1_483_228_799_999),
        ("2016-12-31T235960Z", 1_483_228_799_999),
        ("9999-12-31T23:59:60Z", instant.LATEST),
        ("2011-W37-1T00:00:00Z", None),
        ("1970-01-01T00:00:00.000Z", 0),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01", instant.EARLIEST),
        ("9999-12-31T23:59:59.999Z", instant.LATEST),
        ("1315863192000", T),
        ("-1", -1),
        (T, T),
        (float(T), T),
        (1.9, 1),
        (-1.5, -2),
        ("20110912", 20_110_912),
    ],
)
def test_every_common_form_is_read(value: object, expected: int | None) -> None:
    if expected is None:
        with pytest.raises(InvalidRequest):
            instant.parse(value)
    else:
        assert instant.parse(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        [],
        {},
        "",
        "now",
        "2011-13-01",
        "2011-02-30",
        "2011-09-12T25:00:00Z",
        "20110912T213312Z",
        "2011-09-12T21:33:12.000 CET",
        "Mon Sep 12 2011",
        "2011-09-12/2011-09-13",
        "2011-09-12/21:33",
        "2011-09-12_21:33:12",
        "2011-09-12-21:33:12",
        "2011-09-12-05",
        "2011-09-12T21:3312",
        "2011-09-12T21:33:61Z",
        "2016-12-31T12:30:60Z",
        "2011-09-12T24:01",
        "10000-01-01",
        "0000-01-01",
        "0001-01-01T00:00:00+01:00",
        "1e3",
        "1.5",
        "+1",
        "--1",
        "٣",
        float("nan"),
        float("inf"),
        -float("inf"),
        instant.LATEST + 1,
        instant.EARLIEST - 1,
        10**30,
        1e300,
        "9" * 30,
    ],
)
def test_anything_else_is_refused_with_the_text_and_what_is_accepted(value: object) -> None:
    with pytest.raises(InvalidRequest) as refused:
        instant.parse(value)
    assert json.dumps(value, ensure_ascii=False)[:60] in refused.value.message
    assert "ISO 8601" in refused.value.message


@pytest.mark.parametrize(
    ("value", "readings"),
    [
        (1_732_800_000, ["1970-01-21T01:20:00.000Z as milliseconds", "2024-11-28T13:20:00.000Z as seconds"]),
        ("1732800000", ["2024-11-28T13:20:00.000Z as seconds"]),
        (1_732_800_000.5, ["2024-11-28T13:20:00.500Z as seconds"]),
        (1_732_800_000_000_000, ["2024-11-28T13:20:00.000Z as microseconds"]),
        ("1732800000000000000", ["beyond the years", "2024-11-28T13:20:00.000Z as nanoseconds"]),
        (0, ["1970-01-01T00:00:00.000Z as milliseconds"]),
        (-5_000, ["1969-12-31T23:59:55.000Z as milliseconds", "1969-12-31T22:36:40.000Z as seconds"]),
        (instant.EARLIEST_PLAUSIBLE - 1, ["1973-03-03T09:46:39.999Z as milliseconds"]),
        (instant.LATEST + 1, ["beyond the years"]),
        (instant.EARLIEST - 1, ["beyond the years"]),
        (1e300, ["beyond the years"]),
        (10**4_000, ["beyond the years"]),
    ],
)
def test_a_number_that_is_no_likely_millisecond_is_refused_with_what_else_it_may_be(
    value: object, readings: list[str]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        instant.parse_plausible(value)
    assert all(reading in refused.value.message for reading in readings), refused.value.message


@pytest.mark.parametrize(
    "value", [T, str(T), float(T), instant.EARLIEST_PLAUSIBLE, -instant.EARLIEST_PLAUSIBLE, instant.EARLIEST]
)
def test_other_numbers_are_read_as_they_are_and_text_of_any_year(value: Any) -> None:
    assert instant.parse_plausible(value) == int(value)
    assert instant.parse_plausible("1970-01-01T00:00:00.007Z") == 7
    with pytest.raises(InvalidRequest):
        instant.parse_plausible(None)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_732_800_000, 1_732_800_000_000),
        ("1732800000", 1_732_800_000_000),
        ("1732800000.1239", 1_732_800_000_123),
        (1_732_800_000.123, 1_732_800_000_123),
        (1_732_800_000_123, 1_732_800_000_123),
        (1_732_800_000_123_999, 1_732_800_000_123),
        (1_732_800_000_123_999_999, 1_732_800_000_123),
        (-1.5, -1_500),
        (0, 0),
        ("2011-09-12T21:33:12Z", T),
    ],
)
def test_the_magnitude_tells_the_unit(value: object, expected: int) -> None:
    assert instant.parse_any_unit(value) == expected


@pytest.mark.parametrize("value", [None, True, "1e9", 10**20, math.inf, math.nan, "1" * 21, "-"])
def test_what_has_no_unit_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        instant.parse_any_unit(value)


@given(INSTANTS)
def test_what_is_written_is_read_back(time: int) -> None:
    text = instant.format(time)
    assert len(text) == 24
    assert instant.parse(text) == instant.parse(text.replace("T", " ")) == instant.parse(str(time)) == time


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (instant.LATEST + 1, "+010000-01-01T00:00:00.000Z"),
        (instant.EARLIEST - 1, "0000-12-31T23:59:59.999Z"),
        (instant.EARLIEST - 367 * 86_400_000, "-000001-12-31T00:00:00.000Z"),
    ],
)
def test_the_edges_of_buckets_just_outside_the_years_are_written_too(time: int, text: str) -> None:
    assert instant.format(time) == text


@given(INSTANTS, INSTANTS)
def test_written_instants_sort_as_the_times_do(a: int, b: int) -> None:
    assert (instant.format(a) < instant.format(b)) == (a < b)


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from(["T", " "]),
)
def test_any_zone_is_taken_into_account(moment: datetime, minutes: int, separator: str) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert instant.parse(zoned.isoformat(separator)) == (zoned - epoch) // timedelta(milliseconds=1)


@given(INSTANTS)
def test_datetimes_convert_both_ways(time: int) -> None:
    assert instant.from_datetime(instant.to_datetime(time)) == time
    assert instant.from_datetime(instant.to_datetime(time).replace(tzinfo=None)) == time


@given(st.text(max_size=30))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        time = instant.parse(text)
    except InvalidRequest:
        return
    assert instant.EARLIEST <= time <= instant.LATEST


@given(st.from_regex(instant._COMMON, fullmatch=True))
def test_the_short_way_of_common_texts_is_the_long_one(text: str) -> None:
    def outcome() -> int | str:
        try:
            return instant.parse(text)
        except InvalidRequest as error:
            return error.message

    short = outcome()
    with mock.patch.object(instant, "_COMMON", re.compile("(?!)")):
        assert outcome() == short
