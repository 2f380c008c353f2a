"""What no command can tell: a MongoDB whose connections are open and silent, or end within a reply."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault.proxy import FaultyProxy, Mode
from tests.fault.sending import Sender, put
from tests.fault.stage import (
    PATIENCE,
    Stage,
    check_drained,
    check_spooling,
    event,
    staged,
    until_drained,
    until_stored,
)
from tests.mongo_server import MongoServer


@pytest.fixture
def stage(mongo_server: MongoServer, proxy: FaultyProxy, tmp_path: Path) -> Iterator[Stage]:
    yield from staged(mongo_server, proxy, tmp_path)


@pytest.mark.parametrize("mode", [Mode.HANG, Mode.CUT])
def test_events_are_spooled_meanwhile_and_drained_afterwards(
    stage: Stage, proxy: FaultyProxy, mode: Mode
) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(0, "first"), event(1))
        proxy.set(mode)
        check_spooling(collector)
        stage.well()
        check_drained(stage, collector)


def test_under_load_nothing_is_lost_and_nobody_waits_long(stage: Stage, proxy: FaultyProxy) -> None:
    with stage.collector() as collector:
        sender = Sender(collector)
        with sender.sending():
            for mode in (Mode.HANG, Mode.CUT):
                sender.until(200)
                proxy.set(mode)
                sender.until(400)
                stage.well()
        until_drained(collector)
        assert set(stage.stored()) == sender.acknowledged
        assert set(sender.statuses) == {200, 202}
        assert sender.slowest < PATIENCE + 5


def test_sigterm_while_it_is_silent_is_a_clean_stop_and_the_next_collector_drains(
    stage: Stage, proxy: FaultyProxy
) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(1))
        proxy.set(Mode.HANG)
        assert put(collector, [event(2)])[0] == 202
        collector.process.terminate()
        assert collector.process.wait(10) == 0  # not that of a process that is overdue
        stage.well()
    with stage.collector() as collector:
        until_drained(collector)
    assert sorted(stage.stored()) == [1, 2]
