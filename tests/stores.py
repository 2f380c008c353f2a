"""The stores of tests: one in memory, and one before another. Only here do tests know how the ports look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from cube.columns import Block, PackedBlock
from cube.errors import InvalidEvent
from cube.model.event import Event
from cube.store.ports import ReadSession, Store


class StoreProxy:
    """A `Store` that hands all calls on to another one; a test overrides what is to happen around them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.identity = store.identity
        self.events = _EventsProxy(self, "events", store.events)
        self.metrics = _PortProxy(self, "metrics", store.metrics)
        self.names = store.names
        self.boards = store.boards
        self.definitions = store.definitions
        self.deletions = store.deletions
        self.reports = store.reports
        self.field_indexes = store.field_indexes
        self.ping, self.probe, self.close = store.ping, store.probe, store.close

    async def before(self, call: str, *arguments: Any) -> None:
        """Is awaited before each call of a port, such as "events.save" or "session.scan"."""

    async def after(self, call: str) -> None:
        """Is awaited after each of them but scans."""

    async def after_block(self, *arguments: Any) -> None:
        """Is awaited after each block of a scan, with the scan's arguments."""


class _PortProxy:
    """All calls of one port that are awaited."""

    def __init__(self, proxy: StoreProxy, name: str, port: Any) -> None:
        self._proxy = proxy
        self._name = name
        self._port = port

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            await self._proxy.before(f"{self._name}.{name}", *arguments)
            found = await getattr(self._port, name)(*arguments, **options)
            await self._proxy.after(f"{self._name}.{name}")
            return found

        return call


class _EventsProxy(_PortProxy):
    @property
    def joins(self) -> int:
        joins: int = self._port.joins
        return joins

    @property
    def takes_runs(self) -> bool:
        takes: bool = self._port.takes_runs
        return takes

    def version(self) -> int | None:
        version: int | None = self._port.version()
        return version

    @asynccontextmanager
    async def read(self, *options: Any) -> AsyncIterator[ReadSession]:
        await self._proxy.before("events.read", *options)
        async with self._port.read(*options) as session:
            yield _SessionProxy(self._proxy, "session", session)


class _SessionProxy(_PortProxy):
    @property
    def orders_ids(self) -> bool:
        has_order: bool = self._port.orders_ids
        return has_order

    async def scan(self, *arguments: Any, **options: Any) -> AsyncGenerator[Block, None]:
        await self._proxy.before("session.scan", *arguments)
        async for block in self._port.scan(*arguments, **options):
            yield block
            await self._proxy.after_block(*arguments)

    async def packed(self, *arguments: Any) -> AsyncGenerator[Sequence[PackedBlock], None]:
        await self._proxy.before("session.scan", *arguments)
        async for blocks in self._port.packed(*arguments):
            yield blocks
            await self._proxy.after_block(*arguments)


@dataclass
class MemoryEvents:
    """Events in memory, and the store that they are in: what is saved, and nothing is asked.

    A save waits while ``gate`` is clear; then it raises ``error``, if there is one, refuses the first event
    whose id is ``refused``, and meets a fault where one is ``broken``.
    """

    commits: list[tuple[str, list[Event]]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None
    refused: set[Any] = field(default_factory=set)
    broken: Callable[[Event], bool] = lambda event: False
    begun: int = 0
    takes_runs: bool = False
    joins: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def save(self, type: str, events: Sequence[Event], *, more: bool = False) -> None:
        self.begun += 1
        await self.gate.wait()
        await self.ping()
        for index, event in enumerate(events):
            if event.id in self.refused:
                raise InvalidEvent("The event has expired.", field="time").at(index)
        if any(map(self.broken, events)):
            raise RuntimeError("The store met a fault.")
        self.commits.append((type, list(events)))

    async def ping(self) -> None:
        if self.error is not None:
            raise self.error

    @property
    def events(self) -> MemoryEvents:
        return self

    @property
    def saves(self) -> list[list[Any]]:
        """The ids of each commit."""
        return [[event.id for event in events] for _, events in self.commits]

    @property
    def ids(self) -> list[Any]:
        """The ids of all commits."""
        return [id for ids in self.saves for id in ids]

    @property
    def stored(self) -> dict[Any, Any]:
        """The data by id; of equal ids the last counts."""
        return {event.id: event.data for _, events in self.commits for event in events}


class MemoryNames:
    """Groups of names in memory."""

    def __init__(self) -> None:
        self._groups: dict[str, list[str]] = {}

    async def claim(self, group: str, names: Sequence[str], limit: int) -> frozenset[str]:
        claimed = self._groups.setdefault(group, [])
        claimed += [name for name in dict.fromkeys(names) if name not in claimed][: limit - len(claimed)]
        return frozenset(claimed)
