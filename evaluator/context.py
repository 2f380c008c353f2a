"""What all queries to one store work with: the store, settings, their share of the process; and deadlines.

And what is noted of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge

from cube.errors import CubeError
from cube.model.environment import Key
from cube.process.recent_counts import RecentCounts
from cube.settings import EvaluatorLimits, EvaluatorSettings
from cube.store.ports import ReadSession, Store
from cube.store.read_options import ReadOptions, TimeSlice
from evaluator.query.limits import DeadlineExceeded, LimitExceeded, QueryOverloaded
from evaluator.scheduling.scheduler import QueryCost, Scheduler

SLOWEST: Final = 20
"""So many of the slowest questions are kept."""

KEPT_MS: Final = 3_600_000
"""For so long after they were answered."""

TEXT_CHARACTERS: Final = 2_000
"""A longer expression is cut there, and so can not be asked again."""

Clock: TypeAlias = Callable[[], int]
"""Returns the present instant."""


@dataclass(frozen=True, slots=True)
class QueryContext:
    """What a query works with; ``executor``: the threads that reduce blocks.

    ``buckets``: those that queries needed and the cache had ("hit") or had not ("miss"). They and ``store``
    are of one environment; all else is shared by the process.
    """

    store: Store
    settings: EvaluatorSettings
    scheduler: Scheduler
    counters: QueryCounters
    executor: Executor
    clock: Clock
    buckets: dict[str, int] = field(default_factory=lambda: {"hit": 0, "miss": 0}, compare=False)

    @property
    def limits(self) -> EvaluatorLimits:
        """What one query may take."""
        return self.settings.limits

    @property
    def poll_seconds(self) -> float:
        """How often streams and live metrics look for changes."""
        return self.settings.stream.poll_ms / 1000

    def looked_up(self, hits: int, misses: int) -> None:
        """Count buckets that the cache had, and had not."""
        self.buckets["hit"] += hits
        self.buckets["miss"] += misses
        self.counters.looked_up(hits, misses)

    @asynccontextmanager
    async def query(self) -> AsyncIterator[None]:
        """Do in this block what one query needs; counts it where it is over a limit.

        Raises `DeadlineExceeded` where that takes too long.
        """
        try:
            with self.scheduler.asking():
                async with within(self.limits.query_seconds):
                    yield
        except (LimitExceeded, QueryOverloaded) as error:
            self.counters.rejected(error.reason)
            raise

    @asynccontextmanager
    async def session(self, cost: QueryCost) -> AsyncIterator[tuple[ReadSession, TimeSlice]]:
        """Begin to read events, at the cost of a query; yields the session and what begins its time slices.

        Raises `QueueFull` at the beginning of a time slice.
        """
        with self.scheduler.asking():
            async with (
                self.scheduler.admit(cost) as time_slice,
                self.store.events.read(ReadOptions(self.limits.query_seconds, time_slice)) as session,
            ):
                yield session, time_slice

    @asynccontextmanager
    async def lookup(self) -> AsyncIterator[ReadSession]:
        """Begin to read revisions or names, which takes no time slice."""
        async with self.lookup_place(), self.lookup_session() as session:
            yield session

    @asynccontextmanager
    async def lookup_place(self) -> AsyncIterator[None]:
        """Wait for a place among those who look up at once, and have it in this block."""
        with self.scheduler.asking():
            async with self.scheduler.lookups:
                yield

    def lookup_session(self) -> AbstractAsyncContextManager[ReadSession]:
        """Begin to read, on such a place."""
        return self.store.events.read(ReadOptions(self.limits.query_seconds))

    @asynccontextmanager
    async def idle_session(self) -> AsyncIterator[ReadSession]:
        """Begin to read for nobody: each piece of work on events waits until nobody asks."""
        options = ReadOptions(self.limits.query_seconds, self.scheduler.idle_slice)
        async with self.store.events.read(options) as session:
            yield session


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Cancel what is done in this block once it has taken so many seconds; then raise `DeadlineExceeded`."""
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        raise DeadlineExceeded(seconds) from None


