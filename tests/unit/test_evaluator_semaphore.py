"""Semaphores give their places one by one, whoever goes away while waiting."""

from __future__ import annotations

import asyncio

from evaluator.scheduling.priority_semaphore import PrioritySemaphore


async def waiter(semaphore: PrioritySemaphore, acquired: list[int], number: int, *priority: float) -> None:
    await semaphore.acquire(priority)
    acquired.append(number)


async def waiting(
    semaphore: PrioritySemaphore, acquired: list[int], *priorities: float
) -> list[asyncio.Task[None]]:
    tasks = [
        asyncio.create_task(waiter(semaphore, acquired, number, priority))
        for number, priority in enumerate(priorities)
    ]
    await asyncio.sleep(0)
    return tasks


async def test_the_lowest_priority_comes_first() -> None:
    semaphore, acquired = PrioritySemaphore(1), list[int]()
    await semaphore.acquire()
    tasks = await waiting(semaphore, acquired, 3, 1, 2)
    for _ in tasks:
        semaphore.release()
        await asyncio.sleep(0)
    assert acquired[:2] == [1, 2]
    await asyncio.gather(*tasks)


async def test_a_place_that_is_given_up_before_its_waiter_has_heard_of_it_is_not_lost() -> None:
    semaphore, acquired = PrioritySemaphore(1), list[int]()
    await semaphore.acquire()
    first, second = await waiting(semaphore, acquired, 1, 2)
    semaphore.release()  # calls the first
    first.cancel()
    await asyncio.wait([first])
    await asyncio.wait_for(second, 5)
    assert acquired == [1]


async def test_a_waiter_that_was_cancelled_and_has_not_heard_of_it_is_passed_over() -> None:
    semaphore, acquired = PrioritySemaphore(1), list[int]()
    await semaphore.acquire()
    first, second = await waiting(semaphore, acquired, 1, 2)
    first.cancel()
    semaphore.release()  # before the first can take itself out
    await asyncio.wait([first])
    await asyncio.wait_for(second, 5)
    assert acquired == [1]
    assert len(semaphore) == 0
    third = asyncio.create_task(waiter(semaphore, acquired, 3))
    await asyncio.sleep(0)
    assert not third.done(), "the place was given twice"
    semaphore.release()
    await asyncio.wait_for(third, 5)
