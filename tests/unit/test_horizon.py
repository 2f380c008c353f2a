"""The horizon: what it accepts, to the millisecond, and what it says of the rest."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from cube.errors import InvalidEvent
from cube.model import instant
from cube.model.event import Event
from cube.model.horizon import Horizon

NOW = 1_311_033_600_000  # 2011-07-19T00:00Z
BOTH = Horizon(past_ms=1_000, future_ms=500)


def event(time: int, id: str | bytes = b"made") -> Event:
    return Event("test", time, id)


@pytest.mark.parametrize(
    ("horizon", "offset", "accepted"),
    [
        (Horizon(), -NOW, True),
        (Horizon(), NOW, True),
        (BOTH, 0, True),
        (BOTH, -1_000, True),
        (BOTH, -1_001, False),
        (BOTH, 500, True),
        (BOTH, 501, False),
        (Horizon(past_ms=1), 10**9, True),
        (Horizon(future_ms=1), -(10**9), True),
        (Horizon(past_ms=0), -1, False),
        (Horizon(future_ms=0), 1, False),
        (Horizon(expired_before=NOW - 10), -10, True),
        (Horizon(expired_before=NOW - 10), -11, False),
        (Horizon(past_ms=100, expired_before=NOW - 10), -11, False),
        (Horizon(past_ms=5, expired_before=NOW - 10), -6, False),
    ],
)
def test_it_accepts_what_is_within_its_bounds_which_are_too(
    horizon: Horizon, offset: int, accepted: bool
) -> None:
    with nullcontext() if accepted else pytest.raises(InvalidEvent):
        horizon.check(event(NOW + offset), NOW)


@pytest.mark.parametrize(
    ("horizon", "time", "reason", "sentence"),
    [
        (
            BOTH,
            NOW - 2_000,
            "too_old",
            (
                "Got the time 2011-07-18T23:59:58.000Z; accepted are times from 2011-07-18T23:59:59.000Z"
                " to 2011-07-19T00:00:00.500Z."
            ),
        ),
        (
            Horizon(future_ms=500),
            NOW + 2_000,
            "too_new",
            "Got the time 2011-07-19T00:00:02.000Z; accepted are times to 2011-07-19T00:00:00.500Z.",
        ),
        (
            Horizon(past_ms=NOW - instant.EARLIEST - 1, future_ms=10**15),
            instant.EARLIEST,
            "too_old",
            (
                "Got the time 0001-01-01T00:00:00.000Z; accepted are times from 0001-01-01T00:00:00.001Z"
                " to 9999-12-31T23:59:59.999Z."
            ),
        ),
        (
            Horizon(past_ms=5_000, expired_before=NOW - 1_000),
            NOW - 2_000,
            "expired",
            (
                "Got the time 2011-07-18T23:59:58.000Z; events before 2011-07-18T23:59:59.000Z have expired"
                " (retention.event_days)."
            ),
        ),
    ],
)
def test_a_refusal_says_what_was_got_and_what_is_accepted(
    horizon: Horizon, time: int, reason: str, sentence: str
) -> None:
    with pytest.raises(InvalidEvent) as refused:
        horizon.check(event(time, "mine"), NOW)
    assert refused.value.message == sentence
    assert refused.value.details == {"field": "time", "reason": reason, "id": "mine"}


def test_of_several_the_first_one_outside_is_told_by_its_index() -> None:
    with pytest.raises(InvalidEvent) as refused:
        BOTH.check_all([event(NOW), event(NOW + 501), event(NOW - 1_001)], NOW)
    assert (refused.value.details["index"], refused.value.details["reason"]) == (1, "too_new")
    BOTH.check_all([event(NOW), event(NOW + 500)], NOW)
