"""Shared scans: many questions over a bucket that has closed, computed in one pass, and each as if alone."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cube.expression import canonical_text, parse_metric
from cube.expression.nodes import Reduction
from cube.model.event import Event
from cube.model.grid import grid_of
from cube.model.made_id import make_id
from cube.model.tier import HOUR, MINUTE, TEN_SECONDS, Span
from cube.process.threads import Condition
from cube.settings import EvaluatorLimits
from cube.store.sqlite import open_store
from evaluator.engine import shared_scan
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.kept_series import SeriesCache
from evaluator.engine.read_ahead import ReadAhead
from evaluator.engine.series import ReductionJob
from evaluator.engine.shared_scan import SharedScan
from evaluator.engine.shared_scans import SharedScans
from evaluator.query.limits import LimitExceeded
from evaluator.scheduling.scheduler import QueryCost
from tests.evaluator_running import DAY, Bench, event, plain
from tests.golden.reference import ALL, Reference

TEN = 10_000
ASKED = (
    *(f"sum(test(v).eq(w,'{number}'))" for number in range(20)),
    "median(test(v))",
    "quantile(0.9,test(v).ne(w,'3'))",
    "distinct(test(w))",
    "mean(test(v))",
    "max(test(v).gt(v,3))",
    "count(test(v).eq(w,'none'))",
)


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """An evaluator that keeps blocks and series, and no more than a megabyte of partial results."""
    store = await open_store(tmp_path, "shared")
    with ThreadPoolExecutor(2) as executor:
        limits = EvaluatorLimits(memory_bytes=1_000_000)
        bench = Bench(store, executor, limits, kept=BlockCache(10**7), series=SeriesCache(10**6))
        yield bench
        await bench.pyramid.close()
    await store.close()


class Begun(list[SharedScan]):
    """The shared scans that have begun."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = Condition()

    async def until(self, count: int) -> None:
        """Return when there are so many."""
        await self.changed.wait_for(lambda: len(self) >= count)

    async def until_joined(self, count: int) -> None:
        """Return when so many take part in them."""
        await self.changed.wait_for(lambda: sum(len(each.parts) for each in self) >= count)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Begun:
    found = Begun()
    scan, until = SharedScans._scan, SharedScan.until

    async def noted(self: SharedScans, key: object, shared: SharedScan) -> None:
        found.append(shared)
        found.changed.notify()
        await scan(self, key, shared)  # type: ignore[arg-type]  # handed on as it came

    async def joined(self: SharedScan, values: asyncio.Future[BucketValues | None]) -> BucketValues | None:
        found.changed.notify()
        return await until(self, values)

    monkeypatch.setattr(SharedScans, "_scan", noted)
    monkeypatch.setattr(SharedScan, "until", joined)
    return found


def second(number: int) -> list[Event]:
    """Return the events of a second, as a collector saves them together."""
    return [
        Event("test", DAY + 1000 * number + place, make_id(), {"v": place % 9, "w": str(place % 21)})
        for place in range(50)
    ]


async def closed(made: Bench) -> list[Event]:
    """Have a bucket of 10 s asked for, and the next one read ahead, and closed; return all events."""
    assert made.blocks is not None
    ahead, events = ReadAhead(made.context, made.blocks), [*second(0), *second(5)]
    await made.save(*events)
    for text in ASKED:
        await made.series(text, TEN, DAY, DAY + TEN)
    for number in range(10, 20):
        events += second(number)
        await made.save(*second(number))
        if number < 19:
            await ahead.read(made.blocks.of("test"), DAY + 1000 * number + 999)
    made.seen.clear()
    return events


async def test_what_many_ask_of_a_bucket_that_closed_is_one_scan(made: Bench, shared: Begun) -> None:
    reference = Reference()
    reference.save(await closed(made))
    shared.clear()
    span = Span(DAY, DAY + 2 * TEN)
    found = await asyncio.gather(*(made.series(text, TEN, span.start, span.stop) for text in ASKED))
    for text, series in zip(ASKED, found, strict=True):
        assert plain(series.default) == reference.evaluate(parse_metric(text), TEN_SECONDS, span)[ALL], text
    # The first question reads revisions at once, and all others together; its scan may have begun by then.
    assert len(shared) <= 2
    assert sum(len(each.parts) for each in shared) == len(ASKED)
    assert made.seen.finds == ["revisions of 10 seconds"] * 2  # nobody has looked for cached values
    assert not made.seen.scans


