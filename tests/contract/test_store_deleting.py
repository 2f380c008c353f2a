"""Deleting by an expression: what is selected goes, its buckets are raised, and nothing else changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cube.expression import parse_event
from cube.model.deletion import KEPT_MS, Deletion
from cube.model.event import ABSENT, Event
from cube.model.tier import HOUR, Span
from cube.store.deletion import Erasure
from cube.store.find import find
from cube.store.ports import DeletedSlice, Store

from .builders import T0, WHOLE, buckets, changed, event, numbers, rows
from .databases import Database

MINUTE = 60_000
SECOND = 1_000


def person(user: str, time: int = T0, id: Any = None) -> Event:
    return event(time, id, {"user": user, "n": time - T0})


async def delete(store: Store, text: str, span: Span = WHOLE) -> int:
    """Delete to the end, slice after slice."""
    deleted, start = 0, span.start
    while True:
        done = await store.events.delete(parse_event(text), Span(start, span.stop))
        deleted += done.deleted
        if done.following is None:
            return deleted
        start = done.following


async def left(store: Store) -> list[tuple[int, Any]]:
    return [(time - T0, data["user"]) for time, _, data in await rows(store)]


async def test_what_an_expression_selects_is_deleted_and_counted(store: Store) -> None:
    await store.events.save("test", [person("xy"[place % 2], T0 + place) for place in range(10)])

    assert await delete(store, 'test.eq(user, "x")') == 5
    assert await left(store) == [(place, "y") for place in range(1, 10, 2)]
    assert await delete(store, 'test.eq(user, "x")') == 0


async def test_a_span_bounds_what_is_deleted(store: Store) -> None:
    await store.events.save("test", [person("x", T0 + place) for place in range(10)])

    assert await delete(store, "test", Span(T0 + 2, T0 + 5)) == 3
    assert [time for time, _ in await left(store)] == [0, 1, 5, 6, 7, 8, 9]


async def test_a_pack_loses_some_of_its_events_and_keeps_the_others(store: Store) -> None:
    """Of many that came together, in a second: most stay packed, and as they were."""
    await store.events.save("test", [person(f"u{place % 20}", T0 + place) for place in range(120)])
    before = await rows(store)

    assert await delete(store, 'test.eq(user, "u7")') == 6
    assert await rows(store) == [row for row in before if row[2]["user"] != "u7"]
    assert await delete(store, "test.lt(n, 20)") == 19
    assert await delete(store, 'test.in(user, ["u1", "u2"])') == 10
    assert await rows(store) == [
        row for row in before if row[2]["user"] not in ("u1", "u2", "u7") and row[2]["n"] >= 20
    ]


async def test_the_buckets_of_what_is_deleted_are_raised_at_all_tiers_and_no_others(store: Store) -> None:
    await store.events.save("test", [person("x"), person("y", T0 + HOUR.step), person("x", T0 + MINUTE)])
    before = await numbers(store)

    await delete(store, 'test.eq(user, "x")')

    assert changed(before, await numbers(store)) == buckets(T0, T0 + MINUTE)


async def test_deleting_nothing_raises_nothing(store: Store) -> None:
    await store.events.save("test", [person("x")])
    before = await numbers(store)

    assert await delete(store, 'test.eq(user, "z")') == 0
    assert await numbers(store) == before


async def test_an_unknown_type_has_nothing_to_delete(store: Store) -> None:
    assert await store.events.delete(parse_event("other"), WHOLE) == DeletedSlice(0, None)
    await store.events.revise("other", WHOLE)


ODD: dict[str, Any] = {
    "one": {"a": 1}, "other": {"a": "o"}, "array": [{"a": 1}], "scalar": 1, "null": None,
    "absent": ABSENT, "scalars": [1, [1]], "text": "$a", "odd": {"a": None, "a.b": 1, "$c": {"%24": 0}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("test", len(ODD)),
        ("test(a)", 3),
        ("test.eq(a, 1)", 2),
        ('test.re(a, "^o")', 1),
        ('test.eq(["a.b"], 1)', 1),
    ],
)
async def test_data_of_any_kind_are_deleted_where_they_are_selected(
    store: Store, text: str, selected: int
) -> None:
    await store.events.save("test", [event(T0, id, value) for id, value in ODD.items()])
    async with store.events.read() as session:
        parts = find(session, parse_event(text), WHOLE, limit=None)
        found = {one.id async for part in parts for one in part}

    assert await delete(store, text) == len(found) == selected
    assert {id for _, id, _ in await rows(store)} == ODD.keys() - found


async def test_many_events_of_one_instant_are_deleted_in_slices(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cube.store.sqlite.events", "cube.store.mongo.events", "cube.store.mongo.removal"):
        monkeypatch.setattr(f"{module}.SLICE_EVENTS", 20)
    times = [T0] * 40 + [T0 + MINUTE] * 5
    await store.events.save("test", [person("xxy"[place % 3], time) for place, time in enumerate(times)])

    first = await store.events.delete(parse_event('test.eq(user, "x")'), WHOLE)

    assert first.deleted < 30
    assert first.following == T0
    assert first.deleted + await delete(store, 'test.eq(user, "x")') == 30
    assert {user for _, user in await left(store)} == {"y"}


async def test_a_count_counts_each_event_once_however_it_is_cut(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.store.selected_places.SLICE_SECONDS", 0.0)
    times = [T0 + place // 70 for place in range(300)]
    await store.events.save("test", [event(time, place, {"n": 1}) for place, time in enumerate(times)])
    erasure = Erasure(store, parse_event("test"), Span(T0, T0 + 4), "somebody", lambda: T0)
    counted, start = 0, T0
    while True:
        found = await erasure.count(start)
        counted += found.deleted
        if found.following is None:
            break
        assert found.following > start
        start = found.following

    assert counted == 280
    assert len(await rows(store)) == 300


async def test_what_is_replaced_meanwhile_is_judged_as_it_is_then(
    store: Store, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was found as x's, and is y's by the time that it would be deleted."""
    other = await database.open()
    await store.events.save("test", [person("x", T0, "a"), person("x", T0, "b"), person("x", T0, "c")])
    held = _hold_back_writes(store, monkeypatch)

    deleting = asyncio.create_task(store.events.delete(parse_event('test.eq(user, "x")'), WHOLE))
    await held.wait()
    await other.events.save("test", [person("y", T0, "a"), person("x", T0 + MINUTE, "b")])
    held.release.set()
    done = await deleting

    assert done.deleted == 1
    assert await left(store) == [(0, "y"), (MINUTE, "x")]


