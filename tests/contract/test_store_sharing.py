"""Several processes on one database."""

from __future__ import annotations

import asyncio

from cube.model.tier import HOUR, TEN_SECONDS, Span
from cube.store.ports import Store

from .builders import T0, WHOLE, buckets, changed, event, numbers, revisions, rows
from .databases import Database

MINUTE = 60_000


async def test_what_one_process_saved_every_other_sees(database: Database, store: Store) -> None:
    other = await database.open()
    for number in range(10):
        await store.events.save("test", [event(T0, number)])
        assert len(await rows(other)) == number + 1


async def test_processes_may_open_a_new_database_at_once(database: Database) -> None:
    stores = await asyncio.gather(*(database.open() for _ in range(6)))

    await asyncio.gather(*(store.ping() for store in stores))


async def test_concurrent_first_saves_of_a_new_type_are_all_kept(database: Database, store: Store) -> None:
    stores = [store, await database.open(), await database.open()]

    await asyncio.gather(
        *(
            each.events.save("test", [event(T0 + i, f"{i}-{place}")])
            for place, each in enumerate(stores)
            for i in range(10)
        )
    )

    assert len(await rows(store)) == 30
    found = await revisions(stores[1], TEN_SECONDS)
    assert set(found.numbers) == {T0}


async def test_a_new_type_saved_by_two_processes_is_complete_or_built(
    database: Database, store: Store
) -> None:
    other = await database.open()
    await asyncio.gather(*(each.events.save("test", [event(T0)]) for each in (store, other)))

    await store.events.build("test")

    assert (await revisions(other, TEN_SECONDS)).complete


async def test_a_save_by_one_process_changes_the_revisions_that_another_reads(
    database: Database, store: Store
) -> None:
    other = await database.open()
    await store.events.save("test", [event(T0), event(T0 + MINUTE)])
    before = await numbers(other)

    await store.events.save("test", [event(T0)])

    assert changed(before, await numbers(other)) == buckets(T0)


async def test_concurrent_moves_of_one_id_leave_one_event(database: Database, store: Store) -> None:
    stores = [store, await database.open()]
    await store.events.save("test", [event(T0, "a", -1)])
    before = await numbers(store)

    await asyncio.gather(
        *(stores[i % 2].events.save("test", [event(T0 + i * MINUTE, "a", i)]) for i in range(1, 20))
    )

    [(time, id, moved)] = await rows(store)
    assert (id, time) == ("a", T0 + moved * MINUTE)
    after = changed(before, await numbers(store))
    assert {T0, TEN_SECONDS.floor(time)} <= after[TEN_SECONDS.step]


async def test_an_expiry_set_by_one_process_holds_for_every_other(database: Database, store: Store) -> None:
    other = await database.open()
    await store.events.save("test", [event(T0)])
    await store.events.expire("test", T0)

    assert (await revisions(other, HOUR)).expired_before == T0
    outcomes = await asyncio.gather(other.events.save("test", [event(T0 - 1)]), return_exceptions=True)
    assert "expired" in str(outcomes[0])


async def test_closing_one_store_leaves_the_others_open(database: Database, store: Store) -> None:
    other = await database.open()
    await other.events.save("test", [event(T0, "a")])
    await other.close()

    await store.events.save("test", [event(T0, "b")])

    assert [id for _, id, _ in await rows(store)] == ["a", "b"]


async def test_a_store_may_be_closed_twice(database: Database) -> None:
    store = await database.open()
    await store.close()
    await store.close()


async def test_scans_beside_saves_see_whole_events(database: Database, store: Store) -> None:
    other = await database.open()
    saves = [store.events.save("test", [event(T0 + i, i, {"i": i})]) for i in range(40)]

    async def read() -> None:
        for _ in range(10):
            for time, id, shown in await rows(other, span=Span(T0, WHOLE.stop)):
                assert (time, shown) == (T0 + int(id), {"i": id})

    await asyncio.gather(read(), *saves)
    assert len(await rows(other)) == 40
