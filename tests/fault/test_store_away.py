"""The MongoDB of a running collector goes away, in every way that it can, and comes back."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cube.client import Emitter, SocketEmitter
from tests.daemon import Daemon, daemon
from tests.end_to_end.serving import cube, wait_until
from tests.fault.proxy import FaultyProxy, Mode
from tests.fault.sending import Sender, exchange, figure, put, stored
from tests.fault.test_full_disk import limit_files
from tests.mongo_server import MongoServer

PATIENCE = 1.0
NOW = 1_311_033_600_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A collector with a spool, behind a proxy before its MongoDB."""

    server: MongoServer
    proxy: FaultyProxy
    database: str
    directory: Path

    @contextmanager
    def collector(self, *flags: str) -> Iterator[Daemon]:
        """Run a collector, the next one on the same spool."""
        spool = ("--spool-directory", str(self.directory / "spool"))
        patience = ("--spool-patience-seconds", str(PATIENCE), "--stop-seconds", "3")
        with daemon(
            "collector", self.proxy.url, self.directory, *spool, *patience, *flags, database=self.database
        ) as running:
            yield running

    def stored(self, type: str = "test") -> dict[Any, Any]:
        return stored(self.server.url, self.database, type)


@pytest.fixture
def stage(mongo_server: MongoServer, proxy: FaultyProxy, tmp_path: Path) -> Iterator[Stage]:
    name = mongo_server.database()
    yield Stage(mongo_server, proxy, name, tmp_path)
    mongo_server.forget(name)


@contextmanager
def through(stage: Stage, mode: Mode) -> Iterator[None]:
    stage.proxy.set(mode)
    try:
        yield
    finally:
        stage.proxy.set(Mode.PASS)


@contextmanager
def killed(stage: Stage) -> Iterator[None]:
    stage.server.kill()
    try:
        yield
    finally:
        stage.server.start()


@contextmanager
def stopped(stage: Stage) -> Iterator[None]:
    stage.server.stop()
    try:
        yield
    finally:
        stage.server.start()


AWAY: dict[str, Callable[[Stage], AbstractContextManager[None]]] = {
    "stopped": stopped,
    "killed": killed,
    "frozen": lambda stage: stage.server.frozen(),
    "unreachable": lambda stage: through(stage, Mode.REFUSE),
    "silent": lambda stage: through(stage, Mode.HANG),
    "not the primary": lambda stage: through(stage, Mode.NOT_PRIMARY),
}


def event(id: Any, data: Any = None, type: str = "test") -> dict[str, Any]:
    return {"type": type, "time": NOW, "id": id, "data": data}


def until_drained(collector: Daemon) -> None:
    wait_until(lambda: figure(collector, "cube_spool_events") == 0, "the spool to be drained")


def begin(collector: Daemon, first: dict[str, Any]) -> None:
    """Send an event until it is stored: the very first save may take longer than the collector is patient."""
    wait_until(lambda: put(collector, [first])[0] == 200, "the first event to be stored")


def drains(collector: Daemon) -> bool:
    return figure(collector, "cube_spool_drained_total") > 0


@pytest.mark.parametrize("way", AWAY)
def test_events_are_spooled_while_it_is_away_and_drained_when_it_is_back(stage: Stage, way: str) -> None:
    with stage.collector() as collector:
        assert put(collector, [event(0, "first"), event(1)]) == (200, {})
        with AWAY[way](stage):
            assert put(collector, [event(2), event(3)]) == (202, {"spooled": 2})
            began = time.monotonic()
            assert put(collector, [event(0, "second")]) == (202, {"spooled": 1})
            assert put(collector, [event(0, "third"), event(0, type="other")]) == (202, {"spooled": 2})
            assert time.monotonic() - began < 1
            assert exchange(collector, "GET", "/readyz")[0] == 503
            assert figure(collector, "cube_spool_events") == 5
            assert figure(collector, "cube_spool_bytes") > 0
        status, _ = put(collector, [event(0, "fourth")])
        assert status in (200, 202)
        until_drained(collector)
        assert stage.stored() == {0: "fourth", 1: None, 2: None, 3: None}
        assert stage.stored("other") == {0: None}
        assert put(collector, [event(4)]) == (200, {})
        assert exchange(collector, "GET", "/readyz")[0] == 200
        assert figure(collector, "cube_spool_oldest_seconds") == 0


def test_every_client_takes_what_is_spooled_for_success(stage: Stage) -> None:
    with stage.collector() as collector, Emitter(collector.http) as emitter:
        emitter.send([event(0)])
        stage.proxy.set(Mode.REFUSE)
        assert emitter.send(event(id) for id in range(5)) == 5
        stage.proxy.set(Mode.PASS)
        until_drained(collector)
    assert sorted(stage.stored()) == list(range(5))


