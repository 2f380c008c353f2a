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
from tests.fault.cluster import Cluster
from tests.fault.commands import THROTTLED, WRITES, CommandProxy, Fault, error
from tests.fault.mortal import Mortal
from tests.fault.senders import Ledger
from tests.fault.test_kills import asking, counted, sending, until_drained
from tests.mongo_server import MongoServer
from tests.tools import LONG

EVENTS = {"set": 100_000, "cluster": 10_000} if LONG else {"set": 4_000}
ROUNDS = 3 if LONG else 1

ROUTING = error(13388, "StaleConfig")
INTERRUPTED = error(11602, "InterruptedDueToReplStateChange", labels=["RetryableWriteError"])


@pytest.fixture(params=EVENTS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def commands(kind: str) -> Iterator[CommandProxy]:
    with MongoServer() as server:
        proxy = CommandProxy(server.port) if kind == "set" else Cluster(server.port, server.url)
        with proxy as running:
            yield running


@pytest.mark.slow
@pytest.mark.timeout(3_000)
async def test_no_election_split_or_lost_reply_loses_an_acknowledged_event(
    kind: str, commands: CommandProxy, tmp_path: Path
) -> None:
    """Metrics are compared with events all the while: none lacks what was stored before the question."""
    store = f"{commands.url}/?replicaSet=tests" if kind == "set" else commands.url
    events = EVENTS[kind]
    with ExitStack() as stack:
        spool = ("--spool-directory", str(tmp_path / "spool"), "--spool-patience-seconds", "3")
        collector = stack.enter_context(Mortal("collector", store, tmp_path, *spool))
        evaluator = stack.enter_context(Mortal("evaluator", store, tmp_path))
        ledger = Ledger(events)
        with sending(collector, ledger), asking(evaluator, ledger) as doubts:
            trouble(commands, ledger, events // 40)
        assert not doubts
        assert len(ledger.acknowledged) == ledger.taken >= events
        until_drained(collector)
        async with opened(store, [Environment(DEFAULT, "test")], "test") as databases:
            stored = [str(id) for _, id, _ in await rows(databases.stores[DEFAULT], "kill")]
        assert len(stored) == len(set(stored))
        assert ledger.acknowledged == set(stored)
        assert counted(evaluator) == len(stored)


def trouble(commands: CommandProxy, ledger: Ledger, between: int) -> None:
    """Make trouble of every kind, one after another under load, each after so many events."""
    chance = random.Random()
    kinds: list[Callable[[], None]] = [
        *elections(commands, chance),
        commands.cut,
        partial(meet, commands, Fault(WRITES, executed=True, cut=True, times=3)),
        partial(meet, commands, Fault(WRITES, answer=THROTTLED, times=6)),
        partial(meet, commands, Fault({*WRITES, "find"}, answer=ROUTING, times=3)),
        partial(meet, commands, Fault(WRITES, answer=INTERRUPTED, executed=True, times=3)),
        partial(meet, commands, Fault({*WRITES, "find"}, delay_seconds=0.5, times=4)),
    ]
    for number in range(ROUNDS * len(kinds)):
        due = len(ledger.acknowledged) + between
        wait_until(lambda due=due: len(ledger.acknowledged) >= due, "acknowledged events")  # type: ignore[misc]
        time.sleep(chance.random() * 0.1)
        kinds[number % len(kinds)]()
    commands.well()
    ledger.enough = True


def elections(commands: CommandProxy, chance: random.Random) -> list[Callable[[], None]]:
    """Those of a set; of a cluster those of one shard, and an old primary that is still read from."""
    if not isinstance(commands, Cluster):
        return [lambda: commands.step_down(chance.uniform(0.2, 2))]

    def lose_primary(shard: int) -> None:
        commands.lose_primary(shard)
        time.sleep(chance.uniform(0.2, 2))
        commands.well()

    def split() -> None:
        commands.well()
        commands.cut_off("test", "kill_events")

    return [partial(lose_primary, 0), split, partial(lose_primary, 1)]


def meet(commands: CommandProxy, fault: Fault) -> None:
    """Let commands meet a fault from now on."""
    fault.met = 0
    commands.faults = [fault]
