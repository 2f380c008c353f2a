"""Deletions on a MongoDB, where deleting and raising are two writes: somebody may die between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cube.expression import parse_event
from cube.store import mongo
from cube.store.mongo.store import MongoStore
from cube.store.ports import DeletedSlice
from tests.contract.builders import T0, WHOLE, buckets, changed, event, numbers, rows
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server"]

X = parse_event('test.eq(user, "x")')
MINUTE = 60_000


class Died(BaseException):
    """A process ends here."""


@pytest.fixture
async def stores(mongo_server: MongoServer) -> AsyncIterator[tuple[MongoStore, MongoStore]]:
    """One database, opened by two processes."""
    name = mongo_server.database()
    opened = [await mongo.open_store(mongo_server.url, name) for _ in range(2)]
    yield opened[0], opened[1]
    for store in opened:
        await store.close()
    mongo_server.forget(name)


def dies_before_it_raises(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def commit(made: Any) -> None:
        await made.write(store.events._notes.process)
        raise Died

    monkeypatch.setattr(store.events, "_commit", commit)


async def test_what_the_dead_have_deleted_is_raised_by_who_deletes_the_same(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though there is nothing left to delete; long before a sweep takes the other one for dead."""
    dead, living = stores
    await living.events.save("test", [event(T0, "a", {"user": "x"}), event(T0 + MINUTE, "b", {"user": "y"})])
    before = await numbers(living)
    dies_before_it_raises(dead, monkeypatch)
    with pytest.raises(Died):
        await dead.events.delete(X, WHOLE)
    assert [id for _, id, _ in await rows(living)] == ["b"]
    assert await numbers(living) == before

    assert await living.events.delete(X, WHOLE) == DeletedSlice(0, None)

    raised = changed(before, await numbers(living))
    assert all(raised[step] >= wanted for step, wanted in buckets(T0).items())


async def test_an_event_that_somebody_was_moving_is_gone_where_it_was_as_well(
    stores: tuple[MongoStore, MongoStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer has put it elsewhere, and not raised where it was, when it is deleted."""
    dead, living = stores
    await living.events.save("test", [event(T0, "a", {"user": "x"})])
    before = await numbers(living)
    dies_before_it_raises(dead, monkeypatch)
    with pytest.raises(Died):
        await dead.events.save("test", [event(T0 + 30 * MINUTE, "a", {"user": "x"})])

    assert (await living.events.delete(X, WHOLE)).deleted == 1

    raised = changed(before, await numbers(living))
    assert all(raised[step] >= wanted for step, wanted in buckets(T0, T0 + 30 * MINUTE).items())
    assert await rows(living) == []
