"""The MongoDB of a running collector goes away, in every way that its commands can tell, and comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest

from cube.client import Emitter, SocketEmitter
from tests.daemon import Daemon
from tests.end_to_end.serving import cube, wait_until
from tests.fault.commands import THROTTLED, WRITES, CommandProxy, Fault
from tests.fault.sending import Sender, exchange, figure, put
from tests.fault.stage import (
    PATIENCE,
    Stage,
    check_drained,
    check_spooling,
    event,
    stage,
    until_drained,
    until_stored,
)
from tests.tools import LONG

__all__ = ["stage"]

SPOOLED = 2_000 if LONG else 600


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


@contextmanager
def without_primary(stage: Stage) -> Iterator[None]:
    proxy(stage).step_down(600)
    try:
        yield
    finally:
        stage.well()


AWAY: dict[str, Callable[[Stage], AbstractContextManager[None]]] = {
    "stopped": stopped,
    "killed": killed,
    "frozen": lambda stage: stage.server.frozen(),
    "unreachable": lambda stage: stage.unreachable(),
    "without a primary": without_primary,
}


def proxy(stage: Stage) -> CommandProxy:
    assert isinstance(stage.proxy, CommandProxy)
    return stage.proxy


def drains(collector: Daemon) -> bool:
    return figure(collector, "cube_spool_drained_total") > 0


@pytest.mark.parametrize("way", AWAY)
def test_events_are_spooled_while_it_is_away_and_drained_when_it_is_back(stage: Stage, way: str) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(0, "first"), event(1))
        with AWAY[way](stage):
            check_spooling(collector)
        check_drained(stage, collector)


def test_every_client_takes_what_is_spooled_for_success(stage: Stage) -> None:
    with stage.collector() as collector, Emitter(collector.http) as emitter:
        emitter.send([event(0)])
        stage.refuse()
        assert emitter.send(event(id) for id in range(5)) == 5
        stage.well()
        until_drained(collector)
    assert sorted(stage.stored()) == list(range(5))


async def test_a_socket_is_told_what_is_only_spooled(stage: Stage) -> None:
    from tornado.websocket import websocket_connect

    with stage.collector() as collector:
        socket = await websocket_connect(f"{collector.http.replace('http', 'ws')}/1.0/event/put")
        await socket.write_message('{"events": {"type": "test", "id": 1}, "ack": "a"}')
        assert await socket.read_message() == '{"ack":"a"}'
        stage.refuse()
        await socket.write_message('{"events": {"type": "test", "id": 2}, "ack": "b"}')
        assert await socket.read_message() == '{"ack":"b","spooled":true}'
        socket.close()
        assert await socket.read_message() is None
        async with SocketEmitter(collector.http) as emitter:
            assert await emitter.send([event(3)]) == 1
        stage.well()
        until_drained(collector)
    assert sorted(stage.stored()) == [1, 2, 3]


def test_under_load_nothing_is_lost_and_nobody_waits_long(stage: Stage) -> None:
    commands = proxy(stage)

    def meet(*faults: Fault) -> None:
        commands.faults = list(faults)

    troubles: list[Callable[[], None]] = [
        stage.refuse,
        lambda: commands.step_down(600),
        lambda: meet(Fault(WRITES, answer=THROTTLED)),
        lambda: meet(Fault(WRITES, "_events", executed=True, cut=True, times=5)),
        lambda: meet(Fault(WRITES, delay_seconds=PATIENCE + 1)),
    ]
    with stage.collector() as collector:
        sender = Sender(collector)
        with sender.sending():
            for trouble in troubles:
                sender.until(200)
                trouble()
                sender.until(400)
                stage.well()
        until_drained(collector)
        assert set(stage.stored()) == sender.acknowledged
        assert sender.statuses[202] >= 30
        assert set(sender.statuses) == {200, 202}
        assert sender.slowest < PATIENCE + 5


@pytest.mark.parametrize("way", ["killed", "frozen", "without a primary"])
def test_sigterm_while_it_is_away_is_a_clean_stop_and_the_next_collector_drains(
    stage: Stage, way: str
) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(1))
        with AWAY[way](stage):
            assert put(collector, [event(2)])[0] == 202
            collector.process.terminate()
            assert collector.process.wait(10) == 0  # not that of a process that is overdue
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
                stage.refuse()
                sender.until(SPOOLED)
                stage.well()
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
    assert len(acknowledged) > 2 * SPOOLED
    assert list((stage.directory / "spool").glob("*.db*")) == []


def test_a_collector_starts_while_it_is_away(stage: Stage) -> None:
    """What was spooled before and after the start is drained in order, and keys count that were known."""
    with stage.collector() as collector:
        until_stored(collector, event(1, "first"))
        stage.refuse()
        assert put(collector, [event(1, "second"), event(2)])[0] == 202
        collector.process.kill()
        collector.process.wait()
    with stage.collector(impatient=True) as collector:
        assert put(collector, [event(1, "third"), event(3)]) == (202, {"spooled": 2})
        assert exchange(collector, "GET", "/readyz")[0] == 503
        stage.well()
        until_drained(collector)
        until_stored(collector, event(4))
    assert stage.stored() == {1: "third", 2: None, 3: None, 4: None}


def test_keys_count_at_a_start_without_the_store(stage: Stage) -> None:
    where = ("--store", stage.proxy.url, "--database", stage.database)
    made = cube("keys", "add", "web", "--create", *where, cwd=stage.directory)
    with stage.collector():
        pass
    stage.refuse()
    with stage.collector(impatient=True) as collector:
        assert put(collector, [event(1)])[0] == 401
        bearer = {"Authorization": f"Bearer {made.stdout.strip()}"}
        assert exchange(collector, "POST", "/1.0/event", [event(1)], headers=bearer)[0] == 202
    (known,) = (stage.directory / "spool").glob("*.keys.json")
    assert known.stat().st_mode & 0o777 == 0o600
    assert made.stdout.strip() not in known.read_text()


def test_the_very_first_start_needs_the_store(stage: Stage) -> None:
    stage.refuse()
    with pytest.raises(AssertionError, match="No MongoDB answers"), stage.collector():
        pass
