"""Both daemons meet what real sets and clusters do: all that is acknowledged is kept, and counted."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.both_daemons import Both
from tests.daemon import daemon
from tests.end_to_end.serving import wait_until
from tests.fault.cluster import SHARDS, Cluster, shard_of
from tests.fault.commands import (
    THROTTLED,
    WRITES,
    CommandProxy,
    Fault,
    error,
    unconfirmed,
    write_error,
)
from tests.fault.sending import exchange, figure, put, stored
from tests.fault.stage import NOW, PATIENCE, until_drained
from tests.mongo_server import MongoServer

STEP = 10_000
SPAN_STEPS = 360
STEPS = (STEP, 60_000, 300_000)
SAVED, SPOOLED, EITHER = {200}, {202}, {200, 202}
_numbers = itertools.count()


@dataclass(slots=True)
class Scene:
    """One type of events in running daemons, and every answer to a question about it meanwhile."""

    both: Both
    proxy: CommandProxy
    server: MongoServer
    database: str
    type: str = field(default_factory=lambda: f"trouble{next(_numbers)}")
    sent: int = 0
    certain: int = 0
    """So many events were answered 200."""
    doubts: list[str] = field(default_factory=list)

    def send(self, count: int) -> int:
        """Send new events, each in a bucket of its own; return the status."""
        ids = range(self.sent, self.sent + count)
        self.sent += count
        events = [{"type": self.type, "time": NOW + id * STEP, "id": id} for id in ids]
        status, _ = put(self.both.collector, events)
        if status == 200:
            self.certain += count
        return status

    def count(self, step: int = STEP) -> tuple[int, float]:
        """Ask how many events there are; return the status, and the sum of all buckets."""
        status, rows = self.ask("/1.0/metric", f"sum({self.type})", step=step)
        return status, sum(row["value"] for row in rows)

    def ask(self, path: str, expression: str, **parameters: int) -> tuple[int, list[dict[str, Any]]]:
        """Ask about the hour of all events; return the status and the rows, which a 503 has none of."""
        question = {"expression": expression, "start": NOW, "stop": NOW + SPAN_STEPS * STEP, **parameters}
        status, headers, answer = exchange(self.both.evaluator, "GET", f"{path}?{urlencode(question)}")
        assert status in (200, 503), answer
        assert status == 200 or int(headers["Retry-After"]) >= 1
        return status, json.loads(answer) if status == 200 else []

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask all the while: no answer lacks what was stored before it, nor counts anything twice."""
        done = threading.Event()

        def ask() -> None:
            for step in itertools.cycle(STEPS):
                if done.wait(0.2):
                    return
                least = self.certain
                try:
                    status, found = self.count(step)
                except (OSError, HTTPException) as failure:
                    self.doubts.append(repr(failure))
                    continue
                if status == 200 and not least <= found <= self.sent:
                    self.doubts.append(f"{found} of {least} to {self.sent} events at {step}")

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def check(self) -> None:
        """All is drained, stored once, and counted at every step, of which some was cached before."""
        until_drained(self.both.collector)
        assert sorted(stored(self.server.url, self.database, self.type)) == list(range(self.sent))
        assert [self.count(step) for step in STEPS] == [(200, self.sent)] * len(STEPS)
        assert not self.doubts


@contextmanager
def running(server: MongoServer, proxy: CommandProxy, directory: Path) -> Iterator[Scene]:
    """Run both daemons, with a spool, behind a proxy."""
    database = server.database()
    spool = ("--spool-directory", str(directory / "spool"), "--spool-patience-seconds", str(PATIENCE))
    with (
        proxy,
        daemon("collector", proxy.url, directory, *spool, database=database) as collector,
        daemon("evaluator", proxy.url, directory, database=database) as evaluator,
    ):
        yield Scene(Both(collector, evaluator), proxy, server, database)
    server.forget(database)


