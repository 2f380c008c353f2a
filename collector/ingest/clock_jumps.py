"""Leaps of the clock: for a while after one, nothing is done that cannot be undone."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAP_SECONDS = 60.0
"""By how much a clock has to run ahead to have leapt: what is less, a time server corrects every day."""


class Leaps:
    """Tells whether the clock has leapt ahead, compared with one that counts the time that passes.

    A clock that is still there after ``seconds`` is believed: then the one before was wrong. One that goes
    back is believed at once, and so is its return.
    """

    def __init__(self, now: int, passed: float, *, seconds: float) -> None:
        self._seconds = seconds
        self._zero = now - 1000 * passed  # what the clock showed when nothing had passed
        self._since: float | None = None

    def look(self, now: int, passed: float) -> float:
        """Return by how many seconds a clock that shows `now`, milliseconds, is ahead; 0: it is believed."""
        ahead = (now - 1000 * passed - self._zero) / 1000
        if ahead <= LEAP_SECONDS:
            self._since = None
            return 0
        if self._since is None:
            self._since = passed
        if passed - self._since < self._seconds:
            return ahead
        self._zero += 1000 * ahead
        self._since = None
        return 0


class Kept:
    """The events that retention does not let expire, by the clock as far as that is believed.

    ``event_ms``: how long after their time; 0 is forever. ``seconds``: how long a leap is not believed.
    """

    def __init__(
        self,
        event_ms: int,
        clock: Callable[[], int],
        *,
        seconds: float,
        passed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._event_ms = event_ms
        self._clock = clock
        self._passed = passed
        self._leaps = Leaps(clock(), passed(), seconds=seconds)

    @property
    def expired_before(self) -> int | None:
        """What is older has expired now, whether or not anybody has declared that yet; None: nothing has."""
        if not self._event_ms:
            return None
        now = self._clock()
        return now - self._event_ms - int(1000 * self._leaps.look(now, self._passed()))
