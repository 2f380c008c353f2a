"""What was deleted while it waited in a spool is not stored, and nothing else is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collector.ingest.spooling import SpoolingWriter
from cube.errors import Unavailable
from cube.expression import parse_event
from cube.model.deletion import Deletion
from cube.model.event import Event
from cube.model.made_id import make_id
from cube.model.tier import EVER
from cube.spool import Replayer, Spool
from cube.store.deletion import Erasure, StoredDeletions
from cube.store.ports import Store
from cube.store.sqlite import open_store
from tests.contract.builders import rows
from tests.stores import StoreProxy

X = parse_event('a.eq(user, "x")')


class AwayStore(StoreProxy):
    """A store that may be away, and whose saves a test may hold up, before or after they are done."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.is_away = False
        self.slow, self.done = asyncio.Event(), asyncio.Event()
        self.slow.set()
        self.done.set()
        self.ping = self._ping  # type: ignore[method-assign]

    async def before(self, call: str, *_: Any) -> None:
        if call == "events.save":
            if self.is_away:
                raise Unavailable("The store is away.")
            await self.slow.wait()

    async def after(self, call: str) -> None:
        if call == "events.save":
            await self.done.wait()

    async def _ping(self) -> None:
        if self.is_away:
            raise Unavailable("The store is away.")


class Stage:
    """A spooling writer before a store that may be away, and a clock for both."""

    def __init__(self, store: AwayStore, spool: Spool, now: list[int], patience_seconds: float) -> None:
        self.store = store
        self.spool = spool
        self.now = now
        replayer = Replayer(
            store.events.save,
            spool,
            on_stored=lambda _: None,
            on_refused=lambda events, reason: pytest.fail(reason),
            deletions=StoredDeletions(store),
        )
        self.writer = SpoolingWriter(
            store, spool, replayer, patience_seconds=patience_seconds, look_seconds=0.05
        )

    async def save(self, **users: str) -> None:
        await self.writer.save("a", [Event("a", 0, id, {"user": user}) for id, user in users.items()])

    async def delete(self) -> int:
        """Delete x's events, at the present time."""
        erasure = Erasure(self.store, X, EVER, "somebody", lambda: self.now[0])
        await erasure.begin()
        return (await erasure.delete(EVER.start)).deleted

    async def until_empty(self) -> None:
        async with asyncio.timeout(20):
            while self.spool.events or self.writer.away:  # noqa: ASYNC110 - counts are polled
                await asyncio.sleep(0.005)

    async def stored(self) -> list[Any]:
        return [id for _, id, _ in await rows(self.store, "a")]


@pytest.fixture
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """With a parameter, its patience in seconds."""
    now = [1_000]
    store = AwayStore(await open_store(tmp_path / "data", "test"))
    spool = await Spool.open(
        tmp_path, "db", "mark", limit_bytes=2**20, clock=lambda: now[0], on_damage=lambda _: None
    )
    made = Stage(store, spool, now, getattr(request, "param", 20.0))
    yield made
    store.slow.set()
    store.done.set()
    await made.writer.close()
    await store.close()


async def test_what_was_deleted_while_it_waited_is_not_stored(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.store.is_away = True
    await stage.save(one="x", two="y", three="x")
    stage.now[0] = 2_000
    assert await stage.delete() == 0
    stage.now[0] = 3_000
    await stage.save(four="x")

    with caplog.at_level(logging.INFO, "cube.spool.replayer"):
        stage.store.is_away = False
        await stage.until_empty()

    assert await stage.stored() == ["four", "two"]
    assert "2 events in the spool were deleted before they were stored" in caplog.text


async def test_what_is_deleted_while_it_is_replayed_is_deleted_after_that(stage: Stage) -> None:
    """The replay has read the deletions, and not saved yet, when somebody deletes."""
    stage.store.is_away = True
    await stage.save(one="x", two="y")
    stage.store.slow.clear()
    held = asyncio.Event()
    before = stage.store.before

    async def noted(call: str, *arguments: Any) -> None:
        if call == "events.save" and not stage.store.is_away:
            held.set()
        await before(call, *arguments)

    stage.store.before = noted  # type: ignore[method-assign]
    stage.store.is_away = False
    await asyncio.wait_for(held.wait(), 20)
    stage.now[0] = 2_000
    assert await stage.delete() == 0
    stage.store.slow.set()
    await stage.until_empty()

    assert await stage.stored() == ["two"]


@pytest.mark.parametrize("stage", [0.05], indirect=True)
async def test_what_a_slow_commit_stored_after_a_deletion_is_deleted(stage: Stage) -> None:
    stage.store.slow.clear()
    await stage.save(one="x", two="y")
    assert stage.spool.events == 2
    stage.now[0] = 2_000
    assert await stage.delete() == 0
    stage.store.slow.set()
    await stage.until_empty()

    assert await stage.stored() == ["two"]


async def test_of_a_shared_span_only_what_came_before_is_deleted(stage: Stage) -> None:
    """What was sent again later is another event, though it looks the same."""
    same = [make_id(), make_id()]
    await stage.store.deletions.note(Deletion("a", 'a.eq(user,"x")', 0, 10, 1_500, "somebody", 1))
    await stage.store.events.save("a", [Event("a", 0, same[0], {"user": "x"})])
    arrived = [(1_000, Event("a", 0, same[1], {"user": "x"})), (2_000, Event("a", 0, same[0], {"user": "x"}))]

    assert await StoredDeletions(stage.store).of(arrived) == {0}
    assert await stage.stored() == [same[0]]


async def test_an_expression_that_cannot_be_read_stops_no_replay(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.store.deletions.note(Deletion("a", "a.of_another_version(", 0, 10, 1_500, "somebody", 1))

    assert (
        await StoredDeletions(stage.store).of([(1_000, Event("a", 0, "one", {"user": "x"}))]) == frozenset()
    )
    assert "comes back from spools" in caplog.text
