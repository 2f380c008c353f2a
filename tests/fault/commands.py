"""A proxy before the tests' MongoDB that does, by script, what real sets and clusters do.

It reads every command. A `Fault` answers, delays or cuts chosen ones, before or after they are executed;
`step_down` is an election: for a while nobody is primary. `Cluster` says that it is a mongos, and can
answer reads of chosen collections from a primary that was cut off from its set (`cut_off`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from bson import Timestamp
from pymongo import MongoClient

from tests.fault import wire
from tests.fault.wire import Document, Message

_HELLO = frozenset({"hello", "ismaster", "isMaster"})
_ANSWERED_BY_ALL = _HELLO | {"ping", "endSessions", "saslStart", "saslContinue", "buildInfo"}
_OF_A_SET = (
    *("electionId", "hosts", "me", "passives", "primary", "secondary", "setName", "setVersion"),
    "topologyVersion",
)
WRITES = frozenset({"insert", "update", "delete", "findAndModify"})


def error(code: int, name: str = "", *, labels: Sequence[str] = ()) -> Document:
    """Return the answer to a command that failed, as a server makes it."""
    text = f"{name or 'an error'} of the tests"
    answer: Document = {"ok": 0.0, "code": code, "codeName": name or f"Code{code}", "errmsg": text}
    return {**answer, "errorLabels": list(labels)} if labels else answer


def write_error(code: int, *places: int) -> Document:
    """Return the answer to a write of which some documents failed."""
    failures = [{"index": place, "code": code, "errmsg": f"code {code} of the tests"} for place in places]
    return {"ok": 1.0, "n": 0, "writeErrors": failures}


def unconfirmed(code: int = 64) -> Document:
    """Return the answer to a write that was done, and that no majority has confirmed."""
    failure = {"code": code, "codeName": "WriteConcernTimeout", "errmsg": "waiting for replication timed out"}
    return {"ok": 1.0, "n": 1, "writeConcernError": failure}


@dataclass(slots=True)
class Fault:
    """What becomes of some commands.

    ``commands``: their names; ``collection``: how the name of their collection ends. ``answer``: in place of
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
    met: int = 0

    def takes(self, message: Message) -> bool:
        """Tell whether this is one of its commands, and count it."""
        if self.times == self.met or message.name not in self.commands:
            return False
        if not message.collection.endswith(self.collection):
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

    @property
    def url(self) -> str:
        """Its address as a store URL."""
        return f"mongodb://127.0.0.1:{self.port}"

    def step_down(self, seconds: float) -> None:
        """Have no primary for some seconds: commands that need one are refused, as in an election."""
        self._no_primary_until = time.monotonic() + seconds

    def cut(self) -> None:
        """End all connections, whatever is under way on them."""
        self._loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in self._writers])

    def __enter__(self) -> Self:
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = self._run(listening)
        self.port = self._server.sockets[0].getsockname()[1]
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

    async def _stop(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
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
        if self._has_no_primary() and message.name not in _ANSWERED_BY_ALL:
            return message.answer(error(10107, "NotWritablePrimary", labels=["RetryableWriteError"]))
        fault = next((fault for fault in self.faults if fault.takes(message)), None)
        if fault is not None:
            await asyncio.sleep(fault.delay_seconds)
            if not fault.executed and (fault.cut or fault.answer is not None):
                return None if fault.cut else message.answer(fault.answer or {})
        answer = await self._forward(message, answers, back)
        if fault is not None and fault.executed:
            return None if fault.cut else message.answer(fault.answer or answer.body)
        return answer

    async def _forward(
        self, message: Message, answers: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> Message:
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


@dataclass(slots=True)
class _CutOff:
    """A primary that does not know yet that it is not one: it has what it had, and hears of nothing more."""

    collection: str
    since: Timestamp
    reads: int = field(default=0)


class Cluster(CommandProxy):
    """The same as a mongos over shards; a collection can be on one whose old primary was cut off.

    That primary answers what it can of the reads of queries, which are those of causally consistent sessions:
    every one but a read with ``majority`` after a time that it has not reached, which a real one would wait
    for until the router finds the new primary. Whoever writes has found that already.
    """

    def __init__(self, target_port: int, target_url: str) -> None:
        super().__init__(target_port)
        self._url = target_url
        self._old: _CutOff | None = None

    @property
    def stale_reads(self) -> int:
        """How many reads the old primary has answered."""
        return 0 if self._old is None else self._old.reads

    def cut_off(self, database: str, collection: str) -> None:
        """From now on a collection may be read from the primary that it had until now."""
        with MongoClient[Document](self._url) as client:
            found = list(client[database][collection].find())
            client.drop_database(_old(database))
            if found:
                client[_old(database)][collection].insert_many(found)
            since = client.admin.command("hello")["operationTime"]
        self._old = _CutOff(collection, since)

    def described(self, answer: Document) -> None:
        for name in _OF_A_SET:
            answer.pop(name, None)
        answer |= {"msg": "isdbgrid", "isWritablePrimary": True, "ismaster": True}

    def route(self, message: Message) -> None:
        old = self._old
        if old is None or message.name != "find" or message.collection != old.collection:
            return
        concern = message.body.get("readConcern", {})
        after = concern.get("afterClusterTime")
        if after is None or (concern.get("level") == "majority" and after > old.since):
            return
        old.reads += 1
        message.body["$db"] = _old(message.database)
        message.body.pop("lsid", None)
        message.body.pop("$clusterTime", None)
        message.body["readConcern"] = {"level": "local"}


def _old(database: str) -> str:
    return f"{database}_old"
