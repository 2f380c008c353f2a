"""Instants are read from every common form and written in one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube import instant
from cube.errors import InvalidRequest

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
    assert repr(value)[:60] in refused.value.message
    assert "ISO 8601" in refused.value.message


@given(INSTANTS)
def test_what_is_written_is_read_back(time: int) -> None:
    text = instant.format(time)
    assert len(text) == 24
    assert instant.parse(text) == instant.parse(text.replace("T", " ")) == instant.parse(str(time)) == time


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