async def test_a_socket_is_told_what_is_only_spooled(stage: Stage) -> None:
    from tornado.websocket import websocket_connect

    with stage.collector() as collector:
        socket = await websocket_connect(f"{collector.http.replace('http', 'ws')}/1.0/event/put")
        await socket.write_message('{"events": {"type": "test", "id": 1}, "ack": "a"}')
        assert await socket.read_message() == '{"ack":"a"}'
        stage.proxy.set(Mode.REFUSE)
        await socket.write_message('{"events": {"type": "test", "id": 2}, "ack": "b"}')
        assert await socket.read_message() == '{"ack":"b","spooled":true}'
        socket.close()
        assert await socket.read_message() is None
        async with SocketEmitter(collector.http) as emitter:
            assert await emitter.send([event(3)]) == 1
        stage.proxy.set(Mode.PASS)
        until_drained(collector)
    assert sorted(stage.stored()) == [1, 2, 3]


def test_under_load_nothing_is_lost_and_nobody_waits_long(stage: Stage) -> None:
    with stage.collector() as collector:
        sender = Sender(collector)
        with sender.sending():
            for mode in (Mode.REFUSE, Mode.NOT_PRIMARY, Mode.HANG):
                sender.until(200)
                stage.proxy.set(mode)
                sender.until(400)
                stage.proxy.set(Mode.PASS)
        until_drained(collector)
        assert set(stage.stored()) == sender.acknowledged
        assert sender.statuses[202] >= 30
        assert set(sender.statuses) == {200, 202}
        assert sender.slowest < PATIENCE + 5


@pytest.mark.parametrize("way", ["killed", "frozen", "silent"])
def test_sigterm_while_it_is_away_is_a_clean_stop_and_the_next_collector_drains(
    stage: Stage, way: str
) -> None:
    with stage.collector() as collector:
        assert put(collector, [event(1)])[0] == 200
        with AWAY[way](stage):
            assert put(collector, [event(2)])[0] == 202
            began = time.monotonic()
            collector.process.terminate()
            assert collector.process.wait(10) == 0
            assert time.monotonic() - began < 2.9  # it was not cut off, at 3 s
    with stage.collector() as collector:
        until_drained(collector)
    assert sorted(stage.stored()) == [1, 2]


def test_a_collector_killed_while_it_spools_and_drains_loses_nothing(stage: Stage) -> None:
    """Kill it in the middle of both, several times; each next one takes over what the dead ones left."""
    acknowledged: set[int] = set()
    for turn in range(2):
        with stage.collector() as collector:
            sender = Sender(collector, first=turn * 100_000)
            with sender.sending():
                sender.until(100)
                stage.proxy.set(Mode.REFUSE)
                sender.until(2_000)
                stage.proxy.set(Mode.PASS)
                if turn:
                    wait_until(partial(drains, collector), "the drain to begin")
                collector.process.kill()
                collector.process.wait()
                with stage.collector() as following:
                    sender.daemon = following
                    sender.until(100)
                    sender.end()
                    until_drained(following)
            acknowledged |= sender.acknowledged
    found = stage.stored()
    assert acknowledged <= set(found)
    assert len(acknowledged) > 4_000
    assert list((stage.directory / "spool").glob("*.db*")) == []


def test_at_the_limit_of_the_spool_it_is_a_503_until_it_is_drained(stage: Stage) -> None:
    with stage.collector("--spool-bytes", str(2**20)) as collector:
        begin(collector, event(0))
        stage.proxy.set(Mode.REFUSE)
        kept = {0}
        for id in range(1, 100):
            status, answer = put(collector, [event(id, "x" * 30_000)])
            if status == 202:
                kept.add(id)
        assert status == 503
        assert answer["error"].startswith("The spool holds")
        assert 20 < len(kept) < 40
        stage.proxy.set(Mode.PASS)
        until_drained(collector)
        assert put(collector, [event(200, "x" * 30_000)])[0] == 200
    assert set(stage.stored()) == {*kept, 200}


def test_on_a_full_disk_the_spool_is_a_503_and_keeps_what_it_has(stage: Stage) -> None:
    with stage.collector() as collector:
        begin(collector, event(0))
        stage.proxy.set(Mode.REFUSE)
        assert put(collector, [event(1)])[0] == 202
        limit_files(collector, 300_000)
        statuses = [put(collector, [event(id, "x" * 30_000)])[0] for id in range(2, 32)]
        assert {202, 503} == set(statuses)
        assert statuses[-1] == 503
        limit_files(collector, resource.RLIM_INFINITY)
        assert put(collector, [event(99)])[0] == 202
        stage.proxy.set(Mode.PASS)
        until_drained(collector)
    kept = {id for id, status in zip(range(2, 32), statuses, strict=True) if status == 202}
    assert set(stage.stored()) == {0, 1, 99, *kept}