async def test_an_id_that_was_deleted_is_free_again(store: Store) -> None:
    await store.events.save("test", [person("x", T0, "a")])
    await delete(store, 'test.eq(user, "x")')

    await store.events.save("test", [event(T0 + HOUR.step, "a", {"user": "x"}, timed=False)])

    assert await left(store) == [(HOUR.step, "x")]


async def test_two_who_delete_the_same_delete_each_event_once(database: Database, store: Store) -> None:
    other = await database.open()
    await store.events.save("test", [person("xy"[place % 2], T0 + place) for place in range(100)])

    counts = await asyncio.gather(delete(store, 'test.eq(user, "x")'), delete(other, 'test.eq(user, "x")'))

    assert sum(counts) == 50
    assert {user for _, user in await left(store)} == {"y"}


async def test_what_has_expired_is_left_to_retention_and_its_metrics_stay(store: Store) -> None:
    await store.events.save("test", [person("x"), person("x", T0 + HOUR.step)])
    await store.events.expire("test", T0 + HOUR.step)
    before = await numbers(store)
    erasure = Erasure(store, parse_event('test.eq(user, "x")'), WHOLE, "somebody", lambda: T0)

    assert await erasure.count(WHOLE.start) == DeletedSlice(1, None)
    assert await delete(store, 'test.eq(user, "x")') == 1
    assert await left(store) == [(0, "x")]
    after = changed(before, await numbers(store))
    assert after[HOUR.step] == {T0 + HOUR.step}


async def test_revising_a_span_raises_what_it_touches_with_or_without_events(store: Store) -> None:
    times = [T0, T0 + MINUTE, T0 + 2 * MINUTE]
    await store.events.save("test", [person("x", time) for time in times])
    await delete(store, "test", Span(T0 + MINUTE, T0 + MINUTE + 1))
    before = await numbers(store)

    await store.events.revise("test", Span(T0 + MINUTE, T0 + 2 * MINUTE))

    assert changed(before, await numbers(store)) == buckets(T0 + MINUTE)


async def test_revising_finds_events_that_another_tool_wrote(database: Database, store: Store) -> None:
    await store.events.save("test", [person("x")])
    await database.fill("test", [person("y", T0 + HOUR.step)])
    before = await numbers(store)

    await store.events.revise("test", WHOLE)

    assert changed(before, await numbers(store)) == buckets(T0, T0 + HOUR.step)


async def test_revising_leaves_what_has_expired(store: Store) -> None:
    await store.events.save("test", [person("x"), person("x", T0 + HOUR.step)])
    await store.events.expire("test", T0 + HOUR.step)
    before = await numbers(store)

    await store.events.revise("test", WHOLE)

    assert changed(before, await numbers(store))[HOUR.step] == {T0 + HOUR.step}


async def test_deletions_are_kept_added_up_and_forgotten_after_their_days(store: Store) -> None:
    first = Deletion("test", 'test.eq(user, "x")', T0, T0 + 10, T0, "a", 3)
    again = Deletion("test", 'test.eq(user, "x")', T0 + 5, T0 + 10, T0 + 20, "b", 4)
    other = Deletion("other", "other", T0, T0 + 10, T0 + 30, "a", 1)
    assert await store.deletions.stamp("test") == 0
    stamps = set()
    for deletion in (first, again, other):
        await store.deletions.note(deletion)
        stamps.add((await store.deletions.stamp("test"), await store.deletions.stamp("other")))
    assert len(stamps) == 3

    joined = Deletion("test", 'test.eq(user, "x")', T0, T0 + 10, T0 + 20, "b", 7)
    assert await store.deletions.all() == [joined, other]

    late = Deletion("test", "test", T0, T0 + 10, T0 + 25 + KEPT_MS, "a", 0)
    await store.deletions.note(late)
    assert await store.deletions.all() == [other, late]


class _Held:
    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.release = asyncio.Event()

    async def wait(self) -> None:
        await self.reached.wait()


def _hold_back_writes(store: Any, monkeypatch: pytest.MonkeyPatch) -> _Held:
    """Let the next write of a store's deletion wait, between finding and deleting."""
    held = _Held()
    events = store.events
    if hasattr(events, "_commit"):
        commit = events._commit

        async def _commit(made: Any) -> None:
            held.reached.set()
            await held.release.wait()
            await commit(made)

        monkeypatch.setattr(events, "_commit", _commit)
        return held
    write = events._writer.write

    async def _write(*arguments: Any) -> Any:
        held.reached.set()
        await held.release.wait()
        return await write(*arguments)

    monkeypatch.setattr(events._writer, "write", _write)
    return held
