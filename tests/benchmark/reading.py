"""What questions cost. Each function prepares a subject for a case, and yields what measures it once."""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.benchmark import dataset, wrk
from tests.benchmark.asking import Connection, answer, at_once
from tests.benchmark.processes import Daemon
from tests.benchmark.questions import TYPE, Answer, Question, difference, page
from tests.benchmark.stores import WARMING_EVENTS, WARMING_TYPE, Subject
from tests.benchmark.workloads import Case

Figures = dict[str, float]
Turn = Callable[[], Figures]

MIB = 2**20

_FILED_SECONDS = 30.0
"""Column files come within so long of each other, and of the last question."""


class AnswersDiffer(Exception):
    """Somebody's answer is not the plain one: no time of it is worth anything."""


@contextmanager
def first(subject: Subject, case: Case) -> Iterator[Turn]:
    """The first question that a new evaluator is asked about a store that nobody has asked yet."""
    store = subject.filled(case.store, case["events"])
    expected = plain_answer(case.asked, case["events"])

    def turn() -> Figures:
        with (
            subject.evaluator(store, store.untouched()) as evaluator,
            Connection(evaluator.http) as connection,
        ):
            _warm_code(connection, [case.asked])
            return {"ms": _asked(connection, case.asked, case["events"], expected)}

    yield turn


@contextmanager
def another(subject: Subject, case: Case) -> Iterator[Turn]:
    """A question that was never asked, of an evaluator that has read all events for others."""
    store = subject.filled(case.store, case["events"])
    with subject.evaluator(store, store.untouched()) as evaluator, Connection(evaluator.http) as connection:
        _warm_code(connection, [case.asked])
        _read_all(connection, case["events"])
        yield _never_asked(connection, case)


@contextmanager
def restarted(subject: Subject, case: Case) -> Iterator[Turn]:
    """A question that was never asked, of an evaluator that has just started where another one worked."""
    store = subject.filled(case.store, case["events"])
    url, folder = store.untouched(), store.folder / f"restarted-{time.monotonic_ns()}"
    with subject.evaluator(store, url, folder) as evaluator, Connection(evaluator.http) as connection:
        _read_all(connection, case["events"])
        _until_filed(url, case["settle_seconds"])
    numbers = itertools.count(1)

    def turn() -> Figures:
        with subject.evaluator(store, url, folder) as evaluator, Connection(evaluator.http) as connection:
            _warm_code(connection, [case.asked])
            question = case.asked.never_asked(next(numbers))
            return {
                "ms": _asked(connection, question, case["events"], plain_answer(case.asked, case["events"]))
            }

    yield turn


@contextmanager
def whole_page(subject: Subject, case: Case) -> Iterator[Turn]:
    """50 questions at once, each on a connection of its own; the evaluator's peak of memory beside them."""
    store = subject.filled(case.store, case["events"])
    numbers = itertools.count(1)
    if case["mode"] == "first":

        def fresh() -> Figures:
            with subject.evaluator(store, store.untouched()) as evaluator:
                with Connection(evaluator.http) as connection:
                    _warm_code(connection, page(0, case["step"]))
                return _ask_page(evaluator, page(0, case["step"]), case)

        yield fresh
        return
    with subject.evaluator(store, store.untouched()) as evaluator:
        with Connection(evaluator.http) as connection:
            _read_all(connection, case["events"])
        _ask_page(evaluator, page(0, case["step"]), case)
        again = case["mode"] == "again"
        yield lambda: _ask_page(evaluator, page(0 if again else next(numbers), case["step"]), case)


@contextmanager
def warm(subject: Subject, case: Case) -> Iterator[Turn]:
    """A question that was asked before, again and again on one connection."""
    store = subject.filled(case.store, case["events"])
    with subject.evaluator(store, store.untouched()) as evaluator:
        with Connection(evaluator.http) as connection:
            _asked(connection, case.asked, case["events"], plain_answer(case.asked, case["events"]))
        path = case.asked.path(dataset.FIRST, dataset.stop(case["events"]))
        yield lambda: {"ms": wrk.offer(evaluator.http, path, seconds=case["seconds"]).p50}


