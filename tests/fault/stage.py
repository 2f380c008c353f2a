"""A collector with a spool, behind a proxy before its MongoDB."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, daemon
from tests.end_to_end.serving import wait_until
from tests.fault.commands import CommandProxy
from tests.fault.proxy import FaultyProxy
from tests.fault.sending import exchange, figure, put, stored
from tests.mongo_server import MongoServer

PATIENCE = 1.0
NOW = 1_311_033_600_000


@dataclass(frozen=True, slots=True)
class Stage:
    """``proxy``: of commands, or one that fails below them."""

    server: MongoServer
    proxy: CommandProxy | FaultyProxy
    database: str
    directory: Path

    @contextmanager
    def collector(self, *flags: str, impatient: bool = False) -> Iterator[Daemon]:
        """Run a collector, the next one on the same spool; an impatient one soon gives up."""
        url = f"{self.proxy.url}/?serverSelectionTimeoutMS=1000" if impatient else self.proxy.url
        spool = ("--spool-directory", str(self.directory / "spool"))
        patience = ("--spool-patience-seconds", str(PATIENCE), "--stop-seconds", "5")
        with daemon(
            "collector", url, self.directory, *spool, *patience, *flags, database=self.database
        ) as running:
            yield running

    def refuse(self) -> None:
        """From now on nobody reaches the server."""
        self.proxy.refuse()

    def well(self) -> None:
        """Everybody reaches it."""
        self.proxy.well()

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Nobody reaches the server while the block runs."""
        self.refuse()
        try:
            yield
        finally:
            self.well()

    def stored(self, type: str = "test") -> dict[Any, Any]:
        return stored(self.server.url, self.database, type)


@pytest.fixture
def stage(mongo_server: MongoServer, tmp_path: Path) -> Iterator[Stage]:
    """Behind a proxy of commands."""
    with CommandProxy(mongo_server.port) as commands:
        yield from staged(mongo_server, commands, tmp_path)


def staged(server: MongoServer, proxy: CommandProxy | FaultyProxy, directory: Path) -> Iterator[Stage]:
    """Yield a stage on a database of its own."""
    name = server.database()
    yield Stage(server, proxy, name, directory)
    server.forget(name)


def event(id: Any, data: Any = None, type: str = "test") -> dict[str, Any]:
    return {"type": type, "time": NOW, "id": id, "data": data}


def until_drained(collector: Daemon) -> None:
    wait_until(lambda: figure(collector, "cube_spool_events") == 0, "the spool to be drained")


def until_stored(collector: Daemon, *events: dict[str, Any]) -> None:
    """Send events until they are stored: a save may take longer than the collector is patient."""
    wait_until(lambda: put(collector, list(events)) == (200, {}), "the events to be stored")


def check_spooling(collector: Daemon) -> None:
    """Send some more while the store is away, as it is by now: all of it is spooled, at once."""
    assert put(collector, [event(2), event(3)]) == (202, {"spooled": 2})
    began = time.monotonic()
    assert put(collector, [event(0, "second")]) == (202, {"spooled": 1})
    assert put(collector, [event(0, "third"), event(0, type="other")]) == (202, {"spooled": 2})
    assert time.monotonic() - began < 2 * PATIENCE  # neither waits for the store
    assert exchange(collector, "GET", "/readyz")[0] == 503
    assert figure(collector, "cube_spool_events") == 5
    assert figure(collector, "cube_spool_bytes") > 0


def check_drained(stage: Stage, collector: Daemon) -> None:
    """The store is back: what `check_spooling` sent is drained, in order."""
    status, _ = put(collector, [event(0, "fourth")])
    assert status in (200, 202)
    until_drained(collector)
    assert stage.stored() == {0: "fourth", 1: None, 2: None, 3: None}
    assert stage.stored("other") == {0: None}
    until_stored(collector, event(4))
    assert exchange(collector, "GET", "/readyz")[0] == 200
    assert figure(collector, "cube_spool_oldest_seconds") == 0
