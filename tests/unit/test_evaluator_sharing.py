"""Computations in flight: who joins, who is cancelled, who learns of a failure."""

from __future__ import annotations

import asyncio

import pytest

from evaluator.sharing import Contents, Gaps, Sharing


class Computing:
    """A computation that waits to be told what to do, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Gaps] = []
        self.go: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cancelled = 0

    async def __call__(self, gaps: Gaps) -> Contents:
        self.asked.append(dict(gaps))
        try:
            await asyncio.shield(self.go)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return {bucket: b"%d" % revision for bucket, revision in gaps.items()}


async def begun(sharing: Sharing, computing: Computing, gaps: Gaps) -> asyncio.Task[Contents]:
    """Ask, and return when the question has been taken in."""
    task = asyncio.create_task(sharing.contents("key", gaps, computing))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def test_only_what_is_not_in_flight_is_computed() -> None:
    sharing, computing = Sharing(), Computing()
    first = await begun(sharing, computing, {0: 7, 1: 8})
    second = await begun(sharing, computing, {1: 8, 2: 9})
    computing.go.set_result(None)
    assert await first == {0: b"7", 1: b"8"}
    assert await second == {1: b"8", 2: b"9"}
    assert computing.asked == [{0: 7, 1: 8}, {2: 9}]


async def test_another_revision_is_another_computation() -> None:
    sharing, computing = Sharing(), Computing()
    tasks = [await begun(sharing, computing, {0: revision}) for revision in (1, 2)]
    computing.go.set_result(None)
    assert [await task for task in tasks] == [{0: b"1"}, {0: b"2"}]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_a_computation_gives_only_the_buckets_it_was_joined_for(newest_first: bool) -> None:
    sharing, computing = Sharing(), Computing()
    gaps = [{0: 7, 1: 8}, {0: 9, 1: 8}][:: -1 if newest_first else 1]
    tasks = [await begun(sharing, computing, some) for some in gaps]
    computing.go.set_result(None)
    for task, some in zip(tasks, gaps, strict=True):
        assert await task == {bucket: b"%d" % revision for bucket, revision in some.items()}


async def test_nothing_is_remembered() -> None:
    sharing, computing = Sharing(), Computing()
    computing.go.set_result(None)
    for count in (1, 2):
        await sharing.contents("key", {0: 1}, computing)
        assert len(computing.asked) == count


async def test_a_computation_goes_on_while_anybody_waits() -> None:
    sharing, computing = Sharing(), Computing()
    first, second = [await begun(sharing, computing, {0: 1}) for _ in range(2)]
    first.cancel()
    await asyncio.wait([first])
    computing.go.set_result(None)
    assert await second == {0: b"1"}
    assert (len(computing.asked), computing.cancelled) == (1, 0)


async def test_a_computation_nobody_waits_for_is_cancelled_and_not_joined() -> None:
    sharing, computing = Sharing(), Computing()
    first = await begun(sharing, computing, {0: 1})
    first.cancel()
    await asyncio.wait([first])
    second = await begun(sharing, computing, {0: 1})
    await asyncio.sleep(0)
    assert (len(computing.asked), computing.cancelled) == (2, 1)
    computing.go.set_result(None)
    assert await second == {0: b"1"}
    await sharing.close()


async def test_a_failure_is_told_to_all_and_not_remembered() -> None:
    sharing, computing = Sharing(), Computing()
    tasks = [await begun(sharing, computing, {0: 1}) for _ in range(2)]
    computing.go.set_exception(ValueError("broken"))
    for task in tasks:
        with pytest.raises(ValueError, match="broken"):
            await task
    again = Computing()
    again.go.set_result(None)
    assert await sharing.contents("key", {0: 1}, again) == {0: b"1"}
