"""How much memory may be held: by events that wait for the store, and by texts that are decoded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from cube.errors import Overloaded
from cube.process.threads import Condition

DECODING_SHARE = 16
"""Of all bodies and messages held, this part at most is decoded at once, of each kind of way in."""


@dataclass(slots=True, eq=False)
class Usage:
    """What waits of one type in one environment."""

    events: int = 0
    bytes: int = 0


class Quota:
    """A bound that all intakes of a process share: so many events, and bytes of JSON text, may wait.

    A type that has something waiting may hold no more than what is still free: one that floods gets
    half of it all, two get a third each, and some is always left for a type that has nothing waiting
    (the dynamic threshold of Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998).
    What is larger than a bound is taken when nothing else waits. ``eased``: is notified whenever something
    waits no more.
    """

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self.events = 0
        self.bytes = 0
        self._max_events = max_events
        self._max_bytes = max_bytes
        self.eased = Condition()

    def is_ample(self, events: int, size: int) -> bool:
        """Tell whether so many events and bytes more may wait, of whichever types: half would be free then.

        Who holds all of less than half holds less than what is free.
        """
        return 2 * (self.events + events) <= self._max_events and 2 * (self.bytes + size) <= self._max_bytes

    def fits(self, wanted: Iterable[tuple[Usage, int, int]]) -> bool:
        """Tell whether so many events and bytes more, each for a usage, may wait."""
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
            not usage.events
            or (usage.events + more <= free_events and usage.bytes + more_bytes <= free_bytes)
            for usage, more, more_bytes in wanted
        )

    def overloaded(self) -> Overloaded:
        """Return the error for what does not fit."""
        return Overloaded(
            f"{self.events} events ({self.bytes} bytes) are waiting to be stored, and no more may wait, of"
            " this type or at all; send again later."
        )

    def take(self, usage: Usage, events: int, size: int) -> None:
        """Note what begins to wait."""
        usage.events += events
        usage.bytes += size
        self.events += events
        self.bytes += size

    def give_back(self, usage: Usage, events: int, size: int) -> None:
        """Note what waits no more."""
        self.take(usage, -events, -size)
        self.eased.notify()


class DecodingQuota:
    """Bounds the bytes of texts that are being decoded, or are decoded and not handed over yet.

    What was decoded takes many times the memory of its text, until the intake has it. Whoever comes next
    waits, in order of arrival, with its text alone; one that is larger than ``limit`` is decoded when
    nothing else is. Texts of no more than ``free`` bytes do not wait.
    """

    def __init__(self, limit: int, *, free: int = 0) -> None:
        self.held = 0
        self._limit = limit
        self._free = free
        self._first = asyncio.Lock()  # fair: of those who wait, the first alone waits for room
        self._eased = Condition()

    def of(self, size: int) -> _Decoding:
        """Decode a text of so many bytes in this block, and hand over what it holds."""
        return _Decoding(self, size)

    async def enter(self, size: int) -> None:
        """Wait until so many bytes more may be decoded."""
        if self.enter_at_once(size):
            return
        async with self._first:
            await self._eased.wait_for(lambda: self._fits(size))
            self.held += size

    def enter_at_once(self, size: int) -> bool:
        """Decode so many bytes more if nobody has to be waited for; tells whether it may be done."""
        if size > self._free:
            if self._first.locked() or not self._fits(size):
                return False
            self.held += size
        return True

    def leave(self, size: int) -> None:
        """Note that so many bytes are handed over."""
        if size > self._free:
            self.held -= size
            self._eased.notify()

    def _fits(self, size: int) -> bool:
        return not self.held or self.held + size <= self._limit


class _Decoding:
    """One text's block; a class, because the making of a generator for it takes as long as a small event."""

    __slots__ = ("_quota", "_size")

    def __init__(self, quota: DecodingQuota, size: int) -> None:
        self._quota = quota
        self._size = size

    async def __aenter__(self) -> None:
        await self._quota.enter(self._size)

    async def __aexit__(self, *_: object) -> None:
        self._quota.leave(self._size)
