"""A bounded cache of segments that a scan of more than it holds does not empty.

A segmented LRU (Karedla, Love and Wherry, "Caching strategies to improve disk system performance", 1994):
what is new is on trial in a quarter of the memory, what was used again is kept in the rest. Plain LRU holds
nothing of events that are asked for again and again, in order, where all of them do not fit: each segment
is evicted just before its turn. So while there is room, what has left its trial is kept, too.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeAlias

TRIAL_SHARE = 0.25


class Sized(Protocol):
    """What is kept, by identity."""

    @property
    def bytes(self) -> int: ...


Evict: TypeAlias = Callable[..., None]


class BlockCache:
    """The segments of all types and stores of a process, within a bound of bytes.

    Whoever adds one says how it is evicted: that drops it here.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._bound = memory_bytes
        self._trial = _Queue()
        self._kept = _Queue()

    @property
    def bytes(self) -> int:
        """What all of them take."""
        return self._trial.bytes + self._kept.bytes

    def use(self, segment: Sized) -> None:
        """Keep a segment longer than those that were used before, or once."""
        if segment in self._kept:
            self._kept.move_to_end(segment)
        elif segment in self._trial:
            self._kept.take(segment, self._trial.drop(segment))
            while self._kept.bytes > self._room and len(self._kept) > 1:
                oldest = self._kept.oldest
                self._trial.take(oldest, self._kept.drop(oldest))

    def add(self, segment: Sized, evict: Evict) -> None:
        """Take a segment in, and have others evicted where they are too many; itself, if it never fits."""
        self._trial.take(segment, evict)
        if segment.bytes > self._bound:
            evict(segment)
        while self.bytes > self._bound:
            queue = self._trial if len(self._trial) > 1 or not self._kept else self._kept
            oldest = queue.oldest
            if queue is self._trial and len(queue) > 1 and self._kept.bytes + oldest.bytes <= self._room:
                self._kept.take(oldest, queue.drop(oldest))
            else:
                queue[oldest](oldest)

    def drop(self, segment: Sized) -> None:
        """Let go of a segment that is held."""
        (self._kept if segment in self._kept else self._trial).drop(segment)

    @property
    def _room(self) -> float:
        return (1 - TRIAL_SHARE) * self._bound


class _Queue(OrderedDict[Sized, Evict]):
    """Segments in the order of their last use, with how each is evicted."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    @property
    def oldest(self) -> Sized:
        return next(iter(self))

    def take(self, segment: Sized, evict: Evict) -> None:
        self[segment] = evict
        self.bytes += segment.bytes

    def drop(self, segment: Sized) -> Evict:
        self.bytes -= segment.bytes
        return self.pop(segment)
