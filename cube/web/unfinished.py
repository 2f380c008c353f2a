"""Messages that have come in part, and answers that have gone in part: how much all together may hold.

A WebSocket's frame has to be here as a whole before it can be read, and an answer stays until its client
has read it. Nothing hurries either, and ten thousand of them would hold more than any machine has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Holder(Protocol):
    """A connection, as far as it matters here."""

    def cut(self) -> None:
        """End it, and let go of what it holds."""


class Unfinished:
    """Bounds what connections hold of what has not ended; ``held``: how many bytes that is now.

    Where it is over ``limit``, those that hold most are closed, and `on_cut` is told of each.
    """

    def __init__(self, limit: int, on_cut: Callable[[], None]) -> None:
        self.held = 0
        self._limit = limit
        self._on_cut = on_cut
        self._sizes: dict[Holder, int] = {}

    def hold(self, connection: Holder, size: int) -> None:
        """Note how many bytes a connection holds now."""
        self.held += size - self._sizes.pop(connection, 0)
        if size:
            self._sizes[connection] = size
        while self.held > self._limit:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self.hold(largest, 0)
            self._on_cut()
            largest.cut()