@contextmanager
def growth(subject: Subject, case: Case) -> Iterator[Turn]:
    """A question that was never asked, a warm one and, once, the first one ever, over so many events."""
    store = subject.filled(case.store, case["events"])
    url, folder = store.untouched(), store.folder / f"growth-{time.monotonic_ns()}"
    path = case.asked.path(dataset.FIRST, dataset.stop(case["events"]))
    with subject.evaluator(store, url, folder) as evaluator, Connection(evaluator.http) as connection:
        _warm_code(connection, [case.asked])
        first_ms = connection.milliseconds(path)
        if case.get("settle_seconds"):  # more than the memory holds is read from column files
            _until_filed(url, case["settle_seconds"])
        else:
            _read_all(connection, case["events"])
        turn = _never_asked(connection, case)
        others = {
            name: _never_asked(connection, replace(case, question=question)) for name, question in _OTHERS
        }

        def measured() -> Figures:
            return {
                "another ms": turn()["ms"],
                **{f"another {name} ms": ask()["ms"] for name, ask in others.items()},
                "warm ms": connection.milliseconds(path),
                "first ms": first_ms,
                **_memory(evaluator),
            }

        yield measured


_OTHERS = (("median", Question("median", "duration_ms", 3_600_000)),)
"""What else is asked of many events, in buckets of an hour."""


def _until_filed(url: str, seconds: float) -> None:
    """Wait until no column files come any more, so long at most; none at all come of older builds."""
    folder, began = Path(url.removeprefix("sqlite:")), time.monotonic()
    seen, since = 0, began
    while time.monotonic() < min(began + seconds, since + _FILED_SECONDS):
        time.sleep(0.5)
        count = sum(1 for _ in folder.rglob("*.arrow"))
        if count != seen:
            seen, since = count, time.monotonic()


@functools.lru_cache(maxsize=64)
def plain_answer(question: Question, events: int) -> Answer:
    """Return the right answer, computed from the events themselves."""
    return question.answer(map(dataset.event, range(events)))


def agree(question: Question, events: int, found: Answer, who: str) -> None:
    """Raise `AnswersDiffer` unless an answer is the plain one."""
    differs = difference(plain_answer(question, events), found)
    if differs:
        raise AnswersDiffer(f"{who} at {question.expression} over {events} events: {differs}")


def _asked(connection: Connection, question: Question, events: int, expected: Answer) -> float:
    """Ask, check, and return the milliseconds that the answer took."""
    path = question.path(dataset.FIRST, dataset.stop(events))
    start = time.perf_counter()
    body = connection.get(path)
    took = (time.perf_counter() - start) * 1000
    differs = difference(expected, answer(body))
    if differs:
        raise AnswersDiffer(f"Cube at {question.expression} over {events} events: {differs}")
    return took


def _never_asked(connection: Connection, case: Case) -> Turn:
    numbers = itertools.count(1)
    expected = plain_answer(case.asked, case["events"])
    return lambda: {"ms": _asked(connection, case.asked.never_asked(next(numbers)), case["events"], expected)}


def _warm_code(connection: Connection, questions: Sequence[Question]) -> None:
    """Ask the same of a small type, so that no import or first compilation is measured."""
    for question in questions:
        path = question.path(dataset.FIRST, dataset.stop(WARMING_EVENTS))
        connection.get(path.replace(f"{TYPE}%28", f"{WARMING_TYPE}%28"))


def _read_all(connection: Connection, events: int) -> None:
    """Have every field of every event read."""
    for field, reduce in (("duration_ms", "sum"), ("user", "distinct"), ("host", "count"), ("path", "count")):
        question = Question(reduce, field, 3_600_000, (("ge", "status", 0), ("ne", "method", "none")))
        connection.get(question.path(dataset.FIRST, dataset.stop(events)))
    grouped = Question("sum", "duration_ms", 3_600_000, group="host")
    connection.get(grouped.path(dataset.FIRST, dataset.stop(events)))


def _ask_page(evaluator: Daemon, questions: list[Question], case: Case) -> Figures:
    """Ask them all at once; a few answers, of each kind some, are checked."""
    start, stop = dataset.FIRST, dataset.stop(case["events"])
    took, bodies = asyncio.run(at_once(evaluator.http, [one.path(start, stop) for one in questions]))
    for place in range(0, len(questions), 9):
        plain = page(0, case["step"])[place]
        agree(plain, case["events"], answer(bodies[place]), "Cube, among 50,")
    return {"ms": took, **_memory(evaluator)}


def _memory(evaluator: Daemon) -> Figures:
    """Return its peak of memory, and what it holds now without files that are mapped."""
    return {"peak MiB": evaluator.peak_bytes() / MIB, "held MiB": evaluator.anonymous_bytes() / MIB}
