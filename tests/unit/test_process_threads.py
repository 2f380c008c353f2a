"""Work in threads, and waiting without a lock."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from contextvars import ContextVar

import pytest

from cube.process.threads import Condition, run_by_size, run_in_thread

_name: ContextVar[str] = ContextVar("_name", default="")


async def test_work_runs_in_a_thread_and_knows_the_context() -> None:
    _name.set("a request")
    assert await run_in_thread(
        lambda: (_name.get(), threading.current_thread() is threading.main_thread())
    ) == (
        "a request",
        False,
    )


@pytest.mark.parametrize(("size", "in_loop"), [(10, True), (11, False)])
async def test_only_larger_work_runs_in_a_thread(size: int, in_loop: bool) -> None:
    assert (await run_by_size(size, 10, threading.current_thread) is threading.main_thread()) is in_loop


async def test_a_cancellation_is_raised_once_the_thread_has_ended_however_often_it_is_told() -> None:
    began, end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ended: list[bool] = []

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        ended.append(end.wait(10))
        raise ValueError("nobody asks for it any more")

    task = asyncio.create_task(run_in_thread(work))
    await began.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == [True]


async def test_what_the_work_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_in_thread(lambda: 1 // 0)


async def test_all_who_wait_for_a_condition_ask_again_when_notified() -> None:
    held, condition = [3], Condition()
    met: list[int] = []

    async def wait(most: int) -> None:
        await condition.wait_for(lambda: held[0] <= most)
        met.append(most)

    tasks = [asyncio.create_task(wait(most)) for most in (3, 2, 1)]
    for expected in ([3], [3, 2], [3, 2, 1]):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert met == expected
        held[0] -= 1
        condition.notify()
    await asyncio.gather(*tasks)


async def test_who_gives_up_waiting_leaves_the_others_waiting() -> None:
    claim, condition = [False], Condition()
    first, second = (asyncio.create_task(condition.wait_for(lambda: claim[0])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    claim[0] = True
    condition.notify()
    await second
