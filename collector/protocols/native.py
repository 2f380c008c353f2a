"""Cube's own protocol over HTTP and WebSocket, and the collector's table of routes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from collector.front_page import with_front_page
from collector.ingest.batch import Batch, BatchLimits, Message, read_batch, read_message
from collector.ingest.context import IngestContext
from collector.ingest.intake import Intake
from collector.ingest.quota import DECODING_SHARE, DecodingQuota
from collector.ingest.together import LEAST, batches_together
from collector.protocols.deletion import deletion_operation
from cube import json_text
from cube.errors import AccessDenied, CubeError, InvalidEvent, Unavailable
from cube.model.environment import Caller, Scope
from cube.model.event import ABSENT
from cube.process.logs import request_id
from cube.process.threads import Condition, run_by_size
from cube.web import Begun, Connection, Operation, Reply, Request, Route, Telemetry, with_standard_routes

T = TypeVar("T")

Ready: TypeAlias = Callable[[], Awaitable[None]]

WINDOW = 1_000
"""Messages of one socket that may wait for the store; then the next one is not read."""

WINDOW_BYTES = 16 * 2**20
"""The same for their bytes; a single larger message may wait alone."""

_DONE = Reply()
_SOCKET = (
    "As a WebSocket: an event, an array, or lines of them, per message; answered only if it is wrong, or"
    ' where {"events": [...], "ack": TOKEN} asks for {"ack": TOKEN}, with "spooled": true where any'
    ' of it is only in the collector\'s spool, and "warnings" as over HTTP.'
)
_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "pattern": "^[a-z_][a-zA-Z0-9_]{0,63}$"},
        "time": {
            "type": ["string", "number"],
            "description": "ISO 8601, or milliseconds since 1970; absent is now.",
        },
        "id": {
            "type": ["string", "number", "object"],
            "minLength": 1,
            "maxLength": 512,
            "required": ["$oid"],
            "properties": {"$oid": {"type": "string", "pattern": "^[0-9a-f]{24}$"}},
            "additionalProperties": False,
            "description": "An event with an id that is stored replaces it. An object is an id that Cube has"
            " made, as exports have it.",
        },
        "data": {"description": "Any JSON; a property may have any name that is not empty."},
    },
}


def routes(
    context: IngestContext, telemetry: Telemetry, ready: Ready, foreign: Iterable[Route] = ()
) -> tuple[Route, ...]:
    """Return all that the collector answers; ``foreign``: the routes of dialects."""
    # One quota for requests and one for messages: those wait for the store with what they hold.
    decoded_bytes = context.settings.http.bodies_bytes // DECODING_SHARE
    requests = DecodingQuota(decoded_bytes, free=json_text.THREAD_BYTES)  # others are handed over at once
    batches = {"type": "array", "items": _EVENT_SCHEMA, "maxItems": context.limits.events}
    events = PutEvents(context, requests)
    put = Operation(
        events,
        "Store an array of events, one event, or lines with one or the other each: all of them or none.",
        body={"oneOf": [_EVENT_SCHEMA, batches]},
        replies={
            200: "All are stored durably. Where an event had a key that no event has, but that is near to"
            " one (`timestamp`, `Data`), `warnings` is an array of sentences that say so.",
            202: "All are durable, but so many as `spooled` says are only in the collector's spool: they"
            " are stored once the store answers again.",
        },
        scope=Scope.WRITE,
        begin=events.begin,
    )
    table = (
        Route("/1.0/event", {"POST": put, "PUT": put, "DELETE": deletion_operation(context)}),
        Route(
            "/1.0/event/put",
            {"POST": put, "PUT": put},
            socket=partial(IntakeSession, context, DecodingQuota(decoded_bytes)),
            socket_summary=_SOCKET,
            socket_scope=Scope.WRITE,
        ),
    )
    return with_standard_routes("Cube collector", with_front_page((*table, *foreign)), telemetry, ready)


class PutEvents:
    """``POST`` and ``PUT`` of events: answered when all of them are stored, or at least spooled."""

    def __init__(self, context: IngestContext, decoding: DecodingQuota) -> None:
        self._intakes = context.intakes
        self._limits = context.limits
        self._clock = context.clock
        self._decoding = decoding
        self._read = partial(read_batch, shapes=context.shapes)
        self._spooled_status = 200 if context.settings.spool.square_emitters else 202

    async def __call__(self, request: Request) -> Reply:
        """Store the events of the body."""
        intake = self._intakes[request.admitted.environment.name]
        async with self._decoding.of(len(request.body)):
            batch = await _read(self._read, request.body, self._limits, self._clock(), intake)
            _check_types(batch, request.admitted, intake)
            stored, warnings = intake.offer(batch), batch.warnings
            del batch
        return self._reply(warnings, await stored)

    def begin(self, requests: Sequence[Request]) -> Iterator[Begun]:
        """Do the same with short bodies that came at the same time, without a task for each.

        Lone events are stored together; where a spool holds any of them, all are told of as spooled.
        """
        left = dict.fromkeys(range(len(requests)))
        if len(requests) >= LEAST:
            for begun in self._begin_together(requests):
                for place in begun.places:
                    del left[place]
                yield begun
        for place in left:
            yield self._begin_alone(place, requests[place])

    def _begin_together(self, requests: Sequence[Request]) -> Iterator[Begun]:
        by_environment: dict[str, list[int]] = {}
        for place, request in enumerate(requests):
            caller = request.admitted
            if caller.key is None or caller.key.types is None:
                by_environment.setdefault(caller.environment.name, []).append(place)
        for environment, places in by_environment.items():
            intake = self._intakes[environment]
            bodies = [requests[place].body for place in places]
            for some, batch in batches_together(bodies, self._limits, self._clock()):
                refused: dict[int, InvalidEvent] = {}
                stored = intake.offer_quietly(batch, refused)
                if stored is not None:
                    yield Begun([places[number] for number in some], stored, self._reply_to_one, refused)

    def _begin_alone(self, place: int, request: Request) -> Begun:
        request_id.set(request.id)
        intake = self._intakes[request.admitted.environment.name]
        try:
            batch = _read_at_once(self._read, request.body, self._limits, self._clock(), intake)
            _check_types(batch, request.admitted, intake)
            return Begun((place,), intake.offer(batch), partial(self._reply, batch.warnings))
        except Exception as error:
            refused = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return Begun((place,), refused, _as_it_is)

    def _reply_to_one(self, spooled: int) -> Reply:
        return self._reply({}, min(spooled, 1))

    def _reply(self, warnings: dict[str, list[str]], spooled: int) -> Reply:
        if spooled:
            return Reply.json({"spooled": spooled, **warnings}, self._spooled_status)
        return Reply.json(warnings) if warnings else _DONE


def _as_it_is(reply: Any) -> Reply:
    raise TypeError(f"a promise that fails was kept with {reply!r}")


class IntakeSession:
    """A WebSocket that sends events: silent on success, unless a message asks to be acknowledged."""

    def __init__(self, context: IngestContext, decoding: DecodingQuota, connection: Connection) -> None:
        self._caller = connection.request.admitted
        self._intake = context.intakes[self._caller.environment.name]
        self._limits = context.limits
        self._clock = context.clock
        self._decoding = decoding
        self._read = partial(read_message, shapes=context.shapes)
        self._connection = connection
        self._waiting = 0
        self._waiting_bytes = 0
        self._answers: set[asyncio.Task[None]] = set()
        self._eased = Condition()
        self._stopping = False

    def receive(self, message: bytes) -> Awaitable[None] | None:
        """Take one message, all or nothing of it: at once where it is short and there is room.

        What is returned waits while the store is behind, or tells what is wrong.
        """
        size = len(message)
        at_once = size <= json_text.THREAD_BYTES and self._has_room(size)
        if not at_once or not self._decoding.enter_at_once(size):
            return self._receive_in_turn(message)
        try:
            read = _read_at_once(self._read, message, self._limits, self._clock(), self._intake)
        finally:
            self._decoding.leave(size)
        if not self._intake.has_room(read.batch):
            return self._receive_in_turn(message)  # decoded anew: what waits so long is held as text
        return self._take(read, size)

    async def _receive_in_turn(self, message: bytes) -> None:
        size = len(message)
        async with self._decoding.of(size):
            read = await _read(self._read, message, self._limits, self._clock(), self._intake)
            await self._eased.wait_for(lambda: self._has_room(read.batch.size))
            await self._intake.room(read.batch)
            refusal = self._take(read, size)
            if refusal is not None:
                await refusal

    def _take(self, read: Message, size: int) -> Awaitable[None] | None:
        """Hand a batch to the intake; returns the telling why it was refused."""
        batch, ack = read
        answer = {} if ack is ABSENT else {"ack": ack}
        try:
            _check_types(batch, self._caller, self._intake)
            if self._stopping:
                raise Unavailable("The collector is stopping; nothing new is accepted.")
            stored = self._intake.offer(batch)
        except CubeError as error:
            return self._connection.fail(error, **answer)
        self._waiting += 1
        self._waiting_bytes += size
        if answer:
            answer |= batch.warnings
        stored.add_done_callback(partial(self._settled, answer, size))
        return None

    def closed(self) -> None:
        """Do nothing: what was accepted is stored all the same."""

    async def finish(self) -> None:
        self._stopping = True
        await self._eased.wait_for(lambda: not self._waiting)

    def _has_room(self, size: int) -> bool:
        fits = not self._waiting or self._waiting_bytes + size <= WINDOW_BYTES
        return self._waiting < WINDOW and fits

    def _settled(self, answer: dict[str, Any], size: int, settled: asyncio.Future[int]) -> None:
        self._waiting_bytes -= size
        if settled.exception() is None and not answer:
            self._answered()
            return
        task = settled.get_loop().create_task(self._answer(answer, settled))
        self._answers.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._answers.discard)

    async def _answer(self, answer: dict[str, Any], settled: asyncio.Future[int]) -> None:
        error = settled.exception()
        try:
            if error is not None:
                await self._connection.fail(
                    error, **{key: ack for key, ack in answer.items() if key == "ack"}
                )
            else:
                await self._connection.send({**answer, "spooled": True} if settled.result() else answer)
        finally:
            self._answered()

    def _answered(self) -> None:
        self._waiting -= 1
        self._eased.notify()


async def _read(
    read: Callable[[bytes, BatchLimits, int], T], text: bytes, limits: BatchLimits, now: int, intake: Intake
) -> T:
    try:
        return await run_by_size(len(text), json_text.THREAD_BYTES, read, text, limits, now)
    except CubeError as error:
        intake.refused(error)
        raise


def _read_at_once(
    read: Callable[[bytes, BatchLimits, int], T], text: bytes, limits: BatchLimits, now: int, intake: Intake
) -> T:
    try:
        return read(text, limits, now)
    except CubeError as error:
        intake.refused(error)
        raise


def _check_types(batch: Batch, caller: Caller, intake: Intake) -> None:
    try:
        batch.check_types(caller)
    except AccessDenied as error:
        intake.refused(error, len(batch.events))
        raise
