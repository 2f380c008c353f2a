"""Tiers cut time into aligned buckets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model import instant
from cube.model.tier import (
    CACHED_TIERS,
    CHUNK_BUCKETS,
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    TEN_SECONDS,
    TIERS,
    WEEK,
    Span,
    Tier,
)

TIMES = st.integers(instant.EARLIEST, instant.LATEST)
EVERY = st.sampled_from(list(TIERS.values()))


@pytest.mark.parametrize(
    ("tier", "floor", "ceil"),
    [
        (SECOND, "2011-09-12T21:33:12.000Z", "2011-09-12T21:33:13.000Z"),
        (TEN_SECONDS, "2011-09-12T21:33:10.000Z", "2011-09-12T21:33:20.000Z"),
        (MINUTE, "2011-09-12T21:33:00.000Z", "2011-09-12T21:34:00.000Z"),
        (HOUR, "2011-09-12T21:00:00.000Z", "2011-09-12T22:00:00.000Z"),
        (DAY, "2011-09-12T00:00:00.000Z", "2011-09-13T00:00:00.000Z"),
        (WEEK, "2011-09-12T00:00:00.000Z", "2011-09-19T00:00:00.000Z"),
    ],
)
def test_a_time_lies_between_its_floor_and_its_ceil(tier: Tier, floor: str, ceil: str) -> None:
    time = instant.parse("2011-09-12T21:33:12.345Z")
    assert (instant.format(tier.floor(time)), instant.format(tier.ceil(time))) == (floor, ceil)


def test_weeks_begin_on_mondays() -> None:
    assert instant.to_datetime(WEEK.floor(0)).weekday() == 0
    assert instant.format(WEEK.floor(0)) == "1969-12-29T00:00:00.000Z"


@given(EVERY, TIMES)
def test_the_bucket_of_a_time_holds_it(tier: Tier, time: int) -> None:
    start = tier.floor(time)
    assert start <= time < start + tier.step
    assert tier.floor(start) == tier.ceil(start) == start
    assert tier.ceil(time) == (start if time == start else start + tier.step)


@given(EVERY, TIMES)
def test_every_bucket_is_made_of_whole_finer_buckets(tier: Tier, time: int) -> None:
    if tier.finer is not None:
        start = tier.floor(time)
        assert tier.finer.floor(start) == start
        assert tier.step % tier.finer.step == 0


@given(EVERY, TIMES)
def test_a_chunk_holds_its_buckets_and_no_others(tier: Tier, time: int) -> None:
    chunk = tier.chunk(time)
    start = tier.chunk_start(chunk)
    assert start <= time < tier.chunk_start(chunk + 1) == start + CHUNK_BUCKETS * tier.step
    assert tier.floor(start) == start


def test_a_cover_is_the_smallest_aligned_span_around() -> None:
    assert MINUTE.cover(Span(1, 60_001)) == Span(0, 120_000)
    assert list(MINUTE.buckets(Span(0, 120_000))) == [0, 60_000]
    assert MINUTE.cover(Span(60_000, 60_000)) == Span(60_000, 60_000)


def test_all_tiers_but_the_finest_are_cached_and_listed_finest_first() -> None:
    assert (
        list(TIERS) == sorted(TIERS) == [1_000, 10_000, 60_000, 300_000, 3_600_000, 86_400_000, 604_800_000]
    )
    assert tuple(TIERS.values())[1:] == CACHED_TIERS
