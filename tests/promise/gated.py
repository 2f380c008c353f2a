"""A gate before each call that others could come between: stores are taken through their interleavings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tests.promise.actors import gate
from tests.stores import StoreProxy

GATED = frozenset((
    "events.save", "events.delete", "events.read", "session.types", "session.revisions", "session.scan",
    "metrics.read", "metrics.save",
))  # fmt: skip


_DELETING: ContextVar[bool] = ContextVar("deleting", default=False)


@contextmanager
def deleting() -> Iterator[None]:
    """Have what is done in this block, a deletion, stop between finding events and deleting them."""
    token = _DELETING.set(True)
    try:
        yield
    finally:
        _DELETING.reset(token)


class GatedWriter:
    """The writer of an SQLite store, with a gate before each write of a deletion."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    async def write(self, *arguments: Any) -> Any:
        """Stand at the gate, and write."""
        if _DELETING.get():
            await gate()
        return await self._writer.write(*arguments)

    async def write_short(self, *arguments: Any, **options: Any) -> None:
        """Write: a save has gates of its own."""
        await self._writer.write_short(*arguments, **options)


class GatedStore(StoreProxy):
    """A `Store` with gates before these calls, and after each block of a scan.

    And after a read of revisions: what was found is on its way to whoever asked.
    """

    async def before(self, call: str, *_: Any) -> None:
        if call in GATED:
            await gate()

    async def after(self, call: str) -> None:
        if call == "session.revisions":
            await gate()

    async def after_block(self, *_: Any) -> None:
        await gate()