async def test_every_answer_has_every_event(made: Bench, shared: Begun) -> None:
    drawn, reference = random.Random(66), Reference()
    grid = grid_of(TEN)
    for turn in range(15):
        events = [
            event(DAY + drawn.randrange(6) * 5_000, {"v": drawn.randrange(9), "w": drawn.choice("123")})
            for _ in range(drawn.choice((1, 8, 30)))
        ]
        await made.save(*events)
        reference.save(events)
        span = Span(DAY, DAY + drawn.choice((1, 2, 3)) * TEN)
        asked = drawn.sample(ASKED, 8)
        await made.series("sum(test(if(eq(w,'1'),v,v)))", TEN, span.start, span.stop)  # reads
        found = await asyncio.gather(*(made.series(text, TEN, span.start, span.stop) for text in asked))
        for text, series in zip(asked, found, strict=True):
            expected = reference.evaluate(parse_metric(text), grid, span)[ALL]
            assert plain(series.default) == expected, f"{turn}: {text}"
    assert max(len(each.parts) for each in shared) > 1


async def test_who_is_over_a_bound_fails_alone(made: Bench, shared: Begun) -> None:
    events = [event(DAY + place, {"v": 1, "w": f"{place:0>500}"}) for place in range(2_500)]
    await made.save(*events, *second(10))
    await made.series("sum(test(v).ne(w,''))", TEN, DAY, DAY + TEN)
    groups = "sum(test(v)).group(w)"  # whose names take more than what one may hold
    shared.clear()
    outcomes = await asyncio.gather(
        *(made.series(text, TEN, DAY, DAY + TEN) for text in (*ASKED, groups)), return_exceptions=True
    )
    assert len(shared) <= 2
    assert sum(len(each.parts) for each in shared) == len(ASKED) + 1
    assert isinstance(outcomes[-1], LimitExceeded)
    assert not any(isinstance(each, BaseException) for each in outcomes[:-1])


