"""A TCP proxy between a daemon and its MongoDB that fails below commands, in the ways that networks do."""

from __future__ import annotations

import asyncio
import struct
import threading
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum
from typing import Any, Self

_HEADER = struct.Struct("<iiii")  # of every message: length, request id, response to, opcode


class Mode(Enum):
    """What the proxy does."""

    PASS = "passes everything on"
    REFUSE = "refuses connections, and cuts those that are open"
    HANG = "accepts connections, and lets nothing through"
    CUT = "passes requests on, and ends each connection in the middle of a reply"


class FaultyProxy:
    """Listens on a free port in front of a server; runs in a thread of its own. A context manager.

    ``bytes_per_second``: of what clients send, None for all that comes; a store is slow that way.
    """

    def __init__(self, target_port: int, *, bytes_per_second: float | None = None) -> None:
        self.mode = Mode.PASS
        self.bytes_per_second = bytes_per_second
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._passing = asyncio.Event()
        self._sent_until = 0.0
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the proxy, as a store URL; drivers do not look for the server behind it."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def set(self, mode: Mode) -> None:
        """Fail in another way from now on."""
        self._run(self._set(mode))

    def refuse(self) -> None:
        """Refuse connections, and cut those that are open."""
        self.set(Mode.REFUSE)

    def well(self) -> None:
        """Pass everything on."""
        self.set(Mode.PASS)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._set(Mode.PASS))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, coroutine: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return done.result(10)

    async def _set(self, mode: Mode) -> None:
        self.mode = mode
        if mode is Mode.HANG:
            self._passing.clear()
        else:
            self._passing.set()
        if mode is Mode.REFUSE:
            await self._refuse()
        elif self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()

    async def _stop(self) -> None:
        await self._refuse()
        await asyncio.sleep(0.05)  # what was just being accepted has begun now
        await self._refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(task := asyncio.current_task())  # type: ignore[arg-type]  # it runs in one
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            server, other = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers.add(other)
            ways = (self._requests(reader, other), self._answers(server, writer))
            done, rest = await asyncio.wait(map(asyncio.ensure_future, ways), return_when="FIRST_COMPLETED")
            for way in rest:
                way.cancel()
            await asyncio.gather(*done, *rest, return_exceptions=True)
        except OSError:
            pass  # the server behind is away; so are we
        finally:
            for closing in (writer, other):
                if closing is not None:
                    self._writers.discard(closing)
                    closing.transport.abort()
                    with suppress(OSError):
                        await closing.wait_closed()
            self._tasks.discard(task)  # type: ignore[arg-type]  # it is one

    async def _requests(self, client: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while True:
            head = await client.readexactly(_HEADER.size)
            length, *_ = _HEADER.unpack(head)
            body = await client.readexactly(length - _HEADER.size)
            await self._slow_down(length)
            await self._passing.wait()
            server.write(head + body)
            await server.drain()

    async def _answers(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while content := await server.read(2**16):
            await self._passing.wait()
            if self.mode is Mode.CUT:
                client.write(content[: len(content) // 2])
                await client.drain()
                return
            client.write(content)
            await client.drain()

    async def _slow_down(self, size: int) -> None:
        if self.bytes_per_second is None:
            return
        now = self._loop.time()
        self._sent_until = max(now, self._sent_until) + size / self.bytes_per_second
        await asyncio.sleep(self._sent_until - now)
