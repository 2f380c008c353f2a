"""Actors: tasks that stop at every gate until the test lets them on.

A gate stands before each step that other processes could come between (a read of revisions, a scan, a
write to the database). An actor that is never let on again is a process that was killed there: none of
its code runs any more. One that waits for another actor is blocked, and goes on when that one has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from contextvars import ContextVar
from typing import Any

_CURRENT: ContextVar[Actor | None] = ContextVar("actor", default=None)


class Actor:
    """One task of the scheduler; it begins in front of its first gate."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._changed = asyncio.Event()
        self._blocked = 0
        self._standing: list[asyncio.Future[None]] = []
        self._is_buried = False
        token = _CURRENT.set(self)
        self.task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(coroutine)
        _CURRENT.reset(token)

    @property
    def done(self) -> bool:
        """Whether the coroutine has ended."""
        return self.task.done()

    @property
    def stands(self) -> bool:
        """Whether it stands at a gate."""
        return any(not standing.done() for standing in self._standing)

    async def arrive(self) -> None:
        """Wait until the actor stands at a gate, is blocked or is done."""
        while not (self.done or self.stands or self._blocked):
            self._changed.clear()
            change = asyncio.ensure_future(self._changed.wait())
            try:
                await asyncio.wait({self.task, change}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                change.cancel()

    async def step(self) -> None:
        """Let the actor through its gate, and wait until it stands at the next, is blocked or is done."""
        await self.arrive()
        standing, self._standing = self._standing, []
        for let_on in standing:
            if not let_on.done():
                let_on.set_result(None)
        await self.arrive()

    async def finish(self) -> Any:
        """Let the actor through all its gates; return its result or raise its error."""
        while not self.done:
            await self.step()
        return self.task.result()

    async def bury(self) -> None:
        """Release what a killed actor still holds in this process, at the very end of a test."""
        self._is_buried = True  # its cleaning up meets no gates
        self.task.cancel()
        await asyncio.wait({self.task})
        if not self.task.cancelled():
            self.task.exception()

    async def stand(self) -> None:
        """Stand at a gate."""
        if self._is_buried:
            return
        let_on: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._standing.append(let_on)
        self._changed.set()
        await let_on

    async def block(self, other: Awaitable[object]) -> None:
        """Wait for what another actor does."""
        self._blocked += 1
        self._changed.set()
        try:
            await other
        finally:
            self._blocked -= 1


def current() -> Actor | None:
    """Return the actor that runs this."""
    return _CURRENT.get()


async def gate() -> None:
    """Stand still if an actor is running this; go through otherwise."""
    actor = _CURRENT.get()
    if actor is not None:
        await actor.stand()
