"""Pauses that double."""

from __future__ import annotations

from cube.backoff import Backoff


def test_each_pause_is_twice_the_one_before_up_to_the_longest() -> None:
    assert [Backoff(0.1, longest=1.0).pause(failures) for failures in range(6)] == [
        0.1,
        0.2,
        0.4,
        0.8,
        1.0,
        1.0,
    ]


def test_a_failure_that_lasts_for_days_does_not_overflow() -> None:
    assert Backoff(0.25, longest=2.0).pause(100_000) == 2.0
