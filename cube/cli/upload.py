"""Lines become stored events, in their order and in batches, up to the first that cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Protocol, TextIO

from cube.cli.json_lines import Line
from cube.client.emitter import BATCH_BYTES, BATCH_EVENTS, RawEvent
from cube.errors import InvalidRequest

TERMINAL_SECONDS = 0.5
FILE_SECONDS = 10.0
"""How often progress is told: on a terminal, where one line is written again and again, and elsewhere."""


class Sender(Protocol):
    """What stores events: an `Emitter`."""

    def send(self, events: Iterable[RawEvent]) -> int:
        """Store events durably, or raise; ``index`` in an `InvalidRequest` is that of the first bad one."""


class StoppedAt(Exception):
    """A line cannot be stored; all before it are, and none after it."""

    def __init__(self, line: Line, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def unwritable(name: str, error: OSError) -> InvalidRequest:
    """Return what is told of a file for bad lines that cannot be written."""
    return InvalidRequest(f"The file {name} cannot be written: {error.strerror}.")


class Skipped:
    """Takes the lines that cannot be stored; ``lines``: how many these are."""

    def __init__(self, file: BinaryIO, tell: Callable[[int, Line, str], None]) -> None:
        self.lines = 0
        self._file = file
        self._tell = tell

    def take(self, line: Line, reason: str) -> None:
        """Write a line to the file, at once: the process may be stopped. Raises `InvalidRequest`."""
        try:
            self._file.write(line.content.rstrip(b"\n") + b"\n")
            self._file.flush()
        except OSError as error:
            raise unwritable(self._file.name, error) from None
        self.lines += 1
        self._tell(self.lines, line, reason)


class Progress:
    """Tells now and then how far one is."""

    def __init__(self, to: TextIO, clock: Callable[[], float]) -> None:
        self._to = to
        self._clock = clock
        self._live = to.isatty()
        self._pause = TERMINAL_SECONDS if self._live else FILE_SECONDS
        self._next = clock() + self._pause
        self._told = False

    def tell(self, stored: int, line: int) -> None:
        """Tell how many events are stored, and up to which line."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + self._pause
        self._told = True
        end = "\r" if self._live else "\n"
        self._to.write(f"{stored} events stored, up to line {line} …{end}")
        self._to.flush()

    def end(self) -> None:
        """Leave the line that was written again and again."""
        if self._live and self._told:
            self._to.write("\n")


class Deposit:
    """Stores lines by a sender.

    ``stored``: how many events; ``fleeting``: those of them that another run would store again; ``line``:
    the last one that is settled.

    A request that is refused for one event stores nothing: what stands before it is sent again, alone.
    """

    def __init__(self, sender: Sender, skipped: Skipped | None, progress: Progress) -> None:
        self.stored = self.fleeting = self.line = 0
        self._sender = sender
        self._skipped = skipped
        self._progress = progress

    def put(self, lines: Iterable[Line]) -> None:
        """Store all lines.

        Raises what the sender does, and `StoppedAt` for a bad line unless such are skipped.
        """
        waiting: list[Line] = []
        size = 0
        try:
            for line in lines:
                if line.error is not None:
                    self._bad(waiting, line, line.error)
                    continue
                waiting.append(line)
                size += len(line.content)
                if len(waiting) == BATCH_EVENTS or size > BATCH_BYTES:
                    self._send(waiting)
                    size = 0
            self._send(waiting)
        finally:
            self._progress.end()

    def _bad(self, before: list[Line], line: Line, reason: str) -> None:
        if self._skipped is None:
            self._send(before)  # one of these may be bad, too, and is then the first
            raise StoppedAt(line, reason)
        self._skipped.take(line, reason)

    def _send(self, waiting: list[Line]) -> None:
        while waiting:
            bad, error = self._first_bad(waiting)
            if error is None:
                self._settle(waiting, len(waiting))
                return
            if bad:
                self._sender.send([line.event for line in waiting[:bad]])
                self._settle(waiting, bad)
            line = waiting.pop(0)
            self._bad([], line, error.message)
            self.line = line.number

    def _first_bad(self, waiting: Sequence[Line]) -> tuple[int, InvalidRequest | None]:
        try:
            self._sender.send([line.event for line in waiting])
        except InvalidRequest as error:
            index = error.details.get("index")
            if not isinstance(index, int):
                raise
            return index, error
        return len(waiting), None

    def _settle(self, waiting: list[Line], count: int) -> None:
        self.stored += count
        self.fleeting += sum(line.fleeting for line in waiting[:count])
        self.line = waiting[count - 1].number
        del waiting[:count]
        self._progress.tell(self.stored, self.line)
