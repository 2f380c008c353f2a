"""The snapshots that are being read, and the end of those for which the log cannot restart."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Protocol

from cube.store.sqlite.checkpoint import LogBounds

LOOK_SECONDS = 0.1


class Snapshot(Protocol):
    """Something that holds a read transaction, since a moment of `time.monotonic`."""

    @property
    def since(self) -> float:
        """When it was taken."""

    def give_up(self) -> None:
        """Release it, now or as soon as its read has stopped; may be called again, from any thread."""


class Snapshots:
    """The snapshots of one process; a thread looks after them while there are any.

    Where the log of the database is long, those older than the bounds allow are given up: each keeps all
    that was written since it was taken in the log.
    """

    def __init__(self, path: Path, bounds: LogBounds) -> None:
        self._file = Path(f"{path}-wal")
        self._bounds = bounds
        self._held: set[Snapshot] = set()
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    def add(self, snapshot: Snapshot) -> None:
        """Look after a snapshot from now on."""
        with self._changed:
            self._held.add(snapshot)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cube-snapshots", daemon=True)
                self._thread.start()
            elif len(self._held) == 1:
                self._changed.notify()

    def remove(self, snapshot: Snapshot) -> None:
        """Look after a snapshot no more."""
        with self._changed:
            self._held.discard(snapshot)

    def close(self) -> None:
        """End the thread; blocks."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._held)
                if self._closed:
                    return
                self._changed.wait(LOOK_SECONDS)
                held = list(self._held)
            self._relieve(held)

    def _relieve(self, held: list[Snapshot]) -> None:
        begun = time.monotonic() - self._bounds.lasting(self._length())
        for snapshot in held:
            if snapshot.since < begun:
                snapshot.give_up()

    def _length(self) -> int:
        try:
            return self._file.stat().st_size
        except OSError:
            return 0