def test_a_full_disk_drains_and_is_free_again_though_nobody_makes_room(stage: Stage) -> None:
    with stage.collector() as collector:
        begin(collector, event(0))
        stage.proxy.set(Mode.REFUSE)
        assert put(collector, [event(1)])[0] == 202
        limit_files(collector, 300_000)
        statuses = [put(collector, [event(id, "x" * 30_000)])[0] for id in range(2, 32)]
        assert statuses[-1] == 503
        stage.proxy.set(Mode.PASS)
        until_drained(collector)
        assert put(collector, [event(1, "after"), event(99)]) == (200, {})
        assert list((stage.directory / "spool").glob("*.db-wal")) == []
    kept = {id for id, status in zip(range(2, 32), statuses, strict=True) if status == 202}
    assert stage.stored() == {0: None, 1: "after", 99: None, **dict.fromkeys(kept, "x" * 30_000)}


def test_a_spool_directory_that_is_deleted_is_a_503_and_not_ready(stage: Stage) -> None:
    with stage.collector() as collector:
        begin(collector, event(0))
        assert exchange(collector, "GET", "/readyz")[0] == 200
        shutil.rmtree(stage.directory / "spool")
        status, _, told = exchange(collector, "GET", "/readyz")
        assert (status, b"The spool's directory was deleted" in told) == (503, True)
        stage.proxy.set(Mode.REFUSE)
        status, answer = put(collector, [event(1)])
        assert (status, str(stage.directory) in answer["error"]) == (503, False)
    assert (
        f"the spool directory {stage.directory / 'spool'} was deleted"
        in (stage.directory / "collector.log").read_text()
    )


def test_a_collector_starts_whatever_lies_in_its_spool(stage: Stage) -> None:
    spool = stage.directory / "spool"
    with stage.collector() as collector:
        begin(collector, event(0))
        stage.proxy.set(Mode.REFUSE)
        for first in range(0, 1_000, 100):
            assert put(collector, [event(id, "x" * 50) for id in range(first, first + 100)])[0] == 202
    (path,) = spool.glob("*.spool.db")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    (spool / path.name.replace(path.name.split(".")[2], "0-garbage")).write_bytes(b"no database" * 999)
    (spool / "notes.txt").write_text("left alone")
    stage.proxy.set(Mode.PASS)
    with stage.collector() as collector:
        until_drained(collector)
        assert figure(collector, "cube_spool_damaged_total") >= 1
        assert put(collector, [event(2_000)])[0] == 200
    assert len(stage.stored()) > 900
    assert sorted(path.suffix for path in spool.iterdir() if ".lock" not in path.name)[-1] == ".txt"


def test_a_collector_starts_while_it_is_away(stage: Stage) -> None:
    """What was spooled before and after the start is drained in order, and keys count that were known."""
    with stage.collector() as collector:
        begin(collector, event(1, "first"))
        stage.proxy.set(Mode.REFUSE)
        assert put(collector, [event(1, "second"), event(2)])[0] == 202
        collector.process.kill()
        collector.process.wait()
    with stage.collector() as collector:
        assert put(collector, [event(1, "third"), event(3)]) == (202, {"spooled": 2})
        assert exchange(collector, "GET", "/readyz")[0] == 503
        stage.proxy.set(Mode.PASS)
        until_drained(collector)
        assert put(collector, [event(4)]) == (200, {})
    assert stage.stored() == {1: "third", 2: None, 3: None, 4: None}


def test_keys_count_at_a_start_without_the_store(stage: Stage) -> None:
    where = ("--store", stage.proxy.url, "--database", stage.database)
    made = cube("keys", "add", "web", "--create", *where, cwd=stage.directory)
    with stage.collector():
        pass
    stage.proxy.set(Mode.REFUSE)
    with stage.collector() as collector:
        assert put(collector, [event(1)])[0] == 401
        bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert exchange(collector, "POST", "/1.0/event", [event(1)], headers=bearer)[0] == 202
    (known,) = (stage.directory / "spool").glob("*.keys.json")
    assert known.stat().st_mode & 0o777 == 0o600
    assert made.stdout.strip() not in known.read_text()


def test_the_very_first_start_needs_the_store(stage: Stage) -> None:
    stage.proxy.set(Mode.REFUSE)
    with pytest.raises(AssertionError, match="No MongoDB answers"), stage.collector():
        pass
