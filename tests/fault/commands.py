"""A proxy before the tests' MongoDB that does, by script, what real sets and clusters do.

It reads every command. A `Fault` answers, delays or cuts chosen ones, before or after they are executed;
`step_down` is an election: for a while nobody is primary; `refuse` is a machine that nobody reaches.
A mongos over shards is in `tests.fault.cluster`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from bson.raw_bson import RawBSONDocument

from tests.fault import wire
from tests.fault.wire import Document, Message

_HELLO = frozenset({"hello", "ismaster", "isMaster"})
ANSWERED_BY_ALL = _HELLO | {"ping", "endSessions", "saslStart", "saslContinue", "buildInfo"}
WRITES = frozenset({"insert", "update", "delete", "findAndModify"})


def error(code: int, name: str = "", *, labels: Sequence[str] = (), text: str = "") -> Document:
    """Return the answer to a command that failed, as a server makes it."""
    text = text or f"{name or 'an error'} of the tests"
    answer: Document = {"ok": 0.0, "code": code, "codeName": name or f"Code{code}", "errmsg": text}
    return {**answer, "errorLabels": list(labels)} if labels else answer


THROTTLED = error(462, "IngressRequestRateLimitExceeded", labels=["SystemOverloadedError", "RetryableError"])
"""What a server of version 8 answers to a client that asks too often."""


def write_error(code: int, *places: int) -> Document:
    """Return the answer to a write of which some documents failed."""
    failures = [{"index": place, "code": code, "errmsg": f"code {code} of the tests"} for place in places]
    return {"ok": 1.0, "n": 0, "nModified": 0, "writeErrors": failures}


def unconfirmed(code: int = 64) -> Document:
    """Return the answer to a write that was done, and that no majority has confirmed."""
    failure = {"code": code, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out"}
    return {"ok": 1.0, "n": 1, "writeConcernError": failure}


@dataclass(slots=True)
class Fault:
    """What becomes of some commands.

    ``commands``: their names; ``collection``: how the name of their collection ends; ``holding``: the ``_id``
    of a document that they insert (None: whatever they hold). ``answer``: in place of
    the server's (None: the server's own). ``executed``: whether the server sees them first. ``cut``: the
    connection ends without an answer. ``delay_seconds``: before anything. ``times``: after so many it is over
    (None: never). ``met``: how many it has met.
    """

    commands: Iterable[str]
    collection: str = ""
    answer: Document | None = None
    executed: bool = False
    cut: bool = False
    delay_seconds: float = 0.0
    times: int | None = None
    holding: Any = None
    met: int = 0

    def takes(self, message: Message) -> bool:
        """Tell whether this is one of its commands, and count it."""
        if self.times == self.met or message.name not in self.commands:
            return False
        if not message.collection.endswith(self.collection):
            return False
        if self.holding is not None and self.holding not in _ids(message):
            return False
        self.met += 1
        return True


class CommandProxy:
    """Listens on a free port before a server, as the one member of a replica set; a context manager.

    It runs in a thread of its own. ``faults``: asked in their order; the first that takes a command has it.
    """

    def __init__(self, target_port: int) -> None:
        self.faults: list[Fault] = []
        self.port = 0
        self._target_port = target_port
        self._no_primary_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="commands")
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Its address as a store URL."""
        return f"mongodb://127.0.0.1:{self.port}"

    def step_down(self, seconds: float) -> None:
        """Have no primary for some seconds: commands that need one are refused, as in an election."""
        self._no_primary_until = time.monotonic() + seconds

    def cut(self) -> None:
        """End all connections, whatever is under way on them."""
        self._loop.call_soon_threadsafe(self._cut)

    def refuse(self) -> None:
        """Take no connections any more, and end those that are open."""
        self._run(self._close())

    def well(self) -> None:
        """Have no fault any more, a primary, and listen."""
        self.faults = []
        self._no_primary_until = 0.0
        if self._server is None:
            self._run(self._listen())

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def described(self, answer: Document) -> None:
        """Change the answer to a hello, so that drivers find this proxy and not what is behind it."""
        address = f"127.0.0.1:{self.port}"
        answer.pop("topologyVersion", None)
        answer.pop("speculativeAuthenticate", None)
        is_primary = not self._has_no_primary()
        answer |= {"hosts": [address], "me": address, "setName": "tests"}
        answer |= {"isWritablePrimary": is_primary, "ismaster": is_primary, "secondary": not is_primary}
        if is_primary:
            answer["primary"] = address
        else:
            answer.pop("primary", None)

    def route(self, message: Message) -> None:
        """Change a command before it goes to the server."""

    def _has_no_primary(self) -> bool:
        return time.monotonic() < self._no_primary_until

    def _run(self, coroutine: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return done.result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._cut()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _stop(self) -> None:
        await self._close()
        await asyncio.sleep(0.05)  # what was just being accepted has begun now
        self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        back: asyncio.StreamWriter | None = None
        try:
            answers, back = await asyncio.open_connection("127.0.0.1", self._target_port)
            while True:
                message = await wire.read(reader)
                answer = await self._answer(message, answers, back)
                if answer is None:
                    return
                writer.write(answer.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # one of the two has left, or the proxy stops
        finally:
            for closing in (writer, back):
                if closing is not None:
                    closing.transport.abort()
                    with suppress(OSError, asyncio.CancelledError):
                        await closing.wait_closed()
            self._writers.discard(writer)
            self._tasks.discard(task)

    async def _answer(
        self, message: Message, answers: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> Message | None:
        """Return the answer to a command; None to end the connection."""
        if self._has_no_primary() and message.name not in ANSWERED_BY_ALL:
            return message.answer(error(10107, "NotWritablePrimary", labels=["RetryableWriteError"]))
        fault = next((fault for fault in self.faults if fault.takes(message)), None)
        if fault is not None:
            await asyncio.sleep(fault.delay_seconds)
            if not fault.executed and (fault.cut or fault.answer is not None):
                return None if fault.cut else message.answer(fault.answer or {})
        answer = await self.forward(message, answers, back)
        if fault is not None and fault.executed:
            return None if fault.cut else message.answer(fault.answer or answer.body)
        return answer

    async def forward(
        self, message: Message, answers: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> Message:
        """Have the server answer a command."""
        if message.name in _HELLO:
            message.body.pop("maxAwaitTimeMS", None)
            message.body.pop("topologyVersion", None)
        self.route(message)
        back.write(message.encode())
        await back.drain()
        answer = await wire.read(answers)
        if message.name in _HELLO:
            self.described(answer.body)
        return answer


def _ids(message: Message) -> list[Any]:
    return [RawBSONDocument(one)["_id"] for one in message.statements()]
