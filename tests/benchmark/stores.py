"""The stores that builds are measured on, each filled once and then given out as if nobody had asked yet."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from pymongo import MongoClient

from tests.benchmark import dataset
from tests.benchmark.asking import Connection
from tests.benchmark.builds import Build
from tests.benchmark.null_mongodb import null_mongodb
from tests.benchmark.processes import Daemon, daemon
from tests.benchmark.questions import TYPE
from tests.mongo_server import MongoServer

WARMING_TYPE = "warming"
WARMING_EVENTS = 2_000
QUERY_SECONDS = 600
"""What a question may take here: a slow one is to be measured, not refused."""


class Store(Protocol):
    """A store of a build."""

    url: str
    """What has been filled."""

    folder: Path
    """Where daemons on it have their other directories."""

    def untouched(self) -> str:
        """Return the URL of the filled store, as it was before the first question."""


class SqliteStore:
    """Directories: one that is filled, and copies of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filled = folder / "filled"
        self._filled.mkdir(parents=True)
        self._copies = itertools.count()
        self._copy: Path | None = None
        self.url = f"sqlite:{self._filled}"

    def untouched(self) -> str:
        """Copy what was filled; the copy before this one is removed."""
        if self._copy is not None:
            shutil.rmtree(self._copy)
        self._copy = self.folder / f"copy-{next(self._copies)}"
        shutil.copytree(self._filled, self._copy)
        return f"sqlite:{self._copy}"


class MongoStore:
    """A server for the benchmark alone."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def untouched(self) -> str:
        """Drop what evaluators have stored; the events and their revisions stay."""
        with MongoClient[dict[str, object]](self.url) as client:
            database = client["bench"]
            for name in database.list_collection_names():
                if name.endswith("_metrics"):
                    database[name].drop()
        return self.url


@contextmanager
def _sqlite(folder: Path) -> Iterator[Store]:
    yield SqliteStore(folder)


@contextmanager
def _mongodb(folder: Path) -> Iterator[Store]:
    folder.mkdir(parents=True)
    with MongoServer(folder / "mongodb") as server:
        yield MongoStore(folder, server.url)


@contextmanager
def _null(folder: Path) -> Iterator[Store]:
    folder.mkdir(parents=True)
    with null_mongodb(folder) as url:
        yield MongoStore(folder, url)


KINDS = {"sqlite": _sqlite, "mongodb": _mongodb, "null": _null}


class Subject:
    """A build with stores of its own: what a workload is measured on. Stores are filled once a run."""

    def __init__(self, build: Build, folder: Path) -> None:
        self.build = build
        self._folder = folder / build.name
        self._filled: dict[tuple[str, int], Store] = {}
        self._stores = ExitStack()
        self._numbers = itertools.count()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self._stores.close()

    def filled(self, kind: str, events: int) -> Store:
        """Return a store that holds the first `events` events, and some of another type to warm up with."""
        if (kind, events) not in self._filled:
            store = self._stores.enter_context(self.empty(kind))
            with self.collector(store) as collector:
                fill(collector, TYPE, events)
                fill(collector, WARMING_TYPE, WARMING_EVENTS)
            self._filled[kind, events] = store
        return self._filled[kind, events]

    def empty(self, kind: str) -> AbstractContextManager[Store]:
        """Return a new store, removed with the run."""
        return KINDS[kind](self._folder / f"{kind}-{next(self._numbers)}")

    def collector(self, store: Store, *flags: str) -> AbstractContextManager[Daemon]:
        """Run a collector."""
        return daemon(self.build, "collector", store.url, store.folder / "collector", *flags)

    def evaluator(self, store: Store, url: str, folder: Path | None = None) -> AbstractContextManager[Daemon]:
        """Run an evaluator on a URL that the store gave out; without `folder`, with new directories."""
        own = folder or store.folder / f"evaluator-{next(self._numbers)}"
        return daemon(self.build, "evaluator", url, own, "--limits-query-seconds", str(QUERY_SECONDS))


def fill(collector: Daemon, type: str, events: int, batch: int = 5_000) -> None:
    """Post the first `events` events."""
    with Connection(collector.http) as connection:
        for body in dataset.bodies(type, events, batch):
            connection.post("/1.0/event", body)
