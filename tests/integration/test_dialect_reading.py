"""Searches of dialects over a real store: pages, counts, limits and what a key may see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.protocols.shared.dialect import Search
from collector.protocols.shared.reading import EventSearch, SearchLimits
from cube.errors import AccessDenied, Overloaded, Unavailable
from cube.expression import parse_event
from cube.model.environment import Caller, Environment, Key
from cube.model.event import Event
from cube.model.tier import Span
from cube.store.find import Found
from cube.store.ports import EventStore
from cube.store.sqlite import SqliteStore, open_store
from cube.web import Reply

ENVIRONMENT = Environment("test", "test")
ANYBODY = Caller(ENVIRONMENT)
LIMITS = SearchLimits()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await open_store(tmp_path, "test")
    await opened.events.save("a", [Event("a", i, i, {"n": i, "odd": i % 2 == 1}) for i in range(10)])
    yield opened
    await opened.close()


def search(expression: str = "a(*)", *, limit: int = 3, offset: int = 0) -> Search:
    def reply(found: Sequence[Found], total: int) -> Reply:
        return Reply.json({"ids": [one.id for one in found], "total": total})

    return Search(parse_event(expression), Span(0, 100), limit, offset, reply)


async def answered(
    events: EventStore, asked: Search, *, limits: SearchLimits = LIMITS, caller: Caller = ANYBODY
) -> tuple[list[Any], int]:
    answer = json.loads((await EventSearch(limits).answer(asked, events, caller)).body)
    return answer["ids"], answer["total"]


async def test_a_page_is_newest_first_and_knows_the_whole(store: SqliteStore) -> None:
    assert await answered(store.events, search()) == ([9, 8, 7], 10)
    assert await answered(store.events, search(offset=3)) == ([6, 5, 4], 10)
    assert await answered(store.events, search(offset=9)) == ([0], 10)


async def test_a_page_beyond_the_end_is_empty_and_still_knows_the_whole(store: SqliteStore) -> None:
    assert await answered(store.events, search(offset=10)) == ([], 10)
    assert await answered(store.events, search(offset=50)) == ([], 10)


async def test_a_filter_holds_for_the_page_and_the_count(store: SqliteStore) -> None:
    assert await answered(store.events, search("a(*).eq(odd, true)")) == ([9, 7, 5], 5)
    assert await answered(store.events, search("a(*).eq(n, 4)")) == ([4], 1)
    assert await answered(store.events, search("a(*).eq(n, 44)")) == ([], 0)


async def test_nothing_is_found_in_a_type_that_is_not_there(store: SqliteStore) -> None:
    assert await answered(store.events, search("b(*)")) == ([], 0)


async def test_a_page_ends_at_the_bound_of_events(store: SqliteStore) -> None:
    assert await answered(store.events, search(limit=8), limits=SearchLimits(events=2)) == ([9, 8], 10)


async def test_a_page_ends_with_the_event_that_fills_its_bytes(store: SqliteStore) -> None:
    size = len('{"n":9,"odd":true}')
    assert await answered(store.events, search(limit=8), limits=SearchLimits(bytes=size + 1)) == ([9, 8], 10)
    assert await answered(store.events, search(limit=8), limits=SearchLimits(bytes=1)) == ([9], 10)


async def test_a_key_for_other_types_finds_nothing(store: SqliteStore) -> None:
    caller = Caller(ENVIRONMENT, Key("k", b"", "test", types=frozenset({"b"})))
    with pytest.raises(AccessDenied, match="Got the type a; the key accepts b"):
        await answered(store.events, search(), caller=caller)


async def test_a_keys_filter_holds_for_its_searches(store: SqliteStore) -> None:
    caller = Caller(ENVIRONMENT, Key("k", b"", "test", filter="eq(odd, true).gt(n, 4)"))
    assert await answered(store.events, search(), caller=caller) == ([9, 7, 5], 3)
    assert await answered(store.events, search("a(*).eq(n, 4)"), caller=caller) == ([], 0)


@pytest.mark.parametrize("filter", ["eq(odd, true", 're(name, "(")'])
async def test_nothing_is_found_with_a_key_whose_filter_cannot_be_read(
    store: SqliteStore, filter: str
) -> None:
    caller = Caller(ENVIRONMENT, Key("k", b"", "test", filter=filter))
    with pytest.raises(AccessDenied, match="The filter of this key cannot be read"):
        await answered(store.events, search(), caller=caller)


async def test_a_store_that_is_away_is_told(tmp_path: Path) -> None:
    opened = await open_store(tmp_path, "gone")
    await opened.close()
    with pytest.raises(Unavailable):
        await answered(opened.events, search())


async def test_a_search_that_takes_too_long_is_ended(store: SqliteStore) -> None:
    with pytest.raises(Overloaded, match="longer than 0.02 s"):
        await answered(SlowEvents(store), search(), limits=SearchLimits(seconds=0.02))


async def test_searches_beyond_the_bound_wait_their_turn(store: SqliteStore) -> None:
    events = SlowEvents(store)
    reading = EventSearch(SearchLimits(searches=1))
    asked = [asyncio.create_task(reading.answer(search(), events, ANYBODY)) for _ in range(2)]
    await asyncio.wait_for(events.entered.wait(), 10)
    await asyncio.sleep(0)
    assert events.open == 1
    events.go.set()
    assert [json.loads(reply.body)["total"] for reply in await asyncio.gather(*asked)] == [10, 10]
    assert events.most == 1


class SlowEvents:
    """The events of a real store, whose queries wait to begin until they may."""

    def __init__(self, store: SqliteStore) -> None:
        self._events = store.events
        self.entered, self.go = asyncio.Event(), asyncio.Event()
        self.open = self.most = 0

    @asynccontextmanager
    async def read(self, *options: Any) -> AsyncIterator[Any]:
        self.open += 1
        self.most = max(self.most, self.open)
        self.entered.set()
        try:
            await self.go.wait()
            async with self._events.read(*options) as session:
                yield session
        finally:
            self.open -= 1
