"""Jumps of the clock: noticed at once, believed after a while."""

from __future__ import annotations

import pytest

from collector.ingest.retention import JUMP_SECONDS, ClockJumpDetector, ExpiryClock

START = 1_700_000_000_000
YEAR = 365 * 86_400


def looks(*times: tuple[float, float]) -> list[float]:
    """Look after so many seconds at a clock that is so many seconds ahead."""
    jumps = ClockJumpDetector(START, 5, seconds=3600)
    return [jumps.look(int(START + 1000 * (passed + ahead)), 5 + passed) for passed, ahead in times]


def test_a_clock_that_goes_on_is_believed() -> None:
    assert looks((0, 0), (600, 0), (1200, 2), (86_400, JUMP_SECONDS)) == [0, 0, 0, 0]


def test_one_that_jumps_ahead_is_not_until_it_is_back() -> None:
    assert looks((600, YEAR), (1200, YEAR), (1800, 0)) == [YEAR, YEAR, 0]


def test_one_that_stays_ahead_is_believed_after_a_while() -> None:
    assert looks((600, YEAR), (4199, YEAR), (4200, YEAR), (4800, YEAR), (5400, 2 * YEAR)) == pytest.approx(
        [YEAR, YEAR, 0, 0, YEAR]
    )


def test_one_that_goes_back_is_believed_and_so_is_its_return() -> None:
    assert looks((600, -YEAR), (1200, -YEAR), (1800, 0), (2400, YEAR)) == [0, 0, 0, YEAR]


def test_the_while_begins_again_with_each_jump() -> None:
    assert looks((600, YEAR), (1200, 0), (1800, YEAR), (5399, YEAR)) == [YEAR, 0, YEAR, YEAR]


def test_what_has_expired_follows_the_clock_but_not_its_jumps() -> None:
    passed, clock = [0.0], [START]
    expiry = ExpiryClock(1000, lambda: clock[0], seconds=3600, passed=lambda: passed[0])
    assert expiry.expired_before == START - 1000
    passed[0], clock[0] = 60, START + 60_000
    assert expiry.expired_before == START + 59_000
    clock[0] += 1000 * YEAR
    assert expiry.expired_before == START + 59_000
    passed[0] += 3600
    clock[0] += 3_600_000
    assert expiry.expired_before == clock[0] - 1000
