"""What the collector answers over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from collector.ingest.batch import Batch, Limits, Message, read_batch_aside, read_message_aside
from collector.ingest.decoding import Decoding
from collector.ingest.intake import Intake, Intakes
from cube.errors import AccessDenied, CubeError, Unavailable
from cube.model.environment import Caller
from cube.model.event import ABSENT
from cube.web import Connection, Reply, Request

WINDOW = 1_000
"""Messages of one socket that may wait for the store; then the next one is not read."""

WINDOW_BYTES = 16 * 2**20
"""The same for their bytes; a single larger message may wait alone."""

_DONE = Reply()


class PutEvents:
    """``POST`` and ``PUT`` of events: answered when all of them are stored, or at least spooled.

    ``decoding``: whose turn it is. ``spooled_status``: of the answer where some are only spooled.
    """

    def __init__(
        self,
        intakes: Intakes,
        limits: Limits,
        clock: Callable[[], int],
        decoding: Decoding,
        *,
        spooled_status: int = 202,
    ) -> None:
        self._decoding = decoding
        self._spooled_status = spooled_status
        self._intakes = intakes
        self._limits = limits
        self._clock = clock

    async def __call__(self, request: Request) -> Reply:
        """Store the events of the body."""
        intake = self._intakes[request.admitted.environment.name]
        async with self._decoding.of(len(request.body)):
            warnings, stored = await self._offer(request, intake)
        spooled = await stored
        if spooled:
            return Reply.json({"spooled": spooled, **warnings}, self._spooled_status)
        return Reply.json(warnings) if warnings else _DONE

    async def _offer(self, request: Request, intake: Intake) -> tuple[Mapping[str, Any], asyncio.Future[int]]:
        try:
            batch = await read_batch_aside(request.body, self._limits, now=self._clock())
        except CubeError as error:
            intake.refused(error)
            raise
        _check_types(batch, request.admitted, intake)
        return batch.warnings, intake.offer(batch)


class EventFeed:
    """A WebSocket that sends events: silent on success, unless a message asks to be acknowledged."""

    def __init__(
        self,
        intakes: Intakes,
        limits: Limits,
        clock: Callable[[], int],
        decoding: Decoding,
        connection: Connection,
    ) -> None:
        self._decoding = decoding
        self._caller = connection.request.admitted
        self._intake = intakes[self._caller.environment.name]
        self._limits = limits
        self._clock = clock
        self._connection = connection
        self._waiting = 0
        self._waiting_bytes = 0
        self._answers: set[asyncio.Task[None]] = set()
        self._eased = asyncio.Event()
        self._stopping = False

    async def receive(self, message: bytes) -> None:
        """Take one message, all or nothing of it; waits while the store is behind."""
        async with self._decoding.of(len(message)):
            await self._take(message)

    async def _take(self, message: bytes) -> None:
        read = await self._read(message)
        await self._turn(read.batch)
        try:
            _check_types(read.batch, self._caller, self._intake)
            stored = self._offer(read.batch)
        except CubeError as error:
            await self._connection.fail(error, **_echo(read.ack))
            return
        self._waiting += 1
        self._waiting_bytes += len(message)
        answer = _echo(read.ack) | ({} if read.ack is ABSENT else read.batch.warnings)
        stored.add_done_callback(partial(self._settled, answer, len(message)))

    async def _read(self, message: bytes) -> Message:
        try:
            return await read_message_aside(message, self._limits, now=self._clock())
        except CubeError as error:
            self._intake.refused(error)
            raise

    def closed(self) -> None:
        """Do nothing: what was accepted is stored all the same."""

    async def finish(self) -> None:
        """Return when every accepted message is stored and answered."""
        self._stopping = True
        while self._waiting:
            await self._change()

    async def _turn(self, batch: Batch) -> None:
        while self._waiting >= WINDOW or (self._waiting and self._waiting_bytes + batch.size > WINDOW_BYTES):
            await self._change()
        await self._intake.room(batch)

    async def _change(self) -> None:
        self._eased.clear()
        await self._eased.wait()

    def _offer(self, batch: Batch) -> asyncio.Future[int]:
        if self._stopping:
            raise Unavailable("The collector is stopping; nothing new is accepted.")
        return self._intake.offer(batch)

    def _settled(self, acknowledged: dict[str, Any], size: int, settled: asyncio.Future[int]) -> None:
        self._waiting_bytes -= size
        if settled.exception() is None and not acknowledged:
            self._answered()
            return
        answer = settled.get_loop().create_task(self._answer(acknowledged, settled))
        self._answers.add(answer)  # the loop itself keeps no task alive
        answer.add_done_callback(self._answers.discard)

    async def _answer(self, acknowledged: dict[str, Any], settled: asyncio.Future[int]) -> None:
        error = settled.exception()
        try:
            if error is not None:
                await self._connection.fail(
                    error, **{key: ack for key, ack in acknowledged.items() if key == "ack"}
                )
            elif not acknowledged:
                return
            elif settled.result():
                await self._connection.send({**acknowledged, "spooled": True})
            else:
                await self._connection.send(acknowledged)
        finally:
            self._answered()

    def _answered(self) -> None:
        self._waiting -= 1
        self._eased.set()


def _check_types(batch: Batch, caller: Caller, intake: Intake) -> None:
    try:
        batch.check_types(caller)
    except AccessDenied as error:
        intake.refused(error, len(batch.events))
        raise


def _echo(ack: Any) -> dict[str, Any]:
    return {} if ack is ABSENT else {"ack": ack}
