"""Statements as their tests run them: in this process, with DuckDB in a thread in place of a process."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Thread
from typing import Any

import duckdb
from prometheus_client import CollectorRegistry

from cube.model.environment import DEFAULT, Caller, Environment, Key, Scope
from cube.model.event import Event
from cube.settings import EvaluatorSettings, SqlSettings
from cube.store.ports import Store
from cube.web import MemoryBudget
from evaluator.answers.rows import AnswerTexts
from evaluator.api.service import QueryService
from evaluator.context import QueryCounters, QuestionLog
from evaluator.engine.segments import BlockCache
from evaluator.sql.formats import JSON
from evaluator.sql.messages import Channel, FromEvaluator, FromProcess, framed, received
from evaluator.sql.service import SqlService
from evaluator.sql.worker import connect, serve
from evaluator.streams.poller import EventStreams
from tests.evaluator_running import Bench

MEMORY_BYTES = 2**26


class EmptyDatabases:
    """As many as are asked for."""

    def pop(self) -> duckdb.DuckDBPyConnection:
        return connect(MEMORY_BYTES)


class ThreadInPlace:
    """What `StatementProcess` is, in a thread."""

    def __init__(self) -> None:
        self.sent: list[FromProcess] = []
        down, self._down = os.pipe()
        self._up, up = os.pipe()
        channel = Channel(os.fdopen(down, "rb"), os.fdopen(up, "wb"))
        self._thread = Thread(target=_serve, args=(channel,))
        self._thread.start()
        self._reader: asyncio.StreamReader | None = None
        self._transport: asyncio.BaseTransport | None = None

    async def send(self, message: FromEvaluator) -> None:
        await asyncio.to_thread(_write, self._down, framed(message))

    async def receive(self) -> FromProcess | None:
        if self._reader is None:
            self._reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(self._reader)
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.connect_read_pipe(lambda: protocol, os.fdopen(self._up, "rb"))
        message = await received(self._reader)
        if message is not None:
            self.sent.append(message)
        return message

    def kill(self) -> None:
        """Do nothing: a thread cannot be killed."""

    async def close(self) -> int:
        if self._down >= 0:
            os.close(self._down)
            self._down = -1
            if self._transport is not None:
                self._transport.close()
            else:
                os.close(self._up)
            await asyncio.to_thread(self._thread.join)
        return 0


class ThreadsInPlace:
    """What `StatementProcesses` is; ``made``: those that were taken."""

    def __init__(self) -> None:
        self.made: list[ThreadInPlace] = []

    def prepare(self) -> None:
        """Do nothing: a thread is there at once."""

    async def take(self) -> ThreadInPlace:
        self.made.append(ThreadInPlace())
        return self.made[-1]

    async def close(self) -> None:
        """Do nothing: each is closed by its statement."""


class Statements:
    """A store, and who asks it in SQL."""

    def __init__(self, bench: Bench, seconds: float = 60, environment: str = DEFAULT) -> None:
        self.bench = bench
        self.threads = ThreadsInPlace()
        clock = bench.context.clock
        service = QueryService(
            bench.pyramid,
            EventStreams(bench.pyramid),
            MemoryBudget(2**30, lambda: None),
            QuestionLog(clock),
            AnswerTexts(0),
        )
        self.environment = Environment(environment, "test")
        self.sql = SqlService(
            {environment: service},
            [self.environment],
            lambda: False,
            EvaluatorSettings(sql=SqlSettings(enabled=True, seconds=seconds)),
            QueryCounters(CollectorRegistry()),
            self.threads,  # type: ignore[arg-type]  # it has all that is called
        )

    async def save(self, *events: Event) -> None:
        await self.bench.save(*events)

    async def bytes(self, statement: str, format: str = JSON, key: Key | None = None) -> bytes:
        """Return the answer to a statement."""
        run = await self.sql.run(Caller(self.environment, key), statement, format)
        try:
            return b"".join([part async for part in run])
        finally:
            await run.aclose()

    async def rows(self, statement: str, key: Key | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(await self.bytes(statement, key=key))
        return found

    async def values(self, statement: str) -> list[Any]:
        """Return the only value of each row."""
        return [next(iter(row.values())) for row in await self.rows(statement)]

    async def types(self, type: str) -> dict[str, str]:
        """Return the type of each column of a table."""
        return {row["column_name"]: row["column_type"] for row in await self.rows(f"DESCRIBE {type}")}


def key_of(*types: str, filter: str = "") -> Key:
    """Return a key that may read; of some types, if any are named."""
    return Key(
        id="k",
        environment=DEFAULT,
        digest=b"0" * 32,
        scopes=frozenset({Scope.READ}),
        types=frozenset(types) or None,
        filter=filter,
    )


@asynccontextmanager
async def statements_on(
    store: Store, *, keeps: bool = True, seconds: float = 60, environment: str = DEFAULT
) -> AsyncIterator[Statements]:
    """Statements on an open store, which it closes; ``keeps``: blocks, in memory."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as executor:
        made = Bench(store, executor, kept=BlockCache(2**26) if keeps else None)
        try:
            yield Statements(made, seconds, environment)
        finally:
            made.seen.gate.set()
            await made.pyramid.close()
            await store.close()


def _serve(channel: Channel) -> None:
    try:
        serve(channel, EmptyDatabases())
    except (EOFError, BrokenPipeError, duckdb.Error):
        return
    finally:
        channel.close()


def _write(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
