"""Event streams: the events that an expression selects, as they come.

One `Tail` per expression looks at the store once a period and serves all who follow it; each
follower has its own start, delay, lateness and limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from cube.expression import print_expression
from cube.store.find import Found
from evaluator.query.queries import EventQuery
from evaluator.streams.poller import Tail
from evaluator.streams.reader import Means
from evaluator.streams.subscriber import Follower


class Streams:
    """All streams of one store."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._tails: dict[str, Tail] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def follow(self, query: EventQuery) -> AsyncGenerator[list[Found], None]:
        """Yield first what there is from ``query.start``, then events as they come, ascending by time.

        An event comes once its time is ``delay`` past; one that is stored later than that, but within
        ``late``, comes once, out of order. A replaced event counts as new. A store that does not answer, and
        an evaluator that has no time, are asked again, forever. Raises `LimitExceeded` or `DeadlineExceeded`
        where the first events are over the bounds, `Overloaded` where the caller takes them too slowly.
        """
        name = print_expression(query.expression)
        tail = self._tails.get(name)
        if tail is None:
            tail = self._tails[name] = Tail(self._means, query.expression)
        follower = Follower(query, self._means.bounds.answer)
        tail.join(follower)
        try:
            while True:
                yield await follower.batch()
        finally:
            ending = tail.leave(follower)
            if ending is not None:
                del self._tails[name]
                self._ending |= ending
                for task in ending:
                    task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Return when the work of streams that have ended has released the store."""
        if self._ending:
            await asyncio.wait(self._ending)
