"""Short requests that have come by the same turn of the event loop, begun together.

What an operation does for each request (a promise, a place in a queue, a callback) it can do once for all
that are there. None waits for others: only those are together whose bytes had come anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from cube.errors import CubeError, InvalidRequest
from cube.process.logs import request_id
from cube.web.error_replies import error_reply
from cube.web.message import Reply, Request
from cube.web.route import Begin

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

    def add(self, begin: Begin, request: Request, answer: Callable[[Reply], None]) -> None:
        """Begin a request once all sockets have been looked at that there is something to read from."""
        if not self._waiting:
            self._loop.call_soon(self._begin_all)
        some = self._waiting.setdefault(begin, [])
        some.append(Gathered(request, answer))
        if len(some) == MOST:
            self._begin_all()

    def _begin_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for begin, some in waiting.items():
            _begin(begin, some)


def _begin(begin: Begin, some: Sequence[Gathered]) -> None:
    request_id.set(some[0].request.id if len(some) == 1 else "")
    left = dict.fromkeys(range(len(some)))
    try:
        for places, promise, reply in begin([one.request for one in some]):
            for place in places:
                del left[place]
            promise.add_done_callback(partial(_settled, begin, [some[place] for place in places], reply))
    except Exception as error:  # whatever it is, those who wait are told
        _fail([some[place] for place in left], error)


def _settled(
    begin: Begin,
    together: Sequence[Gathered],
    reply: Callable[[Any], Reply],
    promise: asyncio.Future[Any],
) -> None:
    if promise.cancelled():
        _fail(together, RuntimeError("what the request waited for was given up"))
        return
    error = promise.exception()
    if error is None:
        told = reply(promise.result())
        for one in together:
            one.answer(told)
    elif len(together) > 1 and isinstance(error, InvalidRequest):
        for one in together:  # what is wrong with one of them costs no other anything
            _begin(begin, [one])
    else:
        _fail(together, error)


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
