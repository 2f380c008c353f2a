"""An evaluator as its tests run it: in this process, on a store that counts what is asked of it."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from prometheus_client import CollectorRegistry
from tornado.websocket import WebSocketClientConnection, websocket_connect

from cube.expression import parse_metric
from cube.model import instant
from cube.model.environment import DEFAULT
from cube.model.event import ABSENT, Event, EventId
from cube.model.grid import Grid, grid_of
from cube.model.made_id import make_id
from cube.model.tier import GroupKey, Span, Tier, group_of_key
from cube.settings import BlockSettings, BoardSettings, EvaluatorLimits, EvaluatorSettings, StreamSettings
from cube.store import mongo
from cube.store.ports import Store
from cube.store.sqlite import open_store
from cube.web import Authenticator
from evaluator.app import EvaluatorDaemon
from evaluator.context import QueryContext, QueryCounters
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.column_files import ColumnFiles
from evaluator.engine.kept_series import SeriesCache
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.series import Series
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.scheduling.scheduler import QueryCost, Scheduler
from tests.authenticators import open_authenticator
from tests.mongo_server import MongoServer
from tests.stores import StoreProxy

DAY = instant.parse("2011-07-18T00:00Z")
ANSWER_SECONDS = 10.0


def event(time: int, data: Any = ABSENT, id: EventId | None = None, type: str = "test") -> Event:
    return Event(type, time, make_id() if id is None else id, data)


def known_events() -> list[Event]:
    """The 2 500 events whose metrics are known."""
    return [event(DAY + math.trunc(math.sqrt(i) - 10) * 60_000, {"i": i}) for i in range(2500)]


class Recorder(StoreProxy):
    """A store that hands everything on to another one, and keeps what was asked of it.

    ``gate``: while it is clear, scans wait, before their first block and after each; only those whose span
    ``holds`` says. ``shut_after``: it is cleared after so many blocks, and ``shut`` is set.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.finds: list[str] = []
        self.scans: list[Span] = []
        self.saved: list[tuple[Tier, Sequence[int]]] = []
        self._scanned = asyncio.Event()
        self._found = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.holds: Callable[[Span], bool] = lambda span: True
        self.shut_after = 0
        self.shut = asyncio.Event()

    def clear(self) -> None:
        self.finds, self.scans, self.saved = [], [], []

    async def before(self, call: str, *arguments: Any) -> None:
        match call, arguments:
            case "session.revisions", (_, tier, _):
                self._note(f"revisions of {tier.name}")
            case "session.scan", (_, span, *_):
                self.scans.append(span)
                self._scanned.set()
                await self.wait(span)
            case "metrics.read", (key, tier, _):
                self._note(f"{key.kind}s of {tier.name}")
            case "metrics.save", (_, tier, buckets, *_):
                self.saved.append((tier, sorted(buckets)))
            case "metrics.save_all", (saves, *_):
                self.saved += [(tier, sorted(buckets)) for _, tier, buckets in saves]

    async def after_block(self, _: str, span: Span, *__: Any) -> None:
        self.shut_after -= 1
        if self.shut_after == 0:
            self.gate.clear()
            self.shut.set()
        await self.wait(span)

    async def wait(self, span: Span) -> None:
        """Wait at the gate, if that holds up scans of this span."""
        if self.holds(span):
            await self.gate.wait()

    async def until_scans(self, count: int) -> None:
        """Return when so many scans have begun."""
        while len(self.scans) < count:
            self._scanned.clear()
            await asyncio.wait_for(self._scanned.wait(), ANSWER_SECONDS)

    async def until_finds(self, count: int) -> None:
        """Return when so many revisions or cached metrics have been asked for."""
        while len(self.finds) < count:
            self._found.clear()
            await asyncio.wait_for(self._found.wait(), ANSWER_SECONDS)

    def _note(self, what: str) -> None:
        self.finds.append(what)
        self._found.set()


class Bench:
    """A store and a pyramid over it, of which every find and scan is recorded."""

    def __init__(
        self,
        store: Store,
        executor: ThreadPoolExecutor,
        limits: EvaluatorLimits | None = None,
        *,
        kept: BlockCache | None = None,
        series: SeriesCache | None = None,
        files: ColumnFiles | None = None,
    ) -> None:
        self.store = store
        self.seen = Recorder(store)
        settings = EvaluatorSettings(limits=limits or EvaluatorLimits())
        counters, self.scheduler = QueryCounters(CollectorRegistry()), Scheduler(settings.limits)
        context = QueryContext(self.seen, settings, self.scheduler, counters, executor, lambda: DAY)
        self.context = context
        self.blocks = None if kept is None else StoreBlocks(kept, counters.read, files=files)
        self.pyramid = Pyramid(context, self.blocks, series=series)

    async def save(self, *events: Event) -> None:
        """Store events, each type in one save."""
        for type in {event.type for event in events}:
            await self.store.events.save(type, [event for event in events if event.type == type])

    async def series(self, expression: str, step: int | Grid, start: int, stop: int) -> Series:
        grid = grid_of(step) if isinstance(step, int) else step
        span = grid.cover(Span(start, stop))
        return await self.pyramid.evaluate(parse_metric(expression), grid, span, QueryCost())

    async def values(self, expression: str, step: int | Grid, start: int, stop: int) -> list[float | None]:
        """The values of an expression without groups."""
        return plain((await self.series(expression, step, start, stop)).default)

    async def groups(
        self, expression: str, step: int | Grid, start: int, stop: int
    ) -> dict[Any, list[float | None]]:
        """The values of an expression by group."""
        return {group_of_key(key): values for key, values in await self.keyed(expression, step, start, stop)}

    async def keyed(
        self, expression: str, step: int | Grid, start: int, stop: int
    ) -> list[tuple[GroupKey, list[float | None]]]:
        """The values of an expression by the key of the group, in order."""
        series = await self.series(expression, step, start, stop)
        assert series.groups is not None
        return [(key, plain(values)) for key, values in sorted(series.groups.items())]


