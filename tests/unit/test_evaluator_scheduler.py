"""The scheduler: whose piece of work is next, and what waits meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from cube.errors import Overloaded
from cube.settings import EvaluatorLimits
from evaluator.scheduling.priority_semaphore import ELDEST, PrioritySemaphore
from evaluator.scheduling.scheduler import OVERRUN_SECONDS, QUICK_SECONDS, QueryCost, Scheduler

LIMITS = EvaluatorLimits()


def cost(seconds: float = 0.0, reach: int = 0) -> QueryCost:
    made = QueryCost(reach)
    made.seconds = seconds
    return made


async def order_of(scheduler: Scheduler, *costs: QueryCost) -> list[int]:
    """The order in which costs that come in this order, while one has its time slice, get theirs."""
    served: list[int] = []

    async def work(number: int) -> None:
        async with scheduler.time_slice(costs[number]):
            served.append(number)

    async with asyncio.TaskGroup() as group, scheduler.time_slice(QueryCost()):
        for number in range(len(costs)):
            group.create_task(work(number))
            await asyncio.sleep(0)
    return served


async def test_the_query_that_has_had_the_least_is_next() -> None:
    assert await order_of(Scheduler(LIMITS), cost(3), cost(1), cost(2)) == [1, 2, 0]


async def test_of_new_queries_the_one_over_the_shortest_span_is_next() -> None:
    assert await order_of(Scheduler(LIMITS), cost(reach=9), cost(reach=1), cost(reach=5)) == [
        1,
        2,
        0,
    ]


async def test_the_next_time_slice_is_kept_for_a_query_that_is_not_long() -> None:
    """It needs many time slices; a long query waits until it has had them, not between any two."""
    scheduler, served = Scheduler(LIMITS), []

    async def work(own: QueryCost, pieces: int) -> None:
        for _ in range(pieces):
            async with scheduler.time_slice(own):
                served.append(own)
            await asyncio.sleep(0)

    long, quick = cost(2 * QUICK_SECONDS), cost()
    async with asyncio.TaskGroup() as group, scheduler.time_slice(cost()):
        group.create_task(work(quick, 5))
        group.create_task(work(long, 5))
        await asyncio.sleep(0)
    assert served.index(long) == 5


async def test_who_waits_longest_is_never_passed_over_for_ever() -> None:
    semaphore = PrioritySemaphore(1)
    await semaphore.acquire((0,))
    old = asyncio.create_task(semaphore.acquire((9,)))
    await asyncio.sleep(0)
    for _ in range(ELDEST):
        young = asyncio.create_task(semaphore.acquire((0,)))
        await asyncio.sleep(0)
        semaphore.release()
        await asyncio.sleep(0)
        if old.done():
            young.cancel()
            return
        await young
    pytest.fail("the old one still waits")


async def test_one_who_gives_up_waiting_leaves_no_hole() -> None:
    semaphore = PrioritySemaphore(1)
    await semaphore.acquire()
    waiting = [asyncio.create_task(semaphore.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    semaphore.release()  # to the second, who gives up at the same moment
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [True, True, False]
    assert len(semaphore) == 0


async def test_a_piece_that_lasts_holds_nobody_up() -> None:
    scheduler, lasts = Scheduler(LIMITS), asyncio.Event()

    async def last() -> None:
        async with scheduler.time_slice(QueryCost()):
            await lasts.wait()

    task = asyncio.create_task(last())
    await asyncio.sleep(0)
    async with asyncio.timeout(100 * OVERRUN_SECONDS), scheduler.time_slice(QueryCost()):
        assert not task.done()
    lasts.set()
    await task
    async with scheduler.time_slice(QueryCost()):  # and its place is not there twice
        second = asyncio.create_task(order_of(scheduler))
        await asyncio.sleep(0)
        assert not second.done()
    await second


async def test_a_long_query_leaves_the_door_to_those_who_come() -> None:
    scheduler = Scheduler(EvaluatorLimits(scans=1, scans_waiting=1))
    long = [cost(2 * QUICK_SECONDS) for _ in range(3)]
    async with (
        scheduler.admit(long[0]) as first,
        scheduler.admit(long[1]) as second,
        scheduler.admit(long[2]) as third,
    ):
        async with first():
            pass
        waits = asyncio.create_task(second().__aenter__())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="1 long queries wait") as caught:
            async with third():
                pass
        assert caught.value.retry_after_seconds >= 1
        async with scheduler.admit(QueryCost()) as quick, quick():
            assert not waits.done()
        waits.cancel()
        await asyncio.wait([waits])


async def test_the_end_of_a_long_query_begins_the_next_one() -> None:
    scheduler = Scheduler(EvaluatorLimits(scans=1))
    one, other = cost(2 * QUICK_SECONDS), cost(2 * QUICK_SECONDS)
    async with scheduler.admit(other) as waiting:
        async with scheduler.admit(one) as going:
            async with going():
                pass
            task = asyncio.create_task(take(waiting))
            await asyncio.sleep(0)
            assert not task.done()
        await asyncio.wait_for(task, 10)


async def take(time_slice: object) -> None:
    async with time_slice():  # type: ignore[operator]  # what `Scheduler.admit` yields
        pass
