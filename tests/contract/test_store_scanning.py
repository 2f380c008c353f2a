"""Scans: order, spans, fields, ids, and what a session sees."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cube.columns import Block
from cube.columns.column import stored
from cube.columns.values import Path
from cube.model.event import ABSENT
from cube.model.tier import Span
from cube.store.ports import Store

from .builders import T0, WHOLE, event, rows


async def _lengths(store: Store, span: Span = WHOLE) -> list[int]:
    async with store.events.read() as session:
        return [len(block) async for block in session.scan("test", span, ())]


async def test_an_unknown_type_has_no_blocks(store: Store) -> None:
    assert await _lengths(store) == []


async def test_a_scan_is_ordered_by_time(store: Store) -> None:
    await store.events.save("test", [event(T0 + i) for i in (5, 1, 4)])
    await store.events.save("test", [event(T0 + i) for i in (3, 0, 2)])

    assert [time for time, _, _ in await rows(store)] == [T0 + i for i in range(6)]


async def test_newest_first_turns_the_order(store: Store, many: int) -> None:
    await store.events.save("test", [event(T0 + i % (many // 2), i) for i in range(2 * many)])

    times = [time for time, _, _ in await rows(store, newest_first=True)]

    assert times == sorted(times, reverse=True)
    assert len(times) == 2 * many


async def test_a_span_is_half_open(store: Store) -> None:
    await store.events.save("test", [event(T0 + i, i) for i in range(-1, 12)])

    assert [id for _, id, _ in await rows(store, span=Span(T0, T0 + 10))] == list(range(10))


async def test_an_empty_span_has_no_events(store: Store) -> None:
    await store.events.save("test", [event(T0)])

    assert await rows(store, span=Span(T0, T0)) == []


async def test_many_events_of_one_time_are_each_given_once(store: Store, many: int) -> None:
    for part in range(4):
        await store.events.save("test", [event(T0, many * part + i) for i in range(many)])

    for newest_first in (False, True):
        found = await rows(store, newest_first=newest_first)
        assert sorted(id for _, id, _ in found) == list(range(4 * many))


async def test_many_events_come_in_blocks_of_bounded_size(store: Store, many: int) -> None:
    for part in range(7):
        await store.events.save("test", [event(T0 + part, data=i) for i in range(many)])

    lengths = await _lengths(store)

    assert sum(lengths) == 7 * many
    assert max(lengths) <= 65_536


async def test_large_data_come_in_small_blocks(store: Store) -> None:
    for part in range(8):
        await store.events.save("test", [event(T0 + part, data="x" * 900_000) for _ in range(8)])

    async with store.events.read() as session:
        lengths = [len(block) async for block in session.scan("test", WHOLE, None)]

    assert sum(lengths) == 64
    assert len(lengths) > 1


async def test_named_fields_are_there_and_absent_stays_absent(store: Store) -> None:
    await store.events.save(
        "test",
        [event(T0, 1, {"a": 1, "b": {"c": [2]}}), event(T0, 2, {"b": None}), event(T0, 3), event(T0, 4, [7])],
    )

    shown = [shown for _, _, shown in await rows(store, fields=("b",))]

    assert [value.get("b", ABSENT) for value in shown[:2]] == [{"c": [2]}, None]
    assert shown[2] is ABSENT
    assert shown[3] in ([7], [])  # what is not an object has no fields, and may be left out


async def test_without_fields_a_scan_gives_times_and_ids(store: Store) -> None:
    await store.events.save("test", [event(T0, 1, {"a": 1}), event(T0 + 1, "b", None)])

    assert [row[:2] for row in await rows(store, fields=())] == [(T0, 1), (T0 + 1, "b")]


async def test_ids_come_only_when_asked_for(store: Store) -> None:
    await store.events.save("test", [event(T0, 1)])

    async with store.events.read() as session:
        blocks = [block async for block in session.scan("test", WHOLE, None)]

    assert [block.ids for block in blocks] == [None]


async def test_a_scan_that_is_left_midway_leaves_its_session_usable(store: Store, many: int) -> None:
    for part in range(4):
        await store.events.save("test", [event(T0 + part, data={"i": i}) for i in range(many)])

    async with store.events.read() as session:
        async for block in session.scan("test", WHOLE, None):
            assert len(block)
            break
        assert await session.types() == ["test"]

    assert sum(await _lengths(store)) == 4 * many


async def test_a_scan_whose_reader_is_cancelled_leaves_the_store_usable(store: Store, many: int) -> None:
    await store.events.save("test", [event(T0 + i, data={"i": i}) for i in range(2 * many)])
    reading = asyncio.Event()

    async def read_forever() -> None:
        while True:
            reading.set()
            await rows(store)

    task = asyncio.create_task(read_forever())
    await reading.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert task.cancelled()
    assert len(await rows(store)) == 2 * many


async def test_two_sessions_read_at_once(store: Store) -> None:
    await store.events.save("test", [event(T0 + i, i) for i in range(5_000)])

    async with store.events.read() as one, store.events.read() as other:
        first = one.scan("test", WHOLE, ())
        second = other.scan("test", WHOLE, ())
        assert len(await anext(first)) == len(await anext(second)) > 0


async def test_many_sessions_at_once_all_answer(store: Store) -> None:
    await store.events.save("test", [event(T0 + i) for i in range(100)])

    found = await asyncio.gather(*(_lengths(store) for _ in range(50)))

    assert [sum(lengths) for lengths in found] == [100] * 50


async def test_a_session_sees_what_was_saved_before_it_began_though_it_reads_later(store: Store) -> None:
    await store.events.save("test", [event(T0, "before")])

    async with store.events.read() as session:
        await store.events.save("test", [event(T0, "meanwhile")])
        ids = [id async for block in session.scan("test", WHOLE, (), ids=True) for id in block.ids or ()]

    assert "before" in ids


async def test_a_long_session_is_no_bar_to_saving_or_to_later_sessions(store: Store) -> None:
    await store.events.save("test", [event(T0, "a")])

    async with store.events.read() as session:
        assert await session.types() == ["test"]
        await store.events.save("test", [event(T0, "b")])
        assert [id for _, id, _ in await rows(store)] == ["a", "b"]


async def test_packed_columns_are_those_of_the_blocks_of_a_scan(store: Store, many: int) -> None:
    for part in range(4):
        await store.events.save("test", [event(T0 + i, data={"n": i, "s": f"{part}"}) for i in range(many)])
    await store.events.save(
        "test", [event(T0 + 1, data=each) for each in (None, {"n": "1"}, {"n": [1]}, ABSENT)]
    )
    paths = frozenset[Path]({("n",), ("s",)})

    async with store.events.read() as session:
        plain = [block async for block in session.scan("test", WHOLE, ("n", "s"))]
        packed = [block async for blocks in session.packed("test", WHOLE, paths) for block in blocks]

    assert np.array_equal(_times(packed), _times(plain))
    for path in paths:
        values = [value for block in plain for value in stored(block, path).values]
        assert [value for block in packed for value in stored(block, path).values] == values


async def test_packed_columns_of_an_unknown_type_are_none(store: Store) -> None:
    async with store.events.read() as session:
        assert [blocks async for blocks in session.packed("test", WHOLE, {("n",)})] == []


def _times(blocks: Sequence[Block]) -> npt.NDArray[np.int64]:
    return np.concatenate([block.times for block in blocks])
