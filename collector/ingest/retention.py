"""Retention: one environment's store is kept to what its settings say is to be kept.

Nothing is deleted that was not given up before, durably and for a while: an event goes a `lag` after
``expired_before`` has passed it, a revision a lag after ``forgotten_before`` has. Whoever read either
before that is done by then. So any number of collectors may do this at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from collector.instrumentation import RetentionCounters
from cube.errors import Unavailable
from cube.model.tier import DAY
from cube.store.ports import Store

_log = logging.getLogger(__name__)

JUMP_SECONDS = 60.0
"""By how much a clock has to run ahead to have jumped: what is less, a time server corrects every day."""


class ClockJumpDetector:
    """Tells whether the clock has jumped ahead, compared with one that counts the time that passes.

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
        if ahead <= JUMP_SECONDS:
            self._since = None
            return 0
        if self._since is None:
            self._since = passed
        if passed - self._since < self._seconds:
            return ahead
        self._zero += 1000 * ahead
        self._since = None
        return 0


class ExpiryClock:
    """What retention lets expire, by the clock as far as that is believed.

    ``event_ms``: how long after their time events do. ``seconds``: how long a jump is not believed.
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
        self._jumps = ClockJumpDetector(clock(), passed(), seconds=seconds)

    @property
    def expired_before(self) -> int:
        """What is older has expired now, whether or not anybody has declared that yet."""
        now = self._clock()
        return now - self._event_ms - int(1000 * self._jumps.look(now, self._passed()))


@dataclass(slots=True)
class Aging:
    """Times that were declared one after another, until they are old enough to act on."""

    lag: float
    _declared: deque[tuple[float, int]] = field(default_factory=deque)
    _ripe: int | None = None

    def declare(self, time: int, at: float) -> int | None:
        """Take a time declared at a moment; return the last that was declared a lag before it, if any."""
        self._declared.append((at, time))
        while self._declared[0][0] <= at - self.lag:
            self._ripe = self._declared.popleft()[1]
            if not self._declared:
                break
        return self._ripe


class Retention:
    """Deletes what is too old in one store.

    ``event_days``, ``metric_days``: how long they are kept; 0 is forever. ``lag``: seconds between
    declaring that something has expired and deleting it, longer than any query takes. ``clock``: now,
    in milliseconds since 1970; nothing is done for a lag after it has jumped ahead (`ClockJumpDetector`),
    for what has expired does so for good.
    """

    def __init__(
        self,
        store: Store,
        counters: RetentionCounters,
        clock: Callable[[], int],
        *,
        event_days: float,
        metric_days: float,
        lag: float,
    ) -> None:
        self._store = store
        self._counters = counters
        self._clock = clock
        self._event_ms = int(event_days * DAY.step)
        self._metric_ms = int(metric_days * DAY.step)
        self._lag = lag
        self._jumps = ClockJumpDetector(clock(), asyncio.get_running_loop().time(), seconds=lag)
        self._expired: dict[str, Aging] = defaultdict(lambda: Aging(lag))
        self._forgotten: dict[str, Aging] = defaultdict(lambda: Aging(lag))

    async def run(self, period: float) -> None:
        """Keep to it forever, every so many seconds; what fails is logged, and tried again."""
        if not self._event_ms and not self._metric_ms:
            return
        while True:
            try:
                await self.keep()
            except Unavailable as error:
                _log.warning("cannot delete what has expired now: %s", error.message)
            except Exception:
                _log.exception("deleting what has expired met a fault; the next try is in %g s", period)
            await asyncio.sleep(period)

    async def keep(self) -> None:
        """Do all that is due: declare what expires now, and delete what was declared a lag ago."""
        now = self._clock()
        ahead = self._jumps.look(now, asyncio.get_running_loop().time())
        if ahead:
            text = "nothing is deleted: the clock jumped ahead by %.0f s; it is believed after %g s"
            _log.error(text, ahead, self._lag)
            return
        async with self._store.events.read() as session:
            types = await session.types()
        for type in types:
            await self._expire(type, now)
        if self._metric_ms:
            self._counters.chunks.inc(await self._store.metrics.delete(now - self._metric_ms))
        for type in types:
            await self._forget(type, now)

    async def _expire(self, type: str, now: int) -> None:
        if not self._event_ms:
            return
        before = now - self._event_ms
        await self._store.events.expire(type, before)
        ripe = self._expired[type].declare(before, asyncio.get_running_loop().time())
        if ripe is not None:
            self._counters.events.inc(await self._store.events.delete_events(type, ripe))

    async def _forget(self, type: str, now: int) -> None:
        """Delete the revisions that vouch for nothing any more: no event, and no metric."""
        if not self._event_ms or not self._metric_ms:
            return
        before = now - max(self._event_ms, self._metric_ms)
        await self._store.events.forget(type, before)
        ripe = self._forgotten[type].declare(before, asyncio.get_running_loop().time())
        if ripe is not None:
            await self._store.events.delete_revisions(type, ripe)
