"""The way of events through one process: from memory, perhaps over a disk, to the collector."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cube.backoff import Backoff
from cube.client.delivery import Delivery, Transport
from cube.client.drops import Drop, Drops
from cube.client.emitter import grouped
from cube.client.waiting import Batching, TakenBatch, WaitingEvents

_RECOVERY_SECONDS = 1.0
_DISK_SECONDS = 5.0
"""So long the end waits for a batch that is being written to the buffer, though its time is up."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PipelinePlan:
    """How a pipeline is made: ``buffer``: the file of a `DiskBuffer` of ``buffer_bytes``, None for none."""

    connect: Callable[[], Transport]
    most_events: int = 10_000
    most_bytes: int = 32 * 2**20
    batch: Batching = field(default_factory=Batching)
    backoff: Backoff = field(default_factory=lambda: Backoff(0.2, longest=30.0))
    buffer: Path | None = None
    buffer_bytes: int = 256 * 2**20
    on_drop: Callable[[Drop], None] | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the events of one process: ``stored`` by it, ``waiting`` in its memory, ``dropped`` by
    reason, and ``buffered``: those on disk, of all processes on the file."""

    stored: int
    waiting: int
    buffered: int
    dropped: Mapping[str, int]


class _Source(Protocol):
    def take(self) -> TakenBatch | None: ...

    def settle(self, batch: TakenBatch) -> None: ...


class Pipeline:
    """Takes texts from any thread and sends them in threads of its own, until it is closed.

    Threads begin with `start`. After a fork a process has none of them: it needs a pipeline of its own, and
    leaves this one alone, but for `forget`.
    """

    def __init__(self, plan: PipelinePlan) -> None:
        self.waiting = WaitingEvents(plan.most_events, plan.most_bytes, plan.batch)
        self.drops = Drops(plan.on_drop)
        self._plan = plan
        self._delivery = Delivery(plan.connect, plan.backoff, self.drops)
        self._buffer = None
        self._threads: list[threading.Thread] = []
        if plan.buffer is not None:
            from cube.client.disk_buffer import DiskBuffer

            self._buffer = DiskBuffer(plan.buffer, plan.buffer_bytes, plan.batch)

    @property
    def counts(self) -> Counts:
        """What became of its events."""
        buffered = 0 if self._buffer is None else len(self._buffer)
        return Counts(self._delivery.stored, len(self.waiting), buffered, self.drops.counts)

    def start(self) -> None:
        """Begin to send; a process that ends may begin no threads any more (then `close` sends)."""
        works: list[Callable[[], None]] = [lambda: self._send(self.waiting)]
        buffer = self._buffer
        if buffer is not None:
            works = [self._keep, lambda: self._send(buffer)]
        threads = [threading.Thread(target=work, name="cube-emitter", daemon=True) for work in works]
        try:
            for thread in threads:
                thread.start()
        except RuntimeError:
            return
        self._threads = threads

    def flush(self, seconds: float | None) -> bool:
        """Wait until all that was taken is settled, at most so long; tell whether it is."""
        until = None if seconds is None else time.monotonic() + seconds
        if not self.waiting.flush(seconds):
            return False
        if self._buffer is None:
            return True
        return self._buffer.flush(None if until is None else max(0.0, until - time.monotonic()))

    def close(self, seconds: float) -> None:
        """Send what waits, for at most so long, and end; what is left is dropped, or stays in the buffer."""
        until = time.monotonic() + seconds
        if self._threads:
            self.flush(seconds)
        self._delivery.stop()
        left = self.waiting.stop()
        if self._buffer is not None:
            self._buffer.stop()
        for thread in self._threads:
            is_keeper = self._buffer is not None and thread is self._threads[0]
            if thread is not threading.current_thread():
                thread.join(max(_DISK_SECONDS if is_keeper else 0.1, until - time.monotonic()))
        self._finish(left)
        if self._buffer is not None:
            self._buffer.close()

    def before_fork(self) -> None:
        """Have nothing open that a new process must not inherit."""
        if self._buffer is not None:
            self._buffer.before_fork()

    def after_fork(self) -> None:
        """Go on, in the process that forked."""
        if self._buffer is not None:
            self._buffer.after_fork()

    def forget(self) -> None:
        """Give back, in the new process, what it has of the old one's."""
        if self._buffer is not None:
            self._buffer.forget()

    def _keep(self) -> None:
        """Move events from memory to disk."""
        while (batch := self.waiting.take()) is not None:
            self._put_by(batch.texts)
            self.waiting.settle(batch)

    def _put_by(self, texts: Sequence[bytes]) -> None:
        if self._buffer is None:
            raise TypeError("there is no buffer")
        try:
            self._buffer.append(texts)
        except Exception as error:  # a disk may fail in many ways, and the thread has to go on
            self.drops.add(Drop("full", f"they cannot be kept on disk ({error})", tuple(texts), len(texts)))

    def _send(self, source: _Source) -> None:
        while True:
            try:
                batch = source.take()
                if batch is None:
                    break
                left = self._delivery.deliver(batch.texts)
                if not left:
                    source.settle(batch)
                elif source is self.waiting:
                    self._drop_left(left)
            except Exception:  # the disk, or a fault of ours: without this thread nothing is sent any more
                _log.exception("events wait to be sent")
                time.sleep(_RECOVERY_SECONDS)
        self._delivery.close()

    def _finish(self, left: Sequence[bytes]) -> None:
        """Do with what no thread has taken what is possible now."""
        if not left:
            return
        if self._buffer is not None:
            self._put_by(left)
        elif self._threads:
            self._drop_left(left)
        else:
            for texts in grouped(left, self._plan.batch.events, self._plan.batch.bytes):
                self._drop_left(self._delivery.deliver(texts))
            self._delivery.close()

    def _drop_left(self, left: Sequence[bytes]) -> None:
        if left:
            message = "the emitter was closed before the collector took them"
            self.drops.add(Drop("closed", message, tuple(left), len(left)))
