"""Runs a case on everything that it is measured on, in turn, and keeps the figures."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmark import dataset, importing, reading, watching, writing, wrk
from tests.benchmark.asking import Refused
from tests.benchmark.peers import PEERS, version
from tests.benchmark.peers.ports import Peer, Unsupported
from tests.benchmark.questions import page
from tests.benchmark.reading import AnswersDiffer, Figures, Turn
from tests.benchmark.stores import Subject
from tests.benchmark.workloads import Case

FAULTS = (AnswersDiffer, Refused, RuntimeError, OSError, EOFError, subprocess.SubprocessError)
"""What ends a workload, and not the run: a wrong answer, or a daemon or a tool that fails."""

KINDS: dict[str, Callable[[Subject, Case], AbstractContextManager[Turn]]] = {
    "first": reading.first,
    "another": reading.another,
    "restarted": reading.restarted,
    "page": reading.whole_page,
    "warm": reading.warm,
    "growth": reading.growth,
    "cubism": watching.cubism,
    "ingest": writing.ingest,
    "websocket": writing.websocket,
    "udp": writing.udp,
    "disk": writing.disk,
    "import": importing.importing,
}

_MAIN = {"ingest": "events/s", "growth": "another ms"}
"""The figure that a kind's yardsticks are about, where it is not ms."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures of a case: of each rival, by name, a list of what each turn gave."""

    case: Case
    samples: Mapping[str, list[Figures]]
    missing: Mapping[str, str]
    """Why a rival has none."""

    def of(self, rival: str, figure: str) -> list[float]:
        """Return a rival's figures, turn by turn."""
        return [figures[figure] for figures in self.samples.get(rival, ()) if figure in figures]


class Rivals:
    """The builds and the peers of a run."""

    def __init__(self, subjects: list[Subject], folder: Path) -> None:
        self.subjects = subjects
        self._folder = folder
        self._peers: dict[str, Peer] = {}
        self._loaded: dict[str, int] = {}
        self._unavailable: dict[str, str] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Rivals:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the peers that were used."""
        return {name: version(peer) for name, peer in self._peers.items()}

    def measure(self, case: Case) -> Measured:
        """Measure a case on every rival: its turns to warm up, then its repetitions, each in turn."""
        missing: dict[str, str] = {}
        samples: dict[str, list[Figures]] = {}
        with ExitStack() as stack:
            turns: dict[str, Turn] = {}
            for name, prepared in self._prepared(case):
                with _told(name, missing):
                    turns[name] = stack.enter_context(prepared)
            for number in range(case.warm_ups + case.repetitions):
                for name in _order(list(turns), number):
                    with _told(name, missing):
                        figures = turns[name]()
                        if number >= case.warm_ups:
                            samples.setdefault(name, []).append(figures)
                turns = {name: turn for name, turn in turns.items() if name not in missing}
        return Measured(case, {name: samples[name] for name in turns}, missing)

    def _prepared(self, case: Case) -> Iterator[tuple[str, AbstractContextManager[Turn]]]:
        for subject in self.subjects if case.get("base", True) else self.subjects[:1]:
            yield subject.build.name, KINDS[case.kind](subject, case)
        for name in case.against:
            if name == "healthz":
                yield name, _healthz(self.subjects[0], case)
            else:
                yield name, self._asked_peer(name, case)

    @contextmanager
    def _asked_peer(self, name: str, case: Case) -> Iterator[Turn]:
        peer = self._peer(name, case["events"])
        figure = _MAIN.get(case.kind, "ms")
        if case.kind == "page":
            yield lambda: {figure: sum(map(peer.milliseconds, page(0, case["step"])))}
            return
        reading.agree(case.asked, case["events"], peer.answer(case.asked), name)
        if case.kind == "first":
            rows = self._rows(case["events"])
            yield lambda: {figure: peer.load(rows, case["events"]) + peer.milliseconds(case.asked)}
            return
        numbers = itertools.count(1)
        yield lambda: {figure: peer.milliseconds(case.asked.never_asked(next(numbers)))}

    def _peer(self, name: str, events: int) -> Peer:
        """Return a peer that holds the first `events` events."""
        if name in self._unavailable:
            raise Unsupported(self._unavailable[name])
        if name not in self._peers:
            folder = self._folder / f"peer-{name}"
            folder.mkdir()
            try:
                self._peers[name] = self._stack.enter_context(PEERS[name](name, folder))
            except FAULTS as error:
                self._unavailable[name] = f"{name} does not run here: {error}"
                raise Unsupported(self._unavailable[name]) from error
        if self._loaded.get(name) != events:
            self._peers[name].load(self._rows(events), events)
            self._loaded[name] = events
        return self._peers[name]

    def _rows(self, events: int) -> Path:
        path = self._folder / f"rows-{events}.json"
        if not path.exists():
            dataset.write_rows(path, events)
        return path


@contextmanager
def _told(name: str, missing: dict[str, str]) -> Iterator[None]:
    """Note a fault of anybody but this tree: an older build, or a peer, may be wrong, absent or give up."""
    try:
        yield
    except FAULTS as error:
        if name == "tree":
            raise
        missing[name] = str(error)


def _order(names: list[str], number: int) -> list[str]:
    """Return the names in the order of a turn: every other one backwards, so that none is always first."""
    return names if number % 2 == 0 else names[::-1]


@contextmanager
def _healthz(subject: Subject, case: Case) -> Iterator[Turn]:
    """The yardstick: what a daemon of ours takes to answer without any work."""
    if case.kind == "ingest":
        with (
            subject.empty("sqlite") as store,
            subject.collector(store, "--processes", str(case["processes"])) as collector,
        ):
            yield lambda: {
                "events/s": wrk.offer(
                    collector.http, "/healthz", seconds=case["seconds"], connections=case["connections"]
                ).rate
            }
        return
    with subject.empty("sqlite") as store, subject.evaluator(store, store.url) as evaluator:
        yield lambda: {"ms": wrk.offer(evaluator.http, "/healthz", seconds=case["seconds"]).p50}
