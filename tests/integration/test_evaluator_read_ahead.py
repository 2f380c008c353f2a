"""Reading ahead: what is left to read of a bucket when it closes, and that it is what a scan reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from random import Random

import pytest
import pytest_asyncio

from cube.expression import parse_event
from cube.model.event import Event
from cube.model.made_id import make_id
from cube.model.tier import Span
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.read_ahead import ReadAhead
from evaluator.engine.reading import Reading, read_events
from tests.evaluator_running import DAY, Bench

TEN = 10_000
A_SECOND = 40
PATHS = frozenset({("v",), ("w",)})


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """A store and a pyramid that keeps blocks."""
    store = await open_store(tmp_path, "ahead")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, kept=BlockCache(10**7))
        yield bench
        await bench.pyramid.close()
    await store.close()


def second(number: int) -> list[Event]:
    """Return the events of a second, as a collector saves them together."""
    return [
        Event("test", DAY + 1000 * number + place, make_id(), {"v": number, "w": str(place % 3)})
        for place in range(A_SECOND)
    ]


def counted(made: Bench) -> list[int]:
    """Count from now on how many events are read for blocks."""
    found: list[int] = []
    assert made.blocks is not None
    made.blocks._read = found.append
    return found


async def test_of_a_bucket_that_closes_only_what_came_last_is_left(made: Bench) -> None:
    assert made.blocks is not None
    read, ahead = counted(made), ReadAhead(made.context, made.blocks)
    for number in range(10):
        await made.save(*second(number))
    assert await made.values("sum(test(v))", TEN, DAY, DAY + TEN) == [A_SECOND * 45]
    assert made.blocks.followed(DAY + TEN)

    for number in range(10, 19):
        await made.save(*second(number))
        await ahead.read(made.blocks.of("test"), DAY + 1000 * number + 999)
    assert sum(read) == A_SECOND * 19
    read.clear()
    await made.save(*second(19))
    expected = A_SECOND * sum(range(10, 20))
    assert await made.values("sum(test(v))", TEN, DAY, DAY + 2 * TEN) == [A_SECOND * 45, expected]
    assert sum(read) == A_SECOND

    read.clear()  # one that is late
    await made.save(*second(12), Event("test", DAY + 13_000, make_id(), {"v": 1000}))
    expected += A_SECOND * 12 + 1000
    assert await made.values("sum(test(v))", TEN, DAY, DAY + 2 * TEN) == [A_SECOND * 45, expected]
    assert sum(read) == A_SECOND + 1


async def test_what_closes_while_nobody_asks_is_read_too(made: Bench) -> None:
    assert made.blocks is not None
    read, ahead = counted(made), ReadAhead(made.context, made.blocks)
    await made.save(*second(0))
    await made.values("sum(test(v))", 60_000, DAY, DAY + TEN)
    await made.save(*second(61), *second(70), *second(119))
    await ahead.read(made.blocks.of("test"), DAY + 120_000)
    read.clear()
    assert await made.values("sum(test(v))", 60_000, DAY, DAY + 120_000) == [0, A_SECOND * 250]
    assert not read


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_read_ahead_is_in_the_order_of_a_scan(made: Bench, seed: int) -> None:
    """Or columns of one scan would stand beside those of another, each with its own order of equal times."""
    random = Random(seed)
    events = [event for number in range(3) for event in second(number)] * 4
    events = [Event("test", event.time, make_id(), {**event.data, "n": n}) for n, event in enumerate(events)]
    random.shuffle(events)
    saves: list[Sequence[Event]] = [events[place : place + 150] for place in range(0, 450, 150)]
    saves += [[event] for event in events[450:]]
    assert made.blocks is not None
    ahead = made.blocks.of("test").ahead
    for number, some in enumerate(saves):
        await made.save(*some)
        if number > 2 and number % 7:
            continue
        async with made.store.events.read() as session:
            reading = Reading(session, frozenset({("n",)}), nullcontext)
            _, whole = await read_events(reading, "test", Span(DAY, DAY + TEN), PATHS | {("n",)}, [].append)
            found = await ahead.read(reading, DAY, PATHS | {("n",)})
        assert found is not None
        assert found.times.tolist() == whole.times.tolist()
        for path in (*PATHS, ("n",)):
            column, other = found.packed["stored", path], whole.packed["stored", path]
            assert list(column.values) == list(other.values)


async def test_where_clients_give_ids_a_bucket_is_read_as_ever(made: Bench) -> None:
    assert made.blocks is not None
    ahead = ReadAhead(made.context, made.blocks)
    await made.save(*second(0))
    await made.values("sum(test(v))", TEN, DAY, DAY + TEN)
    await made.save(*second(10))
    await ahead.read(made.blocks.of("test"), DAY + 11_000)
    await made.save(Event("test", DAY + 12_000, "mine", {"v": 7}))
    assert await made.values("sum(test(v))", TEN, DAY, DAY + 2 * TEN) == [0, A_SECOND * 10 + 7]
    await made.save(Event("test", DAY + 12_000, "mine", {"v": 9}))
    assert await made.values("sum(test(v))", TEN, DAY, DAY + 2 * TEN) == [0, A_SECOND * 10 + 9]


async def test_events_that_are_deleted_and_come_again_with_other_data_are_read_again(made: Bench) -> None:
    """Whoever imports an export gives the ids that Cube made; and the number of the last pack comes again."""
    assert made.blocks is not None
    ahead, events = ReadAhead(made.context, made.blocks), second(10)
    await made.save(*second(0))
    await made.values("sum(test(v))", TEN, DAY, DAY + TEN)
    await made.save(*events)
    await ahead.read(made.blocks.of("test"), DAY + 11_000)
    span = Span(DAY + TEN, DAY + 2 * TEN)
    assert (await made.store.events.delete(parse_event("test"), span)).deleted == A_SECOND
    await made.save(*(Event("test", each.time, each.id, {"v": 1}) for each in events))
    assert await made.values("sum(test(v))", TEN, DAY, span.stop) == [0, A_SECOND]


async def test_who_has_asked_for_the_past_alone_is_not_followed(made: Bench) -> None:
    assert made.blocks is not None
    await made.save(*second(0))
    await made.values("sum(test(v))", TEN, DAY, DAY + TEN)
    assert made.blocks.followed(DAY + TEN + 90_000)
    assert not made.blocks.followed(DAY + TEN + 90_001)


async def test_events_far_ahead_of_now_are_left_out_and_nothing_else_is(made: Bench) -> None:
    """A sender whose clock is wrong does not switch off what is read ahead of its type."""
    assert made.blocks is not None
    read, ahead = counted(made), ReadAhead(made.context, made.blocks)
    far = Event("test", DAY + 5 * 3_600_000, make_id(), {"v": 7})
    await made.save(*second(0), far)
    await made.values("sum(test(v))", TEN, DAY, far.time + TEN)
    assert [blocks.type for blocks in made.blocks.followed(DAY + TEN)] == ["test"]
    await made.save(*second(10))
    await ahead.read(made.blocks.of("test"), DAY + 11_000)
    read.clear()
    assert await made.values("sum(test(v))", TEN, DAY, DAY + 2 * TEN) == [0, A_SECOND * 10]
    assert not read


async def test_who_has_asked_for_the_future_alone_is_not_followed(made: Bench) -> None:
    assert made.blocks is not None
    far = Event("test", DAY + 5 * 3_600_000, make_id(), {"v": 7})
    await made.save(far)
    await made.values("sum(test(v))", TEN, far.time, far.time + TEN)
    assert not made.blocks.followed(DAY + TEN)
    assert made.blocks.followed(far.time)
