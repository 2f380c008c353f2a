"""Cubism's pattern: many charts ask for the newest buckets every second, while events arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from tests.benchmark import dataset
from tests.benchmark.asking import Connection, exchange, request
from tests.benchmark.processes import Address, Daemon
from tests.benchmark.questions import TYPE, Question
from tests.benchmark.reading import Figures, Turn
from tests.benchmark.stores import Subject
from tests.benchmark.workloads import Case

STEP = 10_000
BUCKETS = 7
SLOTS = 10
"""Posts a second."""
SENDERS = 4
CALM_SECONDS = 10
"""So long events come before anybody polls."""
_SECOND = b"1234567890"  # stands for the second in which a body is sent


@dataclass(frozen=True, slots=True)
class Poll:
    """One chart's: how long it took, from when it was due, and whether a bucket closed since its last."""

    ms: float
    closes: bool


@dataclass(slots=True)
class Watch:
    """What is seen while it runs; latencies in ms, counted from when a request was due.

    ``first``: of the first poll, of an evaluator that has read nothing; all else is of what comes after it.
    ``cpu_seconds``: of the evaluator.
    """

    first: list[float] = field(default_factory=list)
    polls: list[Poll] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def figures(self, seconds: int, calm_posts: float) -> Figures:
        """Return the figures of so many seconds; ``calm_posts``: a second, where nobody polls."""
        taken = [poll.ms for poll in self.polls]
        closing = [poll.ms for poll in self.polls if poll.closes]
        found = {"p50 ms": percentile(taken, 0.5), "p90 ms": percentile(taken, 0.9)}
        found["p99 ms"] = percentile(taken, 0.99)
        if closing:
            found["closing p50 ms"] = percentile(closing, 0.5)
            found["closing p99 ms"] = percentile(closing, 0.99)
        return {
            **found,
            "first poll ms": max(self.first),
            "polls/s": len(self.polls) / seconds,
            "post p99 ms": percentile(self.posts, 0.99),
            "evaluator CPU %": 100 * self.cpu_seconds / seconds,
            "ingest slowed %": 100 * (1 - len(self.posts) / seconds / calm_posts),
        }


