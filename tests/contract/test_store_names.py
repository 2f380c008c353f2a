"""Groups of names, on every kind of store."""

from __future__ import annotations

import asyncio

from cube.store.ports import Store

from .databases import Database


async def test_a_group_takes_names_in_order_up_to_its_limit(store: Store) -> None:
    assert await store.names.claim("a", ["x", "y", "x", "z"], 2) == {"x", "y"}
    assert await store.names.claim("a", ["z", "y"], 2) == {"x", "y"}


async def test_names_that_are_there_are_claimed_again_for_nothing(store: Store) -> None:
    assert await store.names.claim("a", ["x"], 3) == {"x"}
    assert await store.names.claim("a", ["x", "y"], 3) == {"x", "y"}


async def test_groups_do_not_share_their_limit(store: Store) -> None:
    assert await store.names.claim("a", ["x"], 1) == {"x"}
    assert await store.names.claim("b", ["y"], 1) == {"y"}


async def test_asking_for_nothing_tells_what_there_is(store: Store) -> None:
    assert await store.names.claim("a", [], 5) == frozenset()


async def test_a_group_over_a_limit_that_was_lowered_stays_as_it_is(store: Store) -> None:
    await store.names.claim("a", ["x", "y"], 2)
    assert await store.names.claim("a", ["z"], 1) == {"x", "y"}


async def test_names_outlive_the_process(database: Database) -> None:
    first = await database.open()
    await first.names.claim("a", ["x"], 1)
    await first.close()
    assert await (await database.open()).names.claim("a", ["y"], 1) == {"x"}


async def test_processes_that_claim_at_once_keep_the_limit_together(database: Database) -> None:
    stores = [await database.open() for _ in range(4)]
    await asyncio.gather(
        *(
            store.names.claim("a", [f"name_{process}_{number}" for number in range(5)], 7)
            for process, store in enumerate(stores)
        )
    )
    seen = [await store.names.claim("a", ["late"], 7) for store in stores]
    assert {len(names) for names in seen} == {7}
    assert len(set(seen)) == 1