async def test_a_scan_that_fails_is_done_alone_by_each(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed(made)

    async def refuse(*_: object) -> None:
        raise LimitExceeded("too much", reason="memory")

    monkeypatch.setattr(SharedScans, "_scan", refuse)
    found = await asyncio.gather(*(made.values(text, TEN, DAY, DAY + 2 * TEN) for text in ASKED[20:]))
    assert all(len(values) == 2 for values in found)


async def test_a_fault_of_a_scan_is_told(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed(made)

    async def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(SharedScans, "_scan", fail)
    with pytest.raises(ZeroDivisionError):
        await made.values(ASKED[0], TEN, DAY, DAY + 2 * TEN)


async def test_who_goes_away_takes_nobody_along(made: Bench, shared: Begun) -> None:
    await closed(made)
    shared.clear()
    async with made.scheduler.time_slice(QueryCost()):  # so that none of it can be done meanwhile
        tasks = [asyncio.create_task(made.values(text, TEN, DAY, DAY + 2 * TEN)) for text in ASKED[20:]]
        await shared.until(2)
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        assert not shared[1].task.done()
    for task in (tasks[0], *tasks[2:]):
        assert len(await task) == 2


async def test_a_scan_that_nobody_waits_for_is_ended(made: Bench, shared: Begun) -> None:
    await closed(made)
    shared.clear()
    async with made.scheduler.time_slice(QueryCost()):
        tasks = [asyncio.create_task(made.values(text, TEN, DAY, DAY + 2 * TEN)) for text in ASKED[20:]]
        await shared.until(2)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await asyncio.wait([shared[1].task])
    assert shared[1].task.cancelled()
    assert await made.values("mean(test(v))", TEN, DAY, DAY + TEN) is not None


async def test_who_comes_before_the_first_block_takes_part(made: Bench, shared: Begun) -> None:
    await closed(made)
    shared.clear()
    async with made.scheduler.time_slice(QueryCost()):  # so that no block can come
        tasks = [asyncio.create_task(made.values("sum(test(v).ne(w,'x'))", TEN, DAY + TEN, DAY + 2 * TEN))]
        await shared.until(1)
        for text in ("max(test(v).ne(w,'x'))", "distinct(test(w).ne(w,'x'))", "sum(test.ge(v,1))"):
            tasks.append(asyncio.create_task(made.values(text, TEN, DAY + TEN, DAY + 2 * TEN)))
            await shared.until_joined(len(tasks))
    for task in tasks:
        assert len(await task) == 1
    assert [len(each.parts) for each in shared] == [4]


async def test_who_needs_other_columns_or_revisions_has_a_scan_of_its_own(made: Bench, shared: Begun) -> None:
    await made.save(*(event(DAY + place, {"v": place, "w": "1", "x": 2}, place) for place in range(9)))
    await made.series("sum(test(v).eq(w,'1').ge(x,1))", TEN, DAY, DAY + TEN)  # reads
    shared.clear()
    async with made.scheduler.time_slice(QueryCost()):
        tasks = [asyncio.create_task(made.values("max(test(v))", TEN, DAY, DAY + TEN))]
        await shared.until(1)
        tasks += [asyncio.create_task(made.values("max(test(x))", TEN, DAY, DAY + TEN))]
        await shared.until(2)
        await made.save(event(DAY + 50, {"v": 99, "w": "1", "x": 99}, "late"))
        assert made.blocks is not None
        tasks += [asyncio.create_task(made.values("min(test(v))", TEN, DAY, DAY + TEN))]
        await made.seen.until_finds(4)
    assert [await task for task in tasks] in ([[8], [2], [0]], [[99], [99], [0]])
    assert await made.values("max(test(v))", TEN, DAY, DAY + TEN) == [99]
    assert [len(each.parts) for each in shared[:2]] == [1, 1]


async def test_others_have_their_turn_between_its_pieces(
    made: Bench, shared: Begun, monkeypatch: pytest.MonkeyPatch
) -> None:
    await closed(made)
    shared.clear()
    monkeypatch.setattr(shared_scan, "PIECE_SECONDS", 0.0)  # each part is a piece
    pieces: list[int] = []
    piece = shared_scan._piece

    def counted(left: deque[Any]) -> int:
        done = piece(left)
        pieces.append(done)
        return done

    monkeypatch.setattr(shared_scan, "_piece", counted)
    seen: list[int] = []

    async def ask_now_and_then() -> None:
        while True:
            async with made.scheduler.time_slice(QueryCost()):
                seen.append(len(pieces))
            await asyncio.sleep(0)

    other = asyncio.create_task(ask_now_and_then())
    await asyncio.gather(*(made.values(text, TEN, DAY, DAY + 2 * TEN) for text in ASKED))
    other.cancel()
    assert set(pieces) == {1}
    assert len(pieces) == 2 * len(ASKED)
    assert len(set(seen)) > len(pieces) // 2


async def test_blocks_that_are_in_memory_share_pieces(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_scan, "PIECE_SECONDS", 1e6)
    start, stop = DAY, DAY + 4 * HOUR.step
    await made.save(*(event(start + place * MINUTE.step, {"v": place, "w": "x"}) for place in range(240)))
    await made.series("sum(test(v).ne(w,''))", MINUTE, start, stop)  # reads
    pieces: list[int] = []
    piece = shared_scan._piece

    def counted(left: deque[Any]) -> int:
        done = piece(left)
        pieces.append(done)
        return done

    monkeypatch.setattr(shared_scan, "_piece", counted)
    assert await made.values("sum(test(v).ge(v,0))", MINUTE, start, stop) == list(range(240))
    assert pieces == [5]  # four blocks, and the values


async def test_what_each_has_had_is_its_own(made: Bench) -> None:
    await closed(made)
    scans, costs = made.pyramid._shared_scans, [QueryCost(TEN) for _ in range(3)]
    assert scans is not None
    revisions = await made.pyramid.revisions("test", TEN_SECONDS, Span(DAY, DAY + 2 * TEN))
    jobs = []
    for text in ASKED[20:23]:
        tree = parse_metric(text)
        assert isinstance(tree, Reduction)
        jobs.append(ReductionJob(tree, canonical_text(tree), TEN_SECONDS, None))
    await asyncio.gather(
        *(scans.values(job, revisions.numbers, cost) for job, cost in zip(jobs, costs, strict=True))
    )
    assert all(cost.seconds > 0 for cost in costs)
