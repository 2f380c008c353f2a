"""Cubism's pattern: many charts ask for the newest buckets every second, while events arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.benchmark import dataset
from tests.benchmark.asking import Connection, exchange, request
from tests.benchmark.processes import Address
from tests.benchmark.questions import TYPE, Question
from tests.benchmark.reading import Figures, Turn
from tests.benchmark.stores import Subject
from tests.benchmark.workloads import Case

STEP = 10_000
BUCKETS = 7
SLOTS = 10
"""Posts a second."""
SENDERS = 4
_SECOND = b"1234567890"  # stands for the second in which a body is sent


@dataclass(slots=True)
class Watch:
    """What is seen while it runs; latencies in ms, counted from when a request was due."""

    polls: list[float] = field(default_factory=list)
    posts: list[float] = field(default_factory=list)


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
            calm_seconds = max(1, case["seconds"] // 3)
            calm = asyncio.run(_watch(collector.http, bodies, evaluator.http, [], calm_seconds))
            used = evaluator.cpu_seconds()
            watch = asyncio.run(
                _watch(collector.http, bodies, evaluator.http, _charts(case["charts"]), case["seconds"])
            )
            used = evaluator.cpu_seconds() - used
        before, beside = len(calm.posts) / calm_seconds, len(watch.posts) / case["seconds"]
        return {
            "p50 ms": _percentile(watch.polls, 0.5),
            "p90 ms": _percentile(watch.polls, 0.9),
            "p99 ms": _percentile(watch.polls, 0.99),
            "polls/s": len(watch.polls) / case["seconds"],
            "post p99 ms": _percentile(watch.posts, 0.99),
            "evaluator CPU %": 100 * used / case["seconds"],
            "ingest slowed %": 100 * (1 - beside / before),
        }

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


async def _watch(
    collector: Address, bodies: list[bytes], evaluator: Address, charts: list[Question], seconds: int
) -> Watch:
    watch = Watch()
    start = int(time.time()) + 1
    await asyncio.gather(
        *(
            _send(collector, bodies, start * SLOTS + number, start + seconds, watch)
            for number in range(SENDERS)
        ),
        *(_poll(evaluator, chart, start, start + seconds, watch) for chart in charts),
    )
    return watch


async def _send(collector: Address, bodies: list[bytes], slot: int, stop: int, watch: Watch) -> None:
    """Post every `SENDERS`-th tenth of a second; one that is due while the last is unanswered is left out."""
    reader, writer = await asyncio.open_connection(collector.host, collector.port)
    while (due := slot / SLOTS) < stop:
        await asyncio.sleep(max(0.0, due - time.time()))
        writer.write(request("POST", "/1.0/event", _at(bodies[slot % SLOTS], slot // SLOTS)))
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(f"A post was answered {head!r}")
        await reader.readexactly(_length(head))
        watch.posts.append((time.time() - due) * 1000)
        slot = _next_due(slot, SENDERS, SLOTS)
    writer.close()


async def _poll(evaluator: Address, chart: Question, second: int, stop: int, watch: Watch) -> None:
    """Ask at each full second; one that is due while the last is unanswered is left out."""
    reader, writer = await asyncio.open_connection(evaluator.host, evaluator.port)
    while second < stop:
        await asyncio.sleep(max(0.0, second - time.time()))
        newest = second * 1000 // STEP * STEP
        await exchange(reader, writer, chart.path(newest - BUCKETS * STEP, newest))
        watch.polls.append((time.time() - second) * 1000)
        second = _next_due(second, 1, 1)
    writer.close()


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


def _percentile(figures: list[float], q: float) -> float:
    if not figures:
        return float("inf")
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
