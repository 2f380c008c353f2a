"""A gate before each call that others could come between: stores are taken through their interleavings."""

from __future__ import annotations

from typing import Any

from tests.promise.actors import gate
from tests.stores import StoreProxy

GATED = frozenset((
    "events.save", "events.read", "session.types", "session.revisions", "session.scan",
    "metrics.read", "metrics.save",
))  # fmt: skip


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