@contextmanager
def cubism(subject: Subject, case: Case) -> Iterator[Turn]:
    """Latencies of the charts, polls achieved, and the collector beside them against itself alone."""

    def turn() -> Figures:
        with (
            subject.empty(case.store) as store,
            subject.collector(store) as collector,
            subject.evaluator(store, store.url) as evaluator,
        ):
            bodies = _bodies(case["offered"] // SLOTS)
            _fill_the_past(collector.http, bodies)
            calm = asyncio.run(_calm(collector.http, bodies, CALM_SECONDS))
            watch = asyncio.run(
                _watch(collector.http, bodies, evaluator, _charts(case["charts"]), case["seconds"])
            )
        return watch.figures(case["seconds"], calm)

    yield turn


def _charts(count: int) -> list[Question]:
    """Return a question for each chart: sums of 50 paths, then medians of some."""
    return [
        Question(
            "sum" if number < 50 else "median",
            "duration_ms",
            STEP,
            (("eq", "path", f"/page/{number % 50}"),),
        )
        for number in range(count)
    ]


def _bodies(size: int) -> list[bytes]:
    """Return a body for each tenth of a second, with its events' times within that tenth."""
    second = int(_SECOND) * 1000
    return [
        dataset.body(
            TYPE,
            [
                dataset.event(
                    slot * size + place, second + slot * 1000 // SLOTS + place * 1000 // SLOTS // size
                )
                for place in range(size)
            ],
        )
        for slot in range(SLOTS)
    ]


def _at(body: bytes, second: int) -> bytes:
    return body.replace(_SECOND, b"%d" % second)


def _fill_the_past(collector: Address, bodies: list[bytes]) -> None:
    """Post what would have come in the time that a chart shows."""
    now = int(time.time())
    with Connection(collector) as connection:
        for second in range(now - (BUCKETS + 1) * STEP // 1000, now):
            for body in bodies:
                connection.post("/1.0/event", _at(body, second))


async def _calm(collector: Address, bodies: list[bytes], seconds: int) -> float:
    """Post for so long while nobody polls; return the posts a second."""
    posts: list[float] = []
    async with _arriving(collector, bodies, posts) as start:
        await asyncio.sleep(start + seconds - time.time())
        return len(posts) / seconds


async def _watch(
    collector: Address, bodies: list[bytes], evaluator: Daemon, charts: list[Question], seconds: int
) -> Watch:
    watch = Watch()
    async with _arriving(collector, bodies, watch.posts) as start:
        pollers = [await _Poller.connected(evaluator.http, chart) for chart in charts]
        watch.first = [poll.ms for poll in await asyncio.gather(*(each.poll(start) for each in pollers))]
        start = int(time.time()) + 1
        await asyncio.sleep(start - time.time())
        watch.posts.clear()
        used = evaluator.cpu_seconds()
        await asyncio.gather(*(each.poll_until(start, start + seconds, watch.polls) for each in pollers))
        await asyncio.sleep(start + seconds - time.time())
        watch.cpu_seconds = evaluator.cpu_seconds() - used
        posts = list(watch.posts)
        for each in pollers:
            each.close()
    watch.posts = posts
    return watch


@asynccontextmanager
async def _arriving(collector: Address, bodies: list[bytes], posts: list[float]) -> AsyncIterator[int]:
    """Have events come in this block; yields the full second from which on they do."""
    start = int(time.time()) + 1
    async with asyncio.TaskGroup() as group:
        senders = [
            group.create_task(_send(collector, bodies, start * SLOTS + number, posts))
            for number in range(SENDERS)
        ]
        yield start
        for sender in senders:
            sender.cancel()


async def _send(collector: Address, bodies: list[bytes], slot: int, posts: list[float]) -> None:
    """Post every `SENDERS`-th tenth of a second; one that is due while the last is unanswered is left out."""
    reader, writer = await asyncio.open_connection(collector.host, collector.port)
    try:
        while True:
            due = slot / SLOTS
            await asyncio.sleep(max(0.0, due - time.time()))
            writer.write(request("POST", "/1.0/event", _at(bodies[slot % SLOTS], slot // SLOTS)))
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.partition(b"\r\n")[0]:
                raise RuntimeError(f"A post was answered {head!r}")
            await reader.readexactly(_length(head))
            posts.append((time.time() - due) * 1000)
            slot = _next_due(slot, SENDERS, SLOTS)
    finally:
        writer.close()


class _Poller:
    """One chart on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, chart: Question) -> None:
        self._reader = reader
        self._writer = writer
        self._chart = chart
        self._newest = 0

    @classmethod
    async def connected(cls, evaluator: Address, chart: Question) -> _Poller:
        return cls(*await asyncio.open_connection(evaluator.host, evaluator.port), chart)

    async def poll(self, second: int) -> Poll:
        """Ask at a full second for the newest buckets that are over."""
        await asyncio.sleep(max(0.0, second - time.time()))
        newest = second * 1000 // STEP * STEP
        closes, self._newest = newest != self._newest, newest
        await exchange(self._reader, self._writer, self._chart.path(newest - BUCKETS * STEP, newest))
        return Poll((time.time() - second) * 1000, closes)

    async def poll_until(self, second: int, stop: int, polls: list[Poll]) -> None:
        """Ask at each full second; one that is due while the last is unanswered is left out."""
        while second < stop:
            polls.append(await self.poll(second))
            second = _next_due(second, 1, 1)

    def close(self) -> None:
        self._writer.close()


def _next_due(last: int, every: int, per_second: int) -> int:
    following = last + every
    while following / per_second < time.time():
        following += every
    return following


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def percentile(figures: list[float], q: float) -> float:
    """Return a quantile, the nearest rank; infinite where there is no figure."""
    if not figures:
        return float("inf")
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