@pytest.fixture(scope="module")
def on_set(mongo_server: MongoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("set")
    with running(mongo_server, CommandProxy(mongo_server.port), directory) as scene:
        yield scene


@pytest.fixture(scope="module")
def on_cluster(mongo_server: MongoServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("cluster")
    proxy = Cluster(mongo_server.port, mongo_server.url)
    with running(mongo_server, proxy, directory) as scene:
        yield scene


def begun(scene: Scene) -> Scene:
    """Begin with a type of its own, some events that are stored, and their metrics cached."""
    new = Scene(scene.both, scene.proxy, scene.server, scene.database)
    wait_until(lambda: new.send(2) == 200, "the first events to be stored")
    until_drained(new.both.collector)
    new.certain = new.sent
    assert [new.count(step) for step in STEPS] == [(200, new.sent)] * len(STEPS)
    return new


def go_through(scene: Scene, trouble: Callable[[CommandProxy], None], statuses: set[int]) -> None:
    """Send 40 events while there is trouble, and some after it; what is not stored waits in the spool."""
    scene = begun(scene)
    try:
        with scene.asking():
            trouble(scene.proxy)
            assert {scene.send(10) for _ in range(4)} <= statuses
            if statuses == SPOOLED:
                assert figure(scene.both.collector, "cube_spool_events") == 40
            scene.proxy.well()
            assert scene.send(10) in EITHER
            until_drained(scene.both.collector)
            wait_until(lambda: scene.send(2) == 200, "an event to be stored at once")
    finally:
        scene.proxy.well()
    scene.check()


def meeting(*faults: Fault) -> Callable[[CommandProxy], None]:
    """Return the trouble of some faults."""

    def begin(proxy: CommandProxy) -> None:
        for fault in faults:
            fault.met = 0
        proxy.faults = list(faults)

    return begin


INTERRUPTED = error(11602, "InterruptedDueToReplStateChange", labels=["RetryableWriteError"])
OF_A_SET: dict[str, tuple[Callable[[CommandProxy], None], set[int]]] = {
    "a short election": (lambda proxy: proxy.step_down(0.3), EITHER),
    "a long election": (lambda proxy: proxy.step_down(600), SPOOLED),
    "no way to it": (lambda proxy: proxy.refuse(), SPOOLED),
    "commands lost once": (meeting(Fault(WRITES, cut=True, times=2)), EITHER),
    "replies lost once": (meeting(Fault(WRITES, executed=True, cut=True, times=2)), EITHER),
    "replies to events lost": (meeting(Fault(WRITES, "_events", executed=True, cut=True)), SPOOLED),
    "replies to revisions lost": (meeting(Fault(WRITES, "_revisions", executed=True, cut=True)), SPOOLED),
    "interrupted after the write": (meeting(Fault(WRITES, answer=INTERRUPTED, executed=True)), SPOOLED),
    "slow": (meeting(Fault(WRITES, delay_seconds=PATIENCE + 1)), SPOOLED),
    "throttled": (meeting(Fault({*WRITES, "find"}, answer=THROTTLED)), SPOOLED),
    "no majority": (meeting(Fault(["insert"], "_events", answer=unconfirmed(), executed=True)), SPOOLED),
    "a password that is rotated": (meeting(Fault(WRITES, answer=error(18, "AuthenticationFailed"))), SPOOLED),
}


@pytest.mark.parametrize("trouble", OF_A_SET)
def test_what_a_set_does(on_set: Scene, trouble: str) -> None:
    go_through(on_set, *OF_A_SET[trouble])


@pytest.mark.parametrize(
    "fault",
    [
        Fault(["insert"], "_events", answer=error(13388, "StaleConfig")),
        Fault(["insert"], "_events", answer=write_error(82, 0, 3)),
        Fault(["update"], "_revisions", answer=error(150, "StaleEpoch")),
        Fault({*WRITES, "find"}, answer=error(202, "NetworkInterfaceExceededTimeLimit")),
    ],
    ids=lambda fault: str((fault.answer or {}).get("codeName", "NoProgressMade")),
)
def test_routing_that_is_stale(on_cluster: Scene, fault: Fault) -> None:
    go_through(on_cluster, meeting(fault), SPOOLED)


@pytest.mark.parametrize("shard", sorted(SHARDS))
def test_a_shard_without_a_primary(on_cluster: Scene, shard: int) -> None:
    """Half of each batch is stored at once where the other shard has the notes; nothing of it is lost."""
    assert {shard_of(id) for id in range(2, 12)} == set(SHARDS)
    cluster = on_cluster.proxy
    assert isinstance(cluster, Cluster)
    go_through(on_cluster, lambda _: cluster.lose_primary(shard), SPOOLED)


def test_a_question_to_a_shard_without_a_primary_is_a_503(on_cluster: Scene) -> None:
    scene = begun(on_cluster)
    assert isinstance(scene.proxy, Cluster)
    scene.proxy.lose_primary(1)
    try:
        assert scene.ask("/1.0/event", scene.type)[0] == 503  # events are on all shards
    finally:
        scene.proxy.well()
    status, found = scene.ask("/1.0/event", scene.type)
    assert (status, len(found)) == (200, scene.sent)


def test_an_old_primary_that_still_answers(on_cluster: Scene) -> None:
    """It has none of what is stored from now on, and is asked for it."""
    scene = begun(on_cluster)
    assert isinstance(scene.proxy, Cluster)
    scene.proxy.cut_off(scene.database, f"{scene.type}_events")
    try:
        with scene.asking():
            assert {scene.send(10) for _ in range(4)} == SAVED
            assert [scene.count(step) for step in STEPS] == [(200, scene.sent)] * len(STEPS)
    finally:
        scene.proxy.well()
    scene.check()


def test_only_an_event_at_fault_is_put_away_from_the_spool(on_set: Scene) -> None:
    scene = begun(on_set)
    guilty = scene.sent + 4
    refused = write_error(121, 4)
    try:
        scene.proxy.step_down(600)
        assert scene.send(10) == 202
        scene.proxy.faults = [Fault(["insert"], f"{scene.type}_events", answer=refused, holding=guilty)]
        scene.proxy.step_down(0)
        until_drained(scene.both.collector)
    finally:
        scene.proxy.well()
    left = set(range(scene.sent)) - {guilty}
    assert set(stored(scene.server.url, scene.database, scene.type)) == left
    assert [scene.count(step) for step in STEPS] == [(200, len(left))] * len(STEPS)
