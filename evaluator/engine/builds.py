"""Builds of the revisions of types that another tool has filled, each shared by all who need it."""

from __future__ import annotations

import asyncio

from cube.store.ports import EventStore


class Builds:
    """The builds that are under way."""

    def __init__(self, events: EventStore) -> None:
        self._events = events
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def build(self, type: str) -> None:
        """Build a type's revisions, together with all who need them.

        It goes on when they have given up: the next who asks finds it done, or further.
        """
        task = self._tasks.get(type)
        if task is None:
            task = self._tasks[type] = asyncio.create_task(self._events.build(type))
            task.add_done_callback(lambda ended: self._end(type, ended))
        await asyncio.wait([task])
        task.result()

    async def close(self) -> None:
        """Cancel all, and return when they have released the store."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _end(self, type: str, task: asyncio.Task[None]) -> None:
        del self._tasks[type]
        if not task.cancelled():
            task.exception()  # who waits raises it; nobody may be left to
