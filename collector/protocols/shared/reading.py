"""Dialects that are asked, too: pages of events out of the store of the caller's environment."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace

from collector.protocols.shared.dialect import Search
from cube import json_text
from cube.columns.key_filter import filters_of
from cube.errors import Overloaded
from cube.model.environment import Caller
from cube.model.event import ABSENT
from cube.process.threads import run_in_thread
from cube.settings import DialectSettings
from cube.store.find import Found, count, find
from cube.store.ports import EventStore, ReadSession
from cube.store.read_options import ReadOptions
from cube.web import Reply


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """What one answer may cost; ``searches``: how many run at once, the others wait their turn."""

    events: int = DialectSettings().eye_events
    bytes: int = 16 * 2**20
    seconds: float = DialectSettings().eye_seconds
    searches: int = 4


class EventSearch:
    """Answers searches, within limits.

    A page ends early at ``limits.events``, or with the event that brings its JSON text to
    ``limits.bytes``: who asked sees from the count that there are more.
    """

    def __init__(self, limits: SearchLimits) -> None:
        self._limits = limits
        self._running = asyncio.Semaphore(limits.searches)

    async def answer(self, search: Search, events: EventStore, caller: Caller) -> Reply:
        """Find and count the events in one view of the store, and make the reply.

        Raises `AccessDenied` for a type that the caller's key is not for and for a filter of it that cannot
        be read, `Overloaded` where it takes too long, and `Unavailable`.
        """
        caller.check_type(search.expression.type)
        filters = (*search.expression.filters, *filters_of(caller))
        search = replace(search, expression=replace(search.expression, filters=filters))
        seconds = self._limits.seconds
        try:
            async with asyncio.timeout(seconds), self._running, events.read(ReadOptions(seconds)) as session:
                found, total = await self._page(search, session)
                if total is None:
                    total = await count(session, search.expression, search.span)
        except TimeoutError:
            raise Overloaded(
                f"The search took longer than {seconds:g} s, which is the limit;"
                " a shorter span of time takes less."
            ) from None
        return await run_in_thread(search.reply, found, total)

    async def _page(self, search: Search, session: ReadSession) -> tuple[list[Found], int | None]:
        """Return a page, and how many events the search has in all, where the page itself tells."""
        events: list[Found] = []
        left = self._limits.bytes
        limit = min(search.limit, self._limits.events)
        parts = find(session, search.expression, search.span, limit=limit, offset=search.offset)
        async with aclosing(parts):
            async for part in parts:
                fit, left = await run_in_thread(_fit, part, left)
                events += fit
                if left <= 0:
                    return events, None
        is_last = 0 < len(events) < limit or search.offset == 0 == len(events)
        return events, search.offset + len(events) if is_last else None


def _fit(part: list[Found], left: int) -> tuple[list[Found], int]:
    """Return the events up to the one that brings their JSON text to a number of bytes, and what is left."""
    for number, found in enumerate(part, 1):
        left -= 0 if found.data is ABSENT else len(json_text.encode(found.data))
        if left <= 0:
            return part[:number], left
    return part, left
