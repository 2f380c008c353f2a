"""Lines give their places one by one, whoever goes away while waiting."""

from __future__ import annotations

import asyncio

from evaluator.scheduling.priority_queue import PrioritySemaphore


async def waiter(line: PrioritySemaphore, entered: list[int], number: int, *rank: float) -> None:
    await line.enter(rank)
    entered.append(number)


async def waiting(line: PrioritySemaphore, entered: list[int], *ranks: float) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(waiter(line, entered, number, rank)) for number, rank in enumerate(ranks)]
    await asyncio.sleep(0)
    return tasks


async def test_the_lowest_rank_comes_first() -> None:
    line, entered = PrioritySemaphore(1), list[int]()
    await line.enter()
    tasks = await waiting(line, entered, 3, 1, 2)
    for _ in tasks:
        line.leave()
        await asyncio.sleep(0)
    assert entered[:2] == [1, 2]
    await asyncio.gather(*tasks)


async def test_a_place_that_is_given_up_before_its_waiter_has_heard_of_it_is_not_lost() -> None:
    line, entered = PrioritySemaphore(1), list[int]()
    await line.enter()
    first, second = await waiting(line, entered, 1, 2)
    line.leave()  # calls the first
    first.cancel()
    await asyncio.wait([first])
    await asyncio.wait_for(second, 5)
    assert entered == [1]


async def test_a_waiter_that_was_cancelled_and_has_not_heard_of_it_is_passed_over() -> None:
    line, entered = PrioritySemaphore(1), list[int]()
    await line.enter()
    first, second = await waiting(line, entered, 1, 2)
    first.cancel()
    line.leave()  # before the first can take itself out
    await asyncio.wait([first])
    await asyncio.wait_for(second, 5)
    assert entered == [1]
    assert len(line) == 0
    third = asyncio.create_task(waiter(line, entered, 3))
    await asyncio.sleep(0)
    assert not third.done(), "the place was given twice"
    line.leave()
    await asyncio.wait_for(third, 5)
