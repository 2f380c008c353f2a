"""Which of our modules a request passes: one event in, one warm metric query, one cold one.

Run ``python -m tests.walks`` to see each walk: the modules in the order in which they are first entered.
A module counts if a function written in it is entered between the request's first byte and the answer's
last. Those that only other threads than the event loop's enter are marked, and counted apart. Each walk is
made three times in a process that has warmed up, and what all three passed counts: so nothing does that is
done now and then, or once.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlencode, urlsplit

from prometheus_client import CollectorRegistry

from collector.app import Collector
from cube.model.environment import DEFAULT
from cube.settings import BlockSettings, CollectorSettings, EvaluatorSettings
from cube.store.sqlite import open_store
from evaluator.app import EvaluatorDaemon
from tests.authenticators import open_authenticator

BOUNDS = {"event": 24, "warm": 35, "cold": 62}
"""At most so many modules in the event loop's thread: more are hard to follow for whoever reads a walk."""

HOUR = 1_311_033_600_000
OURS = ("cube.", "collector.", "evaluator.")
GENERATED = "<string>"
"""The file of what dataclasses write, an `__init__` or `__eq__`: nobody reads that."""

TIMES = 3


class Recorder:
    """The modules that are entered while it records, in order of their first entry.

    Each has whether the event loop's thread enters it.
    """

    def __init__(self) -> None:
        self.modules: dict[str, bool] = {}
        self._thread = threading.get_ident()
        self._on = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Hear of every function that is entered, in this thread and those that begin meanwhile."""
        threading.setprofile(self._heard)
        sys.setprofile(self._heard)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Begin anew, and record within the block."""
        self.modules, self._on = {}, True
        try:
            yield
        finally:
            self._on = False

    def _heard(self, frame: FrameType, event: str, _: Any) -> None:
        if self._on and event == "call" and frame.f_code.co_filename != GENERATED:
            name = frame.f_globals.get("__name__", "")
            if name.startswith(OURS):
                in_loop = threading.get_ident() == self._thread
                self.modules[name] = self.modules.get(name, False) or in_loop


class Connection:
    """A connection to a daemon that is kept open, in this event loop."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Connection:
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def ask(self, request: str, body: str = "") -> str:
        """Send a request; return the answer's body."""
        head = f"{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write((head + body).encode())
        answered = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert " 200 " in answered, answered
        if "transfer-encoding: chunked" in answered:
            return await self._chunks()
        length = int(answered.partition("content-length: ")[2].split()[0])
        return (await self._reader.readexactly(length)).decode()

    async def _chunks(self) -> str:
        text = ""
        while size := int(await self._reader.readline(), 16):
            text += (await self._reader.readexactly(size)).decode()
            await self._reader.readline()
        await self._reader.readline()
        return text

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


@asynccontextmanager
async def daemons(directory: Path) -> AsyncIterator[tuple[Connection, Connection]]:
    """Run both daemons on one SQLite store, and connect to each."""
    store = await open_store(directory, "walks")
    stores, gate, registry = {DEFAULT: store}, open_authenticator(), CollectorRegistry()
    settings = CollectorSettings(port=0, udp_port=0)
    collector = await Collector.start(stores, gate, settings, registry, lambda: HOUR)
    evaluator = EvaluatorDaemon(
        stores,
        gate,
        EvaluatorSettings(port=0, blocks=BlockSettings(disk_bytes=0)),
        CollectorRegistry(),
        lambda: HOUR,
    )
    connections = [await Connection.open(one.addresses["http"]) for one in (collector, evaluator)]
    try:
        yield connections[0], connections[1]
    finally:
        for connection in connections:
            await connection.close()
        await evaluator.stop(5)
        await collector.stop(5)
        await store.close()


async def walks(directory: Path) -> dict[str, dict[str, bool]]:
    """Walk three times each; return what all passed, in order, and whether in the event loop's thread."""
    recorder = Recorder()
    with recorder.installed():
        async with daemons(directory) as (collector, evaluator):
            passed: dict[str, list[dict[str, bool]]] = {name: [] for name in BOUNDS}
            for number in range(1 + TIMES):
                for name in BOUNDS:
                    await _walk(name, number, recorder, collector, evaluator)
                    passed[name].append(recorder.modules)
    return {
        name: {module: in_loop for module, in_loop in last.items() if all(module in one for one in others)}
        for name, (_, *others, last) in passed.items()
    }


async def _walk(
    name: str, number: int, recorder: Recorder, collector: Connection, evaluator: Connection
) -> None:
    if name == "event":
        event = f'[{{"type": "request", "time": {HOUR + number}, "data": {{"ms": {number}}}}}]'
        with recorder.recording():
            await collector.ask("POST /1.0/event/put", event)
        return
    expression = f"sum(request(ms).lt(ms,{1000 + number}))"
    span = {"start": HOUR, "stop": HOUR + 3_600_000, "step": 60_000}
    query = f"GET /1.0/metric?{urlencode({'expression': expression, **span})}"
    if name == "warm":
        await evaluator.ask(query)
    else:
        query = query.replace("sum", "max")
    with recorder.recording():
        answer = await evaluator.ask(query)
    assert f'"value":{number if name == "cold" else sum(range(number + 1))}' in answer.replace(" ", ""), (
        answer
    )


def in_loop(modules: Mapping[str, bool]) -> list[str]:
    """Return the modules that the event loop's thread enters."""
    return [module for module, is_in_loop in modules.items() if is_in_loop]


def main() -> int:
    """Print each walk; return 1 where one is longer than it should be."""
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(walks(Path(directory)))
    for name, modules in found.items():
        count = len(in_loop(modules))
        print(
            f"\n{name}: {count} modules, to be {BOUNDS[name]} at most; {len(modules) - count} more in threads"
        )
        for place, (module, is_in_loop) in enumerate(modules.items(), 1):
            print(f"{place:4} {module}{'' if is_in_loop else ' (in a thread)'}")
    return int(any(len(in_loop(modules)) > BOUNDS[name] for name, modules in found.items()))


if __name__ == "__main__":
    sys.exit(main())
