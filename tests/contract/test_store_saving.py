"""Saving: what is there afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cube.errors import ExpiredEvent, InvalidEvent
from cube.model.event import ABSENT
from cube.model.event_run import EventRun
from cube.model.made_id import make_consecutive_ids
from cube.store.ports import Store

from .builders import T0, WHOLE, data, event, rows

MINUTE = 60_000


async def test_a_saved_event_is_there_for_every_session_that_begins_later(store: Store) -> None:
    await store.events.save("test", [event(T0, "a", {"i": 1})])

    assert await rows(store) == [(T0, "a", {"i": 1})]


async def test_a_run_is_saved_as_its_events_are(store: Store) -> None:
    run = EventRun("test", [T0, T0 + 1], make_consecutive_ids(2), b'[{"i":1},null]')
    await store.events.save("test", run)

    ids = run.ids()
    assert await rows(store) == [(T0, ids[0], {"i": 1}), (T0 + 1, ids[1], None)]


async def test_saving_nothing_makes_no_type(store: Store) -> None:
    await store.events.save("test", [])

    async with store.events.read() as session:
        assert await session.types() == []


async def test_an_event_with_a_stored_id_replaces_it(store: Store) -> None:
    await store.events.save("test", [event(T0, "a", {"i": 1})])
    await store.events.save("test", [event(T0, "a", {"i": 2})])

    assert await rows(store) == [(T0, "a", {"i": 2})]


async def test_a_replacement_moves_an_event_to_another_time(store: Store) -> None:
    await store.events.save("test", [event(T0, "a", 1), event(T0, "b", 1)])
    await store.events.save("test", [event(T0 + 90 * MINUTE, "a", 2)])

    assert await rows(store) == [(T0, "b", 1), (T0 + 90 * MINUTE, "a", 2)]


async def test_an_event_without_time_keeps_the_stored_time_of_its_id(store: Store) -> None:
    await store.events.save("test", [event(T0, "a", 1)])
    await store.events.save("test", [event(T0 + 90 * MINUTE, "a", 2, timed=False)])

    assert await rows(store) == [(T0, "a", 2)]


async def test_an_event_without_time_and_a_new_id_has_the_time_it_came(store: Store) -> None:
    await store.events.save("test", [event(T0, "a", 1, timed=False)])

    assert await rows(store) == [(T0, "a", 1)]


async def test_of_equal_ids_in_one_save_the_last_counts(store: Store) -> None:
    await store.events.save("test", [event(T0, 1, "first"), event(T0, "b"), event(T0 + MINUTE, 1, "last")])

    assert await rows(store) == [(T0, "b", ABSENT), (T0 + MINUTE, 1, "last")]


async def test_of_equal_ids_in_one_save_the_last_replaces_a_stored_one(store: Store) -> None:
    await store.events.save("test", [event(T0, "a", 0)])
    await store.events.save("test", [event(T0 + MINUTE, "a", 1), event(T0 + 2 * MINUTE, "a", 2)])

    assert await rows(store) == [(T0 + 2 * MINUTE, "a", 2)]


async def test_saving_made_ids_again_stores_nothing_twice(store: Store) -> None:
    events = [event(T0 + i, data={"i": i}) for i in range(700)]
    await store.events.save("test", events)
    await store.events.save("test", events)

    assert await rows(store) == [(one.time, one.id, one.data) for one in events]


async def test_a_save_of_old_and_new_ids_replaces_the_old_and_adds_the_new(store: Store) -> None:
    await store.events.save("test", [event(T0, f"id{i:04}", i) for i in range(0, 1_200, 2)])
    await store.events.save("test", [event(T0, f"id{i:04}", -i) for i in range(1_200)])

    assert sorted(await rows(store)) == [(T0, f"id{i:04}", -i) for i in range(1_200)]


async def test_ids_of_different_kinds_are_different(store: Store) -> None:
    made = b"123456789012"
    ids = [1, "1", 1.5, "1.5", made, made.decode(), made.hex(), -(2**63), 2**63 - 1, float(2**63), 1e300]
    await store.events.save("test", [event(T0, id, position) for position, id in enumerate(ids)])

    found = await rows(store)

    assert {(type(id), id): shown for _, id, shown in found} == {
        (type(id), id): position for position, id in enumerate(ids)
    }


async def test_numbers_are_equal_ids_by_value(store: Store) -> None:
    await store.events.save("test", [event(T0, 1, "integer")])
    await store.events.save("test", [event(T0, 1.0, "float")])

    assert [shown for _, _, shown in await rows(store)] == ["float"]


async def test_neighbouring_large_integers_are_different_ids(store: Store) -> None:
    ids = [2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1]
    await store.events.save("test", [event(T0, id) for id in ids])

    assert [id for _, id, _ in await rows(store)] == ids


async def test_the_same_id_in_two_types_is_two_events(store: Store) -> None:
    await store.events.save("one", [event(T0, "a", 1, type="one")])
    await store.events.save("two", [event(T0, "a", 2, type="two")])

    assert await rows(store, "one") == [(T0, "a", 1)]
    assert await rows(store, "two") == [(T0, "a", 2)]


async def test_absent_and_null_data_are_kept_apart(store: Store) -> None:
    await store.events.save("test", [event(T0, "absent"), event(T0, "null", None), event(T0, "object", {})])

    assert [shown for _, _, shown in await rows(store)] == [ABSENT, None, {}]


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1.5,
        True,
        "",
        "null",
        'naïve 😀 \u0000 "quoted" \\ \u2028',
        [],
        [1, [2, {"a": None}]],
        {"a": {"b": [True, False, None]}},
        {"low": -(2**63), "high": 2**63 - 1, "edge": 2**53 + 1},
        {"tiny": 5e-324, "huge": 1.7976931348623157e308, "third": 1 / 3},
        {"text": "x" * 900_000},
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_data_come_back_as_they_were_saved(store: Store, value: Any) -> None:
    await store.events.save("test", [event(T0, "a", value)])

    [(_, _, shown)] = await rows(store)
    assert shown == value
    assert type(shown) is type(value)


async def test_deep_data_come_back(store: Store) -> None:
    value: Any = 1
    for _ in range(25):
        value = {"a": [value]}
    await store.events.save("test", [event(T0, "a", value)])

    assert (await rows(store))[0][2] == value


async def test_text_ids_of_any_characters_come_back(store: Store) -> None:
    ids = ["x" * 512, "😀", "a\u0000b", " ", "$set", "a.b", "null", "'; DROP TABLE events_1"]
    await store.events.save("test", [event(T0, id) for id in ids])

    assert {id for _, id, _ in await rows(store)} == set(ids)


async def test_times_from_year_1_to_9999_come_back(store: Store) -> None:
    times = [WHOLE.start, -1, 0, 1, T0, WHOLE.stop - 1]
    await store.events.save("test", [event(time) for time in times])

    assert [time for time, _, _ in await rows(store)] == times


async def test_a_large_save_comes_back(store: Store, large: int) -> None:
    events = [event(T0 + i, i, {"i": i}) for i in range(large)]
    await store.events.save("test", events)

    assert await rows(store) == [(T0 + i, i, {"i": i}) for i in range(large)]


async def test_types_that_differ_only_by_case_are_kept_apart(store: Store) -> None:
    await store.events.save("request", [event(T0, "a", "lower")])
    await store.events.save("reQuest", [event(T0, "a", "upper")])

    assert await data(store, "request") == {(1, "a"): "lower"}
    assert await data(store, "reQuest") == {(1, "a"): "upper"}
    assert await rows(store, "requesT") == []


async def test_a_type_may_have_64_characters(store: Store) -> None:
    name = "t" * 64
    await store.events.save(name, [event(T0, "a", 1)])

    async with store.events.read() as session:
        assert await session.types() == [name]
    assert await rows(store, name) == [(T0, "a", 1)]


async def test_types_are_sorted_and_only_those_with_events(store: Store) -> None:
    for name in ("b", "a_b", "aB", "_a"):
        await store.events.save(name, [event(T0)])
    await store.events.expire("never", T0)

    async with store.events.read() as session:
        assert await session.types() == ["_a", "aB", "a_b", "b"]


async def test_concurrent_saves_are_all_kept(store: Store) -> None:
    await asyncio.gather(
        *(
            store.events.save(f"type{i % 3}", [event(T0 + i, f"{i}-{j}", j) for j in range(20)])
            for i in range(30)
        )
    )

    for number in range(3):
        assert len(await rows(store, f"type{number}")) == 200


async def test_events_before_the_expiry_are_refused_and_nothing_is_written(store: Store) -> None:
    await store.events.save("test", [event(T0, "stored")])
    await store.events.expire("test", T0)

    with pytest.raises(InvalidEvent) as caught:
        await store.events.save("test", [event(T0, "young"), event(T0 - 1, "old"), event(T0 - 2, "older")])

    assert caught.value.details["index"] == 1
    assert [id for _, id, _ in await rows(store)] == ["stored"]


async def test_an_event_at_the_expiry_is_taken(store: Store) -> None:
    await store.events.expire("test", T0)
    await store.events.save("test", [event(T0, "edge")])

    assert [id for _, id, _ in await rows(store)] == ["edge"]


async def test_one_refused_save_does_not_fail_those_beside_it(store: Store) -> None:
    await store.events.save("test", [event(T0, "first")])
    await store.events.expire("test", T0)

    outcomes = await asyncio.gather(
        store.events.save("test", [event(T0, "a")]),
        store.events.save("test", [event(T0 - 1, "old")]),
        store.events.save("test", [event(T0, "b")]),
        return_exceptions=True,
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), ExpiredEvent, type(None)]
    assert {id for _, id, _ in await rows(store)} == {"first", "a", "b"}


async def test_a_store_that_answers_is_pinged(store: Store) -> None:
    await store.ping()


async def test_a_sweep_with_nobody_dead_settles_nothing(store: Store) -> None:
    await store.events.save("test", [event(T0)])

    assert await store.events.sweep() == 0
