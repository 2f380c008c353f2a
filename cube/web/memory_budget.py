"""What messages that have come in part, and answers, may hold together, of all connections.

A WebSocket's frame has to be here as a whole before it can be read, an answer is written as a whole before
any of it is sent, and stays until its client has read it. Nothing hurries any of them, and ten thousand
would hold more than any machine has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from cube.errors import Overloaded


class Holder(Protocol):
    """A connection or an answer, as far as it matters here."""

    def cut(self) -> bool:
        """End it, and release what it holds, from any thread; tells whether it is a connection."""


class MemoryBudget:
    """Bounds what is held of messages and answers that have not ended; ``held``: how many bytes now.

    Where it is over ``limit``, those that hold most are cut, and `on_cut` is told of each connection.
    May be used from any thread.
    """

    def __init__(self, limit: int, on_cut: Callable[[], None]) -> None:
        self.held = 0
        self.limit = limit
        self._on_cut = on_cut
        self._sizes: dict[Holder, int] = {}
        self._lock = threading.Lock()

    def hold(self, holder: Holder, size: int) -> None:
        """Note how many bytes a connection or an answer holds now."""
        with self._lock:
            self._note(holder, size)
            cut = self._over()
        for one in cut:
            if one.cut():
                self._on_cut()

    def _note(self, holder: Holder, size: int) -> None:
        self.held += size - self._sizes.pop(holder, 0)
        if size:
            self._sizes[holder] = size

    def _over(self) -> list[Holder]:
        """Take out those that hold most, as many as must be."""
        cut: list[Holder] = []
        while self.held > self.limit:
            largest = max(self._sizes, key=self._sizes.__getitem__)
            self._note(largest, 0)
            cut.append(largest)
        return cut


class Reservation:
    """What one answer holds while it is made; `dropped` releases it once others need the room more.

    ``refusal``: what is raised then.
    """

    def __init__(
        self, budget: MemoryBudget, dropped: Callable[[], None], refusal: Callable[[int], Overloaded]
    ) -> None:
        self._budget = budget
        self._dropped = dropped
        self._refusal = refusal
        self._is_cut = False
        self._is_whole = False
        self._size = 0
        self._lock = threading.Lock()

    def grow(self, more: int) -> None:
        """Hold so many bytes more; raises the refusal once it was cut."""
        self.check()
        self._size += more
        self._budget.hold(self, self._size)
        self.check()

    def shrink(self, less: int) -> None:
        if not self._is_cut:
            self._size -= less
            self._budget.hold(self, self._size)

    def complete(self) -> None:
        """Be whole: from now on it is not dropped any more. Raises the refusal where it was."""
        with self._lock:
            self.check()
            self._is_whole = True

    def cut(self) -> bool:
        """Grow no more; its client is told why."""
        with self._lock:
            if not self._is_whole:
                self._is_cut = True
                self._dropped()
        return False

    def release(self) -> None:
        self._budget.hold(self, 0)

    def check(self) -> None:
        """Raise the refusal where it was cut."""
        if self._is_cut:
            raise self._refusal(self._budget.limit)
