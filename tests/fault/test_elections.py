"""Nothing that was acknowledged is lost while a set elects, loses replies, throttles and is split."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from cube.model.environment import DEFAULT, Environment
from cube.store.factory import opened
from tests.contract.builders import rows
from tests.end_to_end.serving import wait_until
from tests.fault.commands import THROTTLED, WRITES, CommandProxy, Fault, error
from tests.fault.mortal import Mortal
from tests.fault.senders import Ledger
from tests.fault.test_kills import asking, counted, figure, sending
from tests.mongo_server import MongoServer
from tests.tools import LONG

EVENTS = 100_000 if LONG else 5_000
BETWEEN = EVENTS // 40
TROUBLES = 21 if LONG else 14
STUCK_SECONDS = 90.0

ROUTING = error(13388, "StaleConfig")
INTERRUPTED = error(11602, "InterruptedDueToReplStateChange", labels=["RetryableWriteError"])


@pytest.fixture
def commands() -> Iterator[CommandProxy]:
    with MongoServer() as server, CommandProxy(server.port) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(3_000)
async def test_no_election_split_or_lost_reply_loses_an_acknowledged_event(
    commands: CommandProxy, tmp_path: Path
) -> None:
    """Metrics are compared with events all the while: none lacks what was stored before the question."""
    store = f"{commands.url}/?replicaSet=tests"
    with ExitStack() as stack:
        spool = ("--spool-directory", str(tmp_path / "spool"), "--spool-patience-seconds", "3")
        collector = stack.enter_context(Mortal("collector", store, tmp_path, *spool))
        evaluator = stack.enter_context(Mortal("evaluator", store, tmp_path))
        ledger = Ledger(EVENTS)
        with sending(collector, ledger), asking(evaluator, ledger) as doubts:
            trouble(commands, ledger)
        assert not doubts
        assert len(ledger.acknowledged) == ledger.taken >= EVENTS
        until_drained(collector)
        async with opened(store, [Environment(DEFAULT, "test")], "test") as databases:
            stored = [str(id) for _, id, _ in await rows(databases.stores[DEFAULT], "kill")]
        assert len(stored) == len(set(stored))
        assert ledger.acknowledged == set(stored)
        assert counted(evaluator) == len(stored)


def until_drained(collector: Mortal) -> None:
    """Return when nothing waits in the spool; fail where it gets no shorter for a while."""
    left, since = float("inf"), time.monotonic()
    while (now := figure(collector, "cube_spool_events")) > 0:
        if now < left:
            left, since = now, time.monotonic()
        assert time.monotonic() - since < STUCK_SECONDS, f"{now:g} events stay in the spool"
        time.sleep(0.1)


def trouble(commands: CommandProxy, ledger: Ledger) -> None:
    """Make trouble of every kind, in any order, one after another under load."""
    chance = random.Random()
    kinds: list[Callable[[], None]] = [
        lambda: commands.step_down(chance.uniform(0.2, 2)),
        commands.cut,
        partial(meet, commands, Fault(WRITES, executed=True, cut=True, times=3)),
        partial(meet, commands, Fault(WRITES, answer=THROTTLED, times=6)),
        partial(meet, commands, Fault({*WRITES, "find"}, answer=ROUTING, times=3)),
        partial(meet, commands, Fault(WRITES, answer=INTERRUPTED, executed=True, times=3)),
        partial(meet, commands, Fault({*WRITES, "find"}, delay_seconds=0.5, times=4)),
    ]
    for number in range(TROUBLES):
        due = len(ledger.acknowledged) + BETWEEN
        wait_until(lambda due=due: len(ledger.acknowledged) >= due, "acknowledged events")  # type: ignore[misc]
        time.sleep(chance.random() * 0.1)
        kinds[number % len(kinds)]()
    ledger.enough = True


def meet(commands: CommandProxy, fault: Fault) -> None:
    """Let commands meet a fault from now on."""
    fault.met = 0
    commands.faults = [fault]
