"""What the followers of one expression are given at a look: what is due, and what has come late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from cube.model.span import Span
from cube.model.tier import TEN_SECONDS
from cube.store.ports import Revisions
from cube.store.slices import in_thread
from evaluator.streams.reader import Reading
from evaluator.streams.subscriber import Follower
from evaluator.streams.window import Arrival, Window, merged

FOREIGN_LATE_MS = 60_000
"""Late events of a foreign type are looked for so far back only: without revisions all is read again."""

TAKEN_BUCKETS = 60
"""So many buckets are read at once, at most."""

TAKEN_EVENTS = 5_000
"""Where more events than these came of some buckets, fewer buckets are read at once."""

LATE_SECONDS = 1.0
"""For so long a look reads buckets for late events, those first that were not read for longest: what is due
waits for no more."""

DUE_EVENTS = 20_000
"""So many events that are due are given at once; then their clients read before there are more."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who follows an expression: ``newcomers`` have not had their first events yet."""

    followers: set[Follower] = field(default_factory=set)
    newcomers: dict[Follower, asyncio.Task[None]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.followers or self.newcomers)

    @property
    def all(self) -> list[Follower]:
        """Everybody."""
        return [*self.followers, *self.newcomers]

    @property
    def aimed(self) -> list[Follower]:
        """Those who have an edge."""
        return [follower for follower in self.all if follower.is_aimed]

    def fail(self, error: Exception) -> None:
        """End it for everybody."""
        for follower in self.all:
            follower.fail(error)


class Look:
    """Offers to an audience what its window has not met, and delivers what is due.

    ``due_bytes``: about so many bytes of what is due are given at once.
    """

    def __init__(self, window: Window, audience: Audience, due_bytes: int) -> None:
        self._window = window
        self._audience = audience
        self._due_bytes = due_bytes
        self._looks = 0

    async def give(
        self, reading: Reading, revisions: Revisions, followers: Sequence[Follower], now: int
    ) -> bool:
        """Give out what is due, and what has come late; tell whether more is due already.

        ``revisions``: of all that the followers watch, read in this session. First come the buckets in which
        something is due; for those with late events there are `LATE_SECONDS`.
        """
        numbers = self._numbers(revisions, followers, now)
        changed = self._window.changed(numbers)
        due = _due(followers, now)
        urgent = [bucket for bucket in changed if any(bucket in span for span in due)]
        await self._take(reading, urgent, numbers)
        is_more = await self._deliver(reading, followers, now)
        rest = [bucket for bucket in changed if not any(bucket in span for span in due)]
        await self._take(reading, rest, numbers, seconds=LATE_SECONDS)
        for follower in followers:
            follower.look_back(now, settled=not self._window.has_past)
        return is_more

    async def take_in(self, reading: Reading) -> None:
        """Take in what is past, the latest first, and offer it as what is in doubt.

        Some of it may have come since a follower's first events were found; and a MongoDB shows an event
        before its bucket's revision tells of it.
        """
        at_once = 1
        while some := self._window.past(at_once):
            hull = [Span(some[-1], some[0] + TEN_SECONDS.step)]
            numbers = (await reading.revisions(hull)).numbers
            met = await reading.met_in(some, numbers)
            async with reading.time_slice():
                contents = await in_thread(None, self._window.compare, some, met)
            taken = self._window.take_past(contents, numbers)
            for follower in self._audience.all:
                for content in taken:
                    follower.offer(content.fresh, doubtful=True)
                follower.flush()
            at_once = _grown(at_once, met)

    async def _take(
        self,
        reading: Reading,
        buckets: Sequence[int],
        numbers: Mapping[int, int],
        seconds: float = float("inf"),
    ) -> None:
        """Read buckets that have changed, some at a time, and offer what is new in them."""
        at_once, began = 1, asyncio.get_running_loop().time()
        while buckets and asyncio.get_running_loop().time() - began < seconds:
            some, buckets = buckets[:at_once], buckets[at_once:]
            met = await reading.met_in(some, numbers)
            async with reading.time_slice():
                contents = await in_thread(None, self._window.compare, some, met)
            self._window.take(contents, numbers)
            for follower in self._audience.all:
                for content in contents.values():
                    follower.offer(content.fresh)
            at_once = _grown(at_once, met)
        for follower in self._audience.followers:
            follower.flush()

    async def _deliver(self, reading: Reading, followers: Iterable[Follower], now: int) -> bool:
        """Give what is due to all who read; those at the same edge share it, the furthest come first."""
        groups: dict[tuple[int, int], list[Follower]] = {}
        for follower in followers:
            if follower.is_ready and follower.edge < follower.target(now):
                groups.setdefault((follower.edge, follower.target(now)), []).append(follower)
        is_more = False
        for edge, target in sorted(groups, reverse=True):
            is_more |= await self._deliver_to(groups[edge, target], reading, Span(edge, target))
        return is_more

    async def _deliver_to(self, members: Sequence[Follower], reading: Reading, span: Span) -> bool:
        count = size = 0
        async with aclosing(reading.in_order(span)) as parts:
            async for part in parts:
                self._pass_on(members, part, part[-1].time + 1)
                count, size = count + len(part), size + sum(arrival.size for arrival in part)
                if count >= DUE_EVENTS or size >= self._due_bytes:
                    return True
        self._pass_on(members, [], span.stop)
        return False

    def _pass_on(self, members: Iterable[Follower], part: Sequence[Arrival], edge: int) -> None:
        due = self._window.held(part)
        doubtful = [each for each in due if self._window.is_past(TEN_SECONDS.floor(each.time))]
        for follower in members:
            follower.deliver(due, edge, doubtful=doubtful)
            follower.flush()

    def _numbers(self, revisions: Revisions, followers: Iterable[Follower], now: int) -> Mapping[int, int]:
        if not revisions.foreign:
            return revisions.numbers
        self._looks += 1  # a number that differs each time, so that all is read again
        return dict.fromkeys(foreign(followers, now), self._looks)


def watched(followers: Iterable[Follower], now: int) -> list[Span]:
    """Return the spans of all buckets in which there may be something for some followers."""
    return merged(follower.watched(now) for follower in followers)


def _due(followers: Iterable[Follower], now: int) -> list[Span]:
    """Return the spans of the buckets in which something is due, or was only just."""
    return merged(
        TEN_SECONDS.cover(Span(follower.edge - TEN_SECONDS.step, follower.target(now)))
        for follower in followers
        if follower.is_ready
    )


def foreign(followers: Iterable[Follower], now: int) -> list[int]:
    """Return the buckets that are read for followers of a foreign type."""
    spans = (
        Span(max(span.start, TEN_SECONDS.floor(follower.edge - FOREIGN_LATE_MS)), span.stop)
        for follower, span in ((follower, follower.watched(now)) for follower in followers)
    )
    return [bucket for span in merged(spans) for bucket in TEN_SECONDS.buckets(span)]


def _grown(at_once: int, met: Sequence[Arrival]) -> int:
    return min(2 * at_once, TAKEN_BUCKETS) if len(met) <= TAKEN_EVENTS else 1
