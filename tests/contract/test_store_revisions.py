"""Revisions: they change with the events of their bucket, and only the marker speaks for empty ones."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from cube.model.event import Event
from cube.model.tier import CACHED_TIERS, DAY, HOUR, TEN_SECONDS, WEEK, Span, Tier
from cube.store.ports import Revisions, Store

from .builders import T0, WHOLE, buckets, changed, data, event, numbers, revisions, rows
from .databases import Database

SECOND, MINUTE = 1_000, 60_000
NOTHING: Mapping[int, set[int]] = {tier.step: set() for tier in CACHED_TIERS}


async def test_an_unknown_type_has_no_revisions_and_is_not_complete(store: Store) -> None:
    assert await revisions(store, TEN_SECONDS) == Revisions({}, False, None, False)


async def test_a_first_save_gives_the_touched_buckets_a_revision_at_every_cached_tier(store: Store) -> None:
    times = (T0, T0 + 9_999, T0 + 10_000, T0 + 61 * MINUTE)
    await store.events.save("test", [event(time) for time in times])

    assert {step: set(found) for step, found in (await numbers(store)).items()} == buckets(*times)


async def test_a_save_changes_the_touched_buckets_and_no_others(store: Store) -> None:
    await store.events.save("test", [event(T0 + i * 10 * SECOND) for i in range(30)])
    before = await numbers(store)

    await store.events.save("test", [event(T0 + 25 * SECOND), event(T0 + 299 * SECOND)])

    assert changed(before, await numbers(store)) == buckets(T0 + 25 * SECOND, T0 + 299 * SECOND)


async def test_a_late_event_changes_every_tier(store: Store) -> None:
    await store.events.save("test", [event(T0 + 20 * SECOND)])
    before = await numbers(store)

    await store.events.save("test", [event(T0)])

    assert changed(before, await numbers(store)) == buckets(T0)


async def test_saving_the_same_event_again_changes_its_buckets(store: Store) -> None:
    same = event(T0, "a", {"i": 1})
    await store.events.save("test", [same])
    before = await numbers(store)

    await store.events.save("test", [same])

    assert changed(before, await numbers(store)) == buckets(T0)


async def test_a_move_changes_the_buckets_it_leaves_and_those_it_enters(store: Store) -> None:
    left, entered = T0, T0 + 59 * MINUTE
    await store.events.save("test", [event(left, "a"), event(entered, "b"), event(T0 + 30 * MINUTE, "c")])
    before = await numbers(store)

    await store.events.save("test", [event(entered, "a")])

    assert changed(before, await numbers(store)) == buckets(left, entered)


async def test_a_move_of_a_made_id_changes_the_buckets_it_leaves(store: Store) -> None:
    first = event(T0)
    await store.events.save("test", [first])
    before = await numbers(store)

    await store.events.save("test", [event(T0 + MINUTE, first.id)])

    assert changed(before, await numbers(store)) == buckets(T0, T0 + MINUTE)


async def test_a_replacement_without_time_changes_the_bucket_where_it_stays(store: Store) -> None:
    await store.events.save("test", [event(T0, "a", 1)])
    before = await numbers(store)

    await store.events.save("test", [event(T0 + 90 * MINUTE, "a", 2, timed=False)])

    after = changed(before, await numbers(store))
    assert all(after[step] >= starts for step, starts in buckets(T0).items())


async def test_revisions_of_one_type_do_not_change_with_another(store: Store) -> None:
    await store.events.save("test", [event(T0)])
    before = await numbers(store)

    await store.events.save("other", [event(T0)])

    assert changed(before, await numbers(store)) == NOTHING


async def test_a_revision_is_never_zero_and_never_comes_back(store: Store) -> None:
    seen: list[int] = []
    for _ in range(20):
        await store.events.save("test", [event(T0)])
        seen.append((await revisions(store, HOUR)).numbers[T0])

    assert 0 not in seen
    assert len(set(seen)) == len(seen)


async def test_two_types_do_not_count_alike(store: Store) -> None:
    """A revision that counted from 1 would match an old cached value after a restore."""
    await store.events.save("one", [event(T0)])
    await store.events.save("two", [event(T0)])

    assert (await revisions(store, HOUR, "one")).numbers != (await revisions(store, HOUR, "two")).numbers


@pytest.mark.parametrize("tier", CACHED_TIERS, ids=lambda tier: tier.name)
async def test_revisions_are_those_of_a_half_open_span(store: Store, tier: Tier) -> None:
    start = tier.floor(T0)
    await store.events.save("test", [event(start + i * tier.step) for i in range(5)])

    found = await revisions(store, tier, span=Span(start + tier.step, start + 4 * tier.step))

    assert sorted(found.numbers) == [start + i * tier.step for i in (1, 2, 3)]


@pytest.mark.parametrize("tier", CACHED_TIERS, ids=lambda tier: tier.name)
async def test_revisions_are_read_across_chunks_and_before_1970(store: Store, tier: Tier) -> None:
    starts = [tier.origin + i * tier.step for i in (-721, -720, -361, -360, -1, 0, 359, 360, 719, 720)]
    await store.events.save("test", [event(start) for start in starts])

    found = await revisions(store, tier, span=Span(starts[0], starts[-1] + tier.step))

    assert sorted(found.numbers) == starts


async def test_weeks_begin_on_monday(store: Store) -> None:
    await store.events.save("test", [event(T0)])

    monday = T0 - DAY.step
    assert set((await revisions(store, WEEK)).numbers) == {monday}


async def test_a_type_is_complete_from_its_first_save(store: Store) -> None:
    await store.events.save("test", [event(T0)])

    found = await revisions(store, TEN_SECONDS)
    assert (found.complete, found.known, found.expired_before) == (True, True, None)


async def test_a_type_that_another_tool_filled_is_not_complete(database: Database, store: Store) -> None:
    await database.fill("test", [event(T0, "theirs")])

    found = await revisions(store, TEN_SECONDS)
    assert (found.complete, found.known) == (False, True)


async def test_a_save_into_a_filled_type_does_not_complete_it(database: Database, store: Store) -> None:
    await database.fill("test", [event(T0, "theirs")])
    await store.events.save("test", [event(T0 + MINUTE, "ours")])

    assert not (await revisions(store, TEN_SECONDS)).complete
    assert [id for _, id, _ in await rows(store)] == ["theirs", "ours"]


async def test_a_build_raises_every_bucket_with_events_and_completes_the_type(
    database: Database, store: Store
) -> None:
    times = [T0 - 1, T0, T0 + 11 * SECOND, T0 + HOUR.step]
    await database.fill("test", [event(time) for time in times])

    await store.events.build("test")

    assert {step: set(found) for step, found in (await numbers(store)).items()} == buckets(*times)
    assert (await revisions(store, TEN_SECONDS)).complete


async def test_a_build_of_a_complete_type_changes_nothing(store: Store) -> None:
    await store.events.save("test", [event(T0)])
    before = await numbers(store)

    await store.events.build("test")

    assert await numbers(store) == before


async def test_a_build_of_an_unknown_type_does_nothing(store: Store) -> None:
    await store.events.build("test")

    assert await revisions(store, TEN_SECONDS) == Revisions()


async def test_builds_and_saves_at_once_leave_every_bucket_raised(database: Database, store: Store) -> None:
    await database.fill("test", [event(T0 + i * MINUTE, i) for i in range(50)])
    saved = [event(T0 + i * MINUTE + 30 * SECOND, 100 + i) for i in range(50)]

    await asyncio.gather(
        store.events.build("test"),
        store.events.build("test"),
        *(store.events.save("test", [one]) for one in saved),
    )

    times = [T0 + i * 30 * SECOND for i in range(100)]
    found = await revisions(store, TEN_SECONDS, span=Span(T0, T0 + HOUR.step))
    assert found.complete
    assert set(found.numbers) == {TEN_SECONDS.floor(time) for time in times}


async def test_the_expiry_only_rises(store: Store) -> None:
    await store.events.save("test", [event(T0)])
    for before in (T0, T0 + MINUTE, T0 - MINUTE):
        await store.events.expire("test", before)

    assert (await revisions(store, TEN_SECONDS)).expired_before == T0 + MINUTE


async def test_an_expiry_does_not_make_a_type(store: Store) -> None:
    await store.events.expire("test", T0)

    found = await revisions(store, TEN_SECONDS)
    assert (found.known, found.expired_before) == (False, T0)


async def test_a_type_that_expired_before_its_first_save_is_complete_after_it(store: Store) -> None:
    await store.events.expire("test", T0)
    await store.events.save("test", [event(T0)])

    assert (await revisions(store, TEN_SECONDS)).complete


async def test_a_refused_save_raises_nothing(store: Store) -> None:
    await store.events.save("test", [event(T0)])
    await store.events.expire("test", T0)
    before = await numbers(store)

    with pytest.raises(Exception, match="expired"):
        await store.events.save("test", [event(T0 + MINUTE), event(T0 - 1)])

    assert await numbers(store) == before


async def test_events_and_revisions_outlive_the_store_object(database: Database, store: Store) -> None:
    await store.events.save("test", [event(T0, "a", 1)])
    before = await numbers(store)
    await store.close()

    again = await database.open()

    assert await numbers(again) == before
    assert await data(again) == {(1, "a"): 1}


async def test_a_span_of_all_time_has_the_revisions_of_all_time(store: Store) -> None:
    saved: list[Event] = [event(WHOLE.start), event(WHOLE.stop - 1)]
    await store.events.save("test", saved)

    found = await revisions(store, DAY, span=DAY.cover(WHOLE))

    assert set(found.numbers) == {DAY.floor(one.time) for one in saved}