class QueryCounters:
    """Counts the work of all queries of a process, and those that were over a limit.

    ``scanned``: counts a scan that begins; ``read``: the events that one has read.
    ``filed``: counts events that were taken from files; ``filed_bytes``: what these take on disk.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry)
        self._rejected = counter(
            "cube_queries_refused", "Queries that were over a bound, by which.", ["reason"]
        )
        cached = "Buckets that queries needed, by whether the cache had them."
        buckets = counter("cube_cache_buckets", cached, ["cached"])
        self._hits, self._misses = buckets.labels("yes"), buckets.labels("no")
        self.scanned = counter("cube_scans", "Spans of events that were scanned.").inc
        self.read = counter("cube_scanned_events", "Events that scans have read.").inc
        self.filed = counter("cube_filed_events", "Events that were taken from column files.").inc
        ended = "Statements of SQL, by how they ended: answered, cut or refused."
        self.statements = counter("cube_sql_statements", ended, ["outcome"])
        self.filed_bytes = Gauge("cube_column_files_bytes", "What the column files take.", registry=registry)
        self._kept = Gauge(
            "cube_blocks_bytes", "What the kept columns and answers take, about.", registry=registry
        )

    def keeps(self, held: Callable[[], int]) -> None:
        """Tell of the memory of the columns that are kept, whenever the metrics are read."""
        self._kept.set_function(held)

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def looked_up(self, hits: int, misses: int) -> None:
        """Count buckets that the cache had, and had not."""
        self._hits.inc(hits)
        self._misses.inc(misses)


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: ``kind`` is "metric" or "event"; ``step`` None of events.

    ``expression``: as it was written. ``key``: what it was asked with.
    """

    kind: str
    expression: str
    start: int
    stop: int
    step: int | str | None
    key: Key | None


@dataclass(frozen=True, slots=True)
class _Answered:
    question: Question
    seconds: float
    time: int
    error: str | None


class QuestionLog:
    """Keeps the slowest questions of the last hour, of one environment; ``clock``: now.

    ``asked``: how many of each kind there were.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.asked = {"metric": 0, "event": 0}
        self._recent = RecentCounts(clock)
        self._clock = clock
        self._slowest: list[_Answered] = []
        self._oldest = clock()

    @contextmanager
    def timed(self, question: Question) -> Iterator[None]:
        """Answer a question in this block."""
        begun, error = time.perf_counter(), None
        try:
            yield
        except asyncio.CancelledError:
            error = "The client went away."
            raise
        except CubeError as refusal:
            error = refusal.message
            raise
        except Exception as fault:
            error = f"A fault of the evaluator ({type(fault).__name__}), which its log has."
            raise
        finally:
            self._add(question, time.perf_counter() - begun, error)

    def told(self) -> dict[str, Any]:
        """Return ``{asked, slow}`` as JSON: see `RecentCounts.told_up_to`, and the slowest first."""
        self._forget(self._clock())
        return {"asked": self._recent.told_up_to(self.asked), "slow": [_told(each) for each in self._slowest]}

    def _add(self, question: Question, seconds: float, error: str | None) -> None:
        now = self._clock()
        self.asked[question.kind] += 1
        if now - self._oldest > KEPT_MS:
            self._forget(now)
        if len(self._slowest) >= SLOWEST and self._slowest[-1].seconds >= seconds:
            return
        self._slowest.append(_Answered(question, seconds, now, error))
        self._slowest.sort(key=lambda each: -each.seconds)
        del self._slowest[SLOWEST:]
        self._oldest = min(self._oldest, now)

    def _forget(self, now: int) -> None:
        self._slowest = [each for each in self._slowest if 0 <= now - each.time <= KEPT_MS]
        self._oldest = min((each.time for each in self._slowest), default=now)


def _told(answered: _Answered) -> dict[str, Any]:
    question = answered.question
    text, key = question.expression, question.key
    return {
        "kind": question.kind,
        "expression": text[:TEXT_CHARACTERS],
        "cut": len(text) > TEXT_CHARACTERS,
        "start": question.start,
        "stop": question.stop,
        "step": question.step,
        "key": None if key is None else key.id,
        "restriction": "" if key is None else key.restriction_digest,
        "seconds": round(answered.seconds, 4),
        "time": answered.time,
        "error": answered.error,
    }
