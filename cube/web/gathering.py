"""Short requests that have come at about the same time, begun together.

What an operation does for each request (a promise, a place in a queue, a callback) it can do once for all
that are there. Only those are together whose bytes had come anyway, but for one thing: whoever was answered
sends the next request at once, or not at all. So as long as each turn of the event loop brings some more,
requests wait until as many have come as were answered before. A turn that brings none ends that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from cube.errors import CubeError
from cube.process.logs import request_id
from cube.web.error_replies import error_reply
from cube.web.message import Reply, Request
from cube.web.route import Begin, Begun

MOST: Final = 64
"""Requests that are begun together: others have their turn after so many."""

_log = logging.getLogger(__name__)


class Gathered(NamedTuple):
    """A request, and what takes its reply."""

    request: Request
    answer: Callable[[Reply], None]


class Gathering:
    """The short requests of all connections of a service, until they are begun."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[Begin, list[Gathered]] = {}
        self._count = 0  # that wait
        self._answered = 0  # since some were begun

    def add(self, begin: Begin, request: Request, answer: Callable[[Reply], None]) -> None:
        """Begin a request once all sockets have been looked at that there is something to read from."""
        if not self._waiting:
            self._loop.call_soon(self._turn, 0)
        some = self._waiting.setdefault(begin, [])
        some.append(Gathered(request, partial(self._answer, answer)))
        self._count += 1
        if len(some) == MOST:
            self._begin_all()

    def _answer(self, answer: Callable[[Reply], None], reply: Reply) -> None:
        self._answered += 1
        answer(reply)

    def _turn(self, seen: int) -> None:
        """Begin all that wait, unless this turn brought some, and as many as were answered are not there."""
        if seen < self._count < self._answered:
            self._loop.call_soon(self._turn, self._count)
        elif self._waiting:
            self._begin_all()

    def _begin_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._count = self._answered = 0
        for begin, some in waiting.items():
            _begin(begin, some)


def _begin(begin: Begin, some: Sequence[Gathered]) -> None:
    request_id.set(some[0].request.id if len(some) == 1 else "")
    left = dict.fromkeys(range(len(some)))
    try:
        for begun in begin([one.request for one in some]):
            for place in begun.places:
                del left[place]
            together = [some[place] for place in begun.places]
            begun.promise.add_done_callback(partial(_settled, begun, together))
    except Exception as error:  # whatever it is, those who wait are told
        _fail([some[place] for place in left], error)


def _settled(begun: Begun, together: Sequence[Gathered], promise: asyncio.Future[Any]) -> None:
    if promise.cancelled():
        _fail(together, RuntimeError("what the request waited for was given up"))
        return
    for place, refused in begun.refused.items():
        _fail([together[place]], refused)
    others = [one for place, one in enumerate(together) if place not in begun.refused]
    error = promise.exception()
    if error is not None:
        _fail(others, error)
        return
    told = begun.reply(promise.result())
    for one in others:
        one.answer(told)


def _fail(together: Sequence[Gathered], error: BaseException) -> None:
    if not isinstance(error, Exception):
        raise error
    for one in together:
        one.answer(reply_to_failure(one.request, error))


def reply_to_failure(request: Request, error: Exception) -> Reply:
    """Return the reply that tells an error; one that is no `CubeError` is a fault of ours, and logged."""
    if not isinstance(error, CubeError):
        text = "request %s: a fault in %s %s"
        _log.error(text, request.id, request.method, request.route, exc_info=error)
    return error_reply(error, request.id)
