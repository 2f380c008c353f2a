"""Turns of the processes that write to one file: who waits is woken when the one before has committed.

SQLite's own waiting looks again after 1 ms, 2 ms, and up to 100 ms, while who has just committed comes back
at once: with two processes that are busy one of them waits for a second now and then.

A turn is a byte in a pipe: to read it takes the turn, to write it gives it on. It is advice alone, for
SQLite's lock decides. So whoever has waited for `PATIENCE_SECONDS`, because the byte went with a process that
was killed, or one is stopped in its turn, goes on without, and puts a byte in that the next ones find.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PATIENCE_SECONDS: Final = 1.0
"""Longer than nearly all commits."""

_MOST: Final = 64  # bytes: each process brings one, and a turn takes out all that there are


class Turns:
    """The turns of one file, for one thread of each process that has the same pipe open.

    ``path``: of the pipe, which is made where it is missing; not beside the database, where a backup would
    try to read it. Raises `OSError` where it cannot be made.
    """

    def __init__(self, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        with suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN)
        self._patience_seconds = patience_seconds
        self.give()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Run a block in a turn, or after `PATIENCE_SECONDS`."""
        self.take()
        try:
            yield
        finally:
            self.give()

    def take(self) -> bool:
        """Wait for a turn; return whether it came in time."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            with suppress(BlockingIOError):
                os.read(self._pipe, _MOST)
                return True
            left = deadline - time.monotonic()
            if left <= 0 or not self._wait(left):
                return False

    def give(self) -> None:
        """Let the next one have its turn."""
        with suppress(BlockingIOError):  # it is full of turns
            os.write(self._pipe, b".")

    def close(self) -> None:
        os.close(self._pipe)

    def _wait(self, seconds: float) -> bool:
        return bool(self._poll.poll(1000 * seconds))
