"""What events cost. Each function prepares a subject for a case, and yields what measures it once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmark import dataset, sockets, wrk
from tests.benchmark.asking import Connection, answer
from tests.benchmark.processes import Daemon
from tests.benchmark.questions import TYPE, Question
from tests.benchmark.reading import AnswersDiffer, Figures, Turn
from tests.benchmark.stores import Store, Subject, fill
from tests.benchmark.workloads import Case

BODIES = 64
HOUR = 3_600_000


@contextmanager
def ingest(subject: Subject, case: Case) -> Iterator[Turn]:
    """Events acknowledged in a second, over HTTP; each turn begins with an empty store.

    A batch's events lie within one second, and the next one's in the next; those of `live` cases come in the
    order of time, as they do from programs at work. The first turn counts what is stored.
    """
    with subject.empty(case.store) as store:
        bodies = wrk.write_bodies(store.folder / "bodies", _batches(case["batch"]))
    counted = case.store == "null"

    def turn() -> Figures:
        nonlocal counted
        with subject.empty(case.store) as store:
            with subject.collector(store, "--processes", str(case["processes"])) as collector:
                loads = [
                    _offer(collector, bodies, case, seconds, first)
                    for first, seconds in ((dataset.FIRST, 1), (dataset.FIRST + HOUR // 2, case["seconds"]))
                ]
            if not counted:
                _check_stored(subject, store, sum(load.requests for load in loads), case)
                counted = True
            return {"events/s": loads[-1].rate * case["batch"], "p99 ms": loads[-1].p99}

    yield turn


@contextmanager
def websocket(subject: Subject, case: Case) -> Iterator[Turn]:
    """Events stored in a second, from one socket that sends one a message, to the last's acknowledgement."""
    frames = sockets.websocket_frames(TYPE, [dataset.event(number) for number in range(case["events"])])

    def turn() -> Figures:
        with subject.empty(case.store) as store, subject.collector(store) as collector:
            return {"events/s": case["events"] / sockets.send_websocket(collector.http, frames)}

    yield turn


@contextmanager
def udp(subject: Subject, case: Case) -> Iterator[Turn]:
    """Datagrams, and how many of them are stored in the end."""
    datagrams = [dataset.body(TYPE, [dataset.event(number)]) for number in range(case["events"])]

    def turn() -> Figures:
        with subject.empty(case.store) as store, subject.collector(store) as collector:
            assert collector.udp is not None
            took = sockets.send_datagrams(collector.udp, datagrams, case.get("offered"))
            with subject.evaluator(store, store.url) as evaluator:
                stored = _settled(evaluator, dataset.stop(case["events"]))
        return {"events/s": stored / took, "lost %": 100 * (1 - stored / len(datagrams))}

    yield turn


@contextmanager
def disk(subject: Subject, case: Case) -> Iterator[Turn]:
    """Bytes on disk for an event, before and after the collector stops, and with what an evaluator keeps."""

    def turn() -> Figures:
        with subject.empty(case.store) as store:
            place = Path(store.url.removeprefix("sqlite:"))
            with subject.collector(store) as collector:
                fill(collector, TYPE, case["events"], case["batch"])
                running = _bytes(place)
            stored = _bytes(place)
            with subject.evaluator(store, store.url) as evaluator, Connection(evaluator.http) as connection:
                for reduce in ("sum", "median"):
                    question = Question(reduce, "duration_ms", 60_000)
                    connection.get(question.path(dataset.FIRST, dataset.stop(case["events"])))
                time.sleep(case["settle_seconds"])
            asked = _bytes(place)
        sizes = {"bytes": stored, "bytes while it runs": running, "bytes when asked": asked}
        return {name: size / case["events"] for name, size in sizes.items()}

    yield turn


def _batches(size: int) -> list[bytes]:
    """Return bodies of `size` events, each body's within a second of its own."""
    return [
        dataset.body(
            TYPE,
            [
                dataset.event(number * size + place, dataset.FIRST + number * 1000 + place * 1000 // size)
                for place in range(size)
            ],
        )
        for number in range(BODIES)
    ]


def _offer(collector: Daemon, bodies: Path, case: Case, seconds: float, first: int) -> wrk.Load:
    return wrk.offer(
        collector.http,
        "/1.0/event",
        seconds=seconds,
        connections=case["connections"],
        bodies=bodies,
        count=BODIES,
        live_from=first if case.get("live") else None,
    )


def _check_stored(subject: Subject, store: Store, requests: int, case: Case) -> None:
    """Raise unless what is stored is what was acknowledged, or what was under way at the end as well."""
    with subject.evaluator(store, store.url) as evaluator:
        stored = _stored(evaluator, dataset.FIRST + HOUR)
    low = requests * case["batch"]
    high = low + 2 * case["connections"] * case["batch"]
    if not low <= stored <= high:
        raise AnswersDiffer(f"{case.name}: {low} events were acknowledged, and {stored} are stored.")


def _stored(evaluator: Daemon, stop: int) -> int:
    path = Question("count", "status", HOUR).path(dataset.FIRST, -(-stop // HOUR) * HOUR)
    with Connection(evaluator.http) as connection:
        return int(sum(answer(connection.get(path)).values()))


def _settled(evaluator: Daemon, stop: int) -> int:
    """Return how many events are stored once that grows no more."""
    seen, now = -1, _stored(evaluator, stop)
    while now != seen:
        time.sleep(0.5)
        seen, now = now, _stored(evaluator, stop)
    return now


def _bytes(place: Path) -> int:
    return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
