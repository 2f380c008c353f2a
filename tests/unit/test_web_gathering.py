"""Requests that are begun together: each is answered, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from tornado.httputil import HTTPHeaders

from cube.errors import InvalidRequest, Unavailable
from cube.web.gathering import Gathering
from cube.web.message import Reply, Request
from cube.web.route import Begun


class Asked:
    """Some requests, and the replies that they got."""

    def __init__(self, count: int) -> None:
        self.replies: list[list[int]] = [[] for _ in range(count)]
        self.requests = [Request("POST", f"/{place}", HTTPHeaders(), "127.0.0.1") for place in range(count)]

    async def ask(self, begin: object) -> list[list[int]]:
        """Ask all together, and return each one's statuses once all have one."""
        gathering = Gathering(asyncio.get_running_loop())
        for request, got in zip(self.requests, self.replies, strict=True):
            gathering.add(begin, request, lambda reply, got=got: got.append(reply.status))  # type: ignore[arg-type, misc]
        async with asyncio.timeout(5):
            while not all(self.replies):  # noqa: ASYNC110 - nothing else tells of a reply
                await asyncio.sleep(0)
        return self.replies


def promise(outcome: object) -> asyncio.Future[object]:
    made: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    if isinstance(outcome, Exception):
        made.set_exception(outcome)
    else:
        made.set_result(outcome)
    return made


def told(status: int) -> Reply:
    return Reply(status=status)


async def test_who_is_left_when_beginning_fails_is_told_and_nobody_twice() -> None:
    def begin(requests: Sequence[Request]) -> Iterator[Begun]:
        yield Begun((1, 3), promise(202), told)
        raise RuntimeError("a fault")

    assert await Asked(5).ask(begin) == [[500], [202], [500], [202], [500]]


@pytest.mark.parametrize(("outcome", "status"), [(200, 200), (Unavailable("It is away."), 503)])
async def test_who_is_refused_is_told_so_whatever_becomes_of_the_others(outcome: object, status: int) -> None:
    """And nobody is begun once more: what of the others is stored would be stored twice."""
    begun: list[list[str]] = []

    def begin(requests: Sequence[Request]) -> Iterator[Begun]:
        begun.append([request.path for request in requests])
        refused = {1: InvalidRequest("It is wrong.")}
        yield Begun((3, 1, 0, 2), promise(outcome), told, refused)

    assert await Asked(4).ask(begin) == [[status], [400], [status], [status]]
    assert begun == [["/0", "/1", "/2", "/3"]]


@pytest.mark.parametrize(
    ("error", "status"),
    [(Unavailable("It is away."), 503), (ValueError("a fault"), 500), (InvalidRequest("It is wrong."), 400)],
)
async def test_what_is_wrong_with_all_is_told_to_all(error: Exception, status: int) -> None:
    count = 0

    def begin(requests: Sequence[Request]) -> Iterator[Begun]:
        nonlocal count
        count += 1
        yield Begun(range(len(requests)), promise(error), told)

    assert await Asked(3).ask(begin) == [[status]] * 3
    assert count == 1


async def test_a_promise_that_is_given_up_is_told_as_a_fault() -> None:
    def begin(requests: Sequence[Request]) -> Iterator[Begun]:
        given_up = asyncio.get_running_loop().create_future()
        given_up.cancel()
        yield Begun((0,), given_up, told)

    assert await Asked(1).ask(begin) == [[500]]


async def test_who_was_answered_is_waited_for_while_each_turn_brings_some() -> None:
    begun: list[int] = []
    answered: list[int] = []

    def begin(requests: Sequence[Request]) -> Iterator[Begun]:
        begun.append(len(requests))
        yield Begun(range(len(requests)), promise(200), told)

    gathering = Gathering(asyncio.get_running_loop())

    async def come(*turns: int) -> list[int]:
        """Let so many requests come by each turn of the loop; return how many were begun together."""
        begun.clear()
        answered.clear()
        for count in turns:
            for request in Asked(count).requests:
                gathering.add(begin, request, lambda reply: answered.append(reply.status))  # type: ignore[arg-type]
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while len(answered) < sum(turns):  # noqa: ASYNC110 - nothing else tells of a reply
                await asyncio.sleep(0)
        return list(begun)

    assert await come(1, 1, 1) == [1, 1, 1], "nobody was answered who could send the next one"
    assert await come(4) == [4]
    assert await come(1, 1, 2) == [4], "as many as were answered"
    assert await come(1, 2, 2) == [5]
    assert await come(2, 1, 0, 2) == [3, 2], "a turn without any"
    assert (await come(1, 1, 1))[0] == 2, "no more than were answered"
