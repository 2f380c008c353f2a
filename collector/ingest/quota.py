"""What may wait in memory at once: in total, and of one type."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cube.errors import Overloaded


@dataclass(slots=True, eq=False)
class Account:
    """What waits of one type in one environment."""

    events: int = 0
    bytes: int = 0


class Budget:
    """A bound that all intakes of a process share: so many events, and bytes of JSON text, may wait.

    A type that has something waiting may hold no more than what is still free: one that floods gets
    half of it all, two get a third each, and some is always left for a type that has nothing waiting
    (the dynamic threshold of Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
    What is larger than a bound is taken when nothing else waits.
    """

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.events = 0
        self.bytes = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._eased = asyncio.Event()

    def fits(self, wanted: Iterable[tuple[Account, int, int]]) -> bool:
        """Tell whether so many events and bytes more, each for an account, may wait."""
        if not self.events:
            return True
        wanted = list(wanted)
        events = self.events + sum(events for _, events, _ in wanted)
        size = self.bytes + sum(size for _, _, size in wanted)
        if events > self._max_events or size > self._max_bytes:
            return False
        if 2 * events <= self._max_events and 2 * size <= self._max_bytes:
            return True  # who holds all of less than half holds less than what is free
        free_events, free_bytes = self._max_events - self.events, self._max_bytes - self.bytes
        return all(
            not account.events
            or (account.events + more <= free_events and account.bytes + more_bytes <= free_bytes)
            for account, more, more_bytes in wanted
        )

    def refusal(self) -> Overloaded:
        """Return the error for what does not fit."""
        return Overloaded(
            f"{self.events} events ({self.bytes} bytes) are waiting to be stored, and no more may wait, of"
            " this type or at all; send again later."
        )

    def take(self, account: Account, events: int, size: int) -> None:
        """Note what begins to wait."""
        account.events += events
        account.bytes += size
        self.events += events
        self.bytes += size

    def give_back(self, account: Account, events: int, size: int) -> None:
        """Note what waits no more."""
        account.events -= events
        account.bytes -= size
        self.events -= events
        self.bytes -= size
        self.ease()

    def ease(self) -> None:
        """Let those look again who wait for room."""
        self._eased.set()

    async def until(self, claim: Callable[[], bool]) -> None:
        """Return when a claim holds; it is asked whenever something waits no more."""
        while not claim():
            self._eased.clear()
            await self._eased.wait()
