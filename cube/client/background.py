"""An emitter for applications: it takes events at once, and sends them in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
import time as clock
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from cube.client.connection import COLLECTOR_URL
from cube.client.delivery import transport_to
from cube.client.drops import Drop, Reason
from cube.client.emitter import encode
from cube.client.pipeline import Counts, Pipeline, PipelinePlan
from cube.client.processes import ProcessPipelines
from cube.client.waiting import Batching
from cube.errors import CubeError, InvalidEvent, Overloaded
from cube.model.event import ABSENT

CLOSE_SECONDS = 5.0
"""How long the end of a program waits for its last events."""


class BackgroundEmitter:
    """Sends events from any thread or task, in batches, and never blocks or disturbs who emits them.

        emitter = BackgroundEmitter("http://127.0.0.1:1080")
        emitter.emit("request", {"path": "/", "ms": 241})

    ``url``: ``http://…`` and ``ws://…`` deliver each event at least once, and what is sent again has the same
    id, so it is stored once; ``udp://HOST:PORT`` delivers what the network does. ``key``: an API key.

    At most ``most_events`` and ``most_bytes`` wait. A batch is sent with ``batch_events``, with
    ``batch_bytes`` or ``batch_seconds`` after its first event, and again until the collector answers. An
    event for which there is no room within ``wait_seconds``, that is not JSON, or that the collector
    refuses, is dropped: counted, and told to ``on_drop`` (from any thread; by default logged). With
    ``raises`` `emit` raises `Overloaded` or `InvalidEvent` for the former two instead.

    ``buffer``: a file in which events wait until they are stored, also across restarts of the program, of
    at most ``buffer_bytes``; processes may share it. The program's end closes each emitter, and so
    does that of a process made by multiprocessing. After a fork both processes go on, each with what it
    emits itself. Raises `InvalidSettings`, and `OSError` or `sqlite3.Error` where there can be no buffer.
    """

    def __init__(
        self,
        url: str = COLLECTOR_URL,
        *,
        key: str | None = None,
        timeout_seconds: float = 30.0,
        most_events: int = 10_000,
        most_bytes: int = 32 * 2**20,
        batch_events: int = 1_000,
        batch_bytes: int = 2**20,
        batch_seconds: float = 0.5,
        wait_seconds: float = 0.0,
        raises: bool = False,
        on_drop: Callable[[Drop], None] | None = None,
        buffer: str | os.PathLike[str] | None = None,
        buffer_bytes: int = 256 * 2**20,
    ) -> None:
        self._plan = PipelinePlan(
            transport_to(url, key, timeout_seconds),
            most_events,
            most_bytes,
            Batching(batch_events, batch_bytes, batch_seconds),
            buffer=None if buffer is None else Path(buffer),
            buffer_bytes=buffer_bytes,
            on_drop=on_drop,
        )
        self._wait_seconds = wait_seconds
        self._raises = raises
        self._closed = False
        self._pipelines = ProcessPipelines(self._plan, self.close)
        self._pipelines.mine()
        atexit.register(self.close)

    @property
    def counts(self) -> Counts:
        """What became of the events that this process emitted."""
        return self._pipelines.mine().counts

    def emit(
        self,
        type: str,
        data: Any = ABSENT,
        *,
        time: int | str | datetime | None = None,
        id: str | float | None = None,
    ) -> bool:
        """Take an event, of now unless ``time`` says otherwise, and tell whether it was.

        ``data``: any JSON value, and what msgspec writes as one (dates, UUIDs, dataclasses); it is written
        here, so that it may change afterwards. ``time``: ISO 8601, a datetime (without zone: UTC) or
        milliseconds since 1970.
        """
        event = {
            "type": type,
            "time": clock.time_ns() // 1_000_000 if time is None else time,
            "id": uuid.uuid4().hex if id is None else id,
        }
        if data is not ABSENT:
            event["data"] = data
        try:
            text = encode(event)
        except InvalidEvent as error:
            return self._lost("invalid", error)
        pipeline = self._pipelines.mine()
        if pipeline.waiting.add(text) or self._added_later(pipeline, text):
            return True
        reason: Reason = "closed" if self._closed else "full"
        return self._lost(reason, _no_room(reason, self._plan), text)

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until all that was emitted is stored or dropped, at most so long; tell whether it is."""
        return self._pipelines.mine().flush(seconds)

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, for at most so long, and end; then what is emitted is dropped.

        What could not be sent is dropped as well, or stays in the buffer for the next run.
        """
        if not self._closed:
            self._closed = True
            atexit.unregister(self.close)
            self._pipelines.mine().close(seconds)

    async def aflush(self, seconds: float | None = None) -> bool:
        """Do as `flush`, while other tasks go on."""
        return await asyncio.to_thread(self.flush, seconds)

    async def aclose(self, seconds: float = CLOSE_SECONDS) -> None:
        """Do as `close`, while other tasks go on."""
        await asyncio.to_thread(self.close, seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _added_later(self, pipeline: Pipeline, text: bytes) -> bool:
        """Wait for room as long as is allowed; another thread may take it first."""
        until = clock.monotonic() + self._wait_seconds
        while (left := until - clock.monotonic()) > 0 and not self._closed:
            if pipeline.waiting.wait_for_room(len(text), left) and pipeline.waiting.add(text):
                return True
        return False

    def _lost(self, reason: Reason, error: CubeError, text: bytes | None = None) -> bool:
        if self._raises:
            raise error
        self._pipelines.mine().drops.add(Drop(reason, error.message, () if text is None else (text,)))
        return False


def _no_room(reason: Reason, plan: PipelinePlan) -> CubeError:
    if reason == "closed":
        return Overloaded("Got an event after the emitter was closed; accepted are events before.")
    return Overloaded(
        f"Got an event while {plan.most_events} events or {plan.most_bytes} bytes wait to be sent, which is"
        " the bound; accepted are events once some are sent."
    )