def plain(values: Any) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


@asynccontextmanager
async def bench(directory: Path | str, limits: EvaluatorLimits | None = None) -> AsyncIterator[Bench]:
    """A bench on SQLite."""
    async with bench_on(await open_store(directory, "test"), limits) as made:
        yield made


@asynccontextmanager
async def bench_on(
    store: Store, limits: EvaluatorLimits | None = None, *, keeps: bool = False
) -> AsyncIterator[Bench]:
    """A bench on an open store, which it closes; ``keeps``: with what was read and answered in memory."""
    with ThreadPoolExecutor(1) as executor:
        kept, series = (BlockCache(10**7), SeriesCache(10**7)) if keeps else (None, None)
        made = Bench(store, executor, limits, kept=kept, series=series)
        try:
            yield made
        finally:
            await made.pyramid.close()
            await store.close()


class Clock:
    """A clock that stands until it is set."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Running:
    """A listening evaluator, its store and its clock."""

    def __init__(self, evaluator: EvaluatorDaemon, store: Store, seen: Recorder, clock: Clock) -> None:
        self.evaluator = evaluator
        self.store = store
        self.seen = seen
        self.clock = clock
        self._sockets: list[Socket] = []
        self.port = int(evaluator.addresses["http"].rpartition(":")[2])

    async def save(self, *events: Event) -> None:
        for type in {event.type for event in events}:
            await self.store.events.save(type, [event for event in events if event.type == type])

    async def socket(self, path: str) -> Socket:
        socket = Socket(await websocket_connect(f"ws://127.0.0.1:{self.port}{path}"))
        self._sockets.append(socket)
        return socket

    async def close_sockets(self) -> None:
        for socket in self._sockets:
            await socket.close()


class Socket:
    """One WebSocket of a client."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self._closed = False

    async def ask(self, **request: Any) -> None:
        await self.connection.write_message(json.dumps(request))

    async def next(self) -> Any:
        """The next message; an `AssertionError` if none comes in time, or the socket closes."""
        message = await asyncio.wait_for(self.connection.read_message(), ANSWER_SECONDS)
        assert message is not None, "the socket was closed"
        return json.loads(message)

    async def some(self, count: int) -> list[Any]:
        return [await self.next() for _ in range(count)]

    async def close(self) -> None:
        """Close it, and return when it is closed; once more does nothing."""
        if self._closed:
            return
        self._closed = True
        self.connection.close()
        await self.until_closed()

    async def until_closed(self) -> None:
        """Read what comes, and return when the other side has closed it."""
        while await asyncio.wait_for(self.connection.read_message(), ANSWER_SECONDS) is not None:
            continue
        self._closed = True
        self.connection.close()


@asynccontextmanager
async def running(directory: Path | str, **options: Any) -> AsyncIterator[Running]:
    """An evaluator on SQLite; the options are those of `running_on`."""
    async with running_on(await open_store(directory, "test"), **options) as made:
        yield made


@asynccontextmanager
async def running_on(
    store: Store,
    *,
    now: int = DAY,
    poll_ms: int = 20,
    self_events: bool = False,
    access: Authenticator | None = None,
    boards: BoardSettings | None = None,
    **limits: Any,
) -> AsyncIterator[Running]:
    """An evaluator on an open store, which it closes; ``access``: anybody's unless given."""
    seen, clock = Recorder(store), Clock(now)
    settings = EvaluatorSettings(
        port=0,
        limits=EvaluatorLimits(**limits),
        stream=StreamSettings(poll_ms=poll_ms),
        self_events=self_events,
        boards=boards or BoardSettings(),
        blocks=BlockSettings(disk_bytes=0),
    )
    evaluator = EvaluatorDaemon(
        {DEFAULT: seen}, access or open_authenticator(), settings, CollectorRegistry(), clock
    )
    made = Running(evaluator, store, seen, clock)
    try:
        yield made
    finally:
        seen.gate.set()
        await evaluator.stop(5)
        await made.close_sockets()
        await store.close()


class Start(Protocol):
    """Starts an evaluator on one of the stores."""

    def __call__(self, **options: Any) -> AbstractAsyncContextManager[Running]: ...


@pytest.fixture(params=["sqlite", "mongo"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Both stores, one by one."""
    if request.param == "sqlite":
        return lambda **options: running(tmp_path, **options)

    @asynccontextmanager
    async def on_mongo(**options: Any) -> AsyncIterator[Running]:
        server: MongoServer = request.getfixturevalue("mongo_server")
        name = server.database()
        async with running_on(await mongo.open_store(server.url, name), **options) as made:
            yield made
        server.forget(name)

    return on_mongo
