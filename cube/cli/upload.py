"""JSON lines become stored events, in their order and in batches, up to the first that cannot.

Each event has an id that a second reading finds again.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TextIO, TypeAlias

import msgspec

from cube.client.emitter import BATCH_BYTES, BATCH_EVENTS, RawEvent
from cube.errors import InvalidEvent, InvalidRequest
from cube.importing.json_formats import read_lines as numbered_lines
from cube.model.event import Event

TERMINAL_SECONDS = 0.5
FILE_SECONDS = 10.0
"""How often progress is told: on a terminal, where one line is written again and again, and elsewhere."""

Send: TypeAlias = Callable[[Iterable[RawEvent]], int]
"""Stores events durably, or raises; ``index`` in an `InvalidRequest` is that of the first bad one."""

_ID_BYTES = 16
_ELSE = "`cube import` reads files of other forms"


@dataclass(frozen=True, slots=True)
class InputLine:
    """A line of a file; ``number`` from 1. ``error``: why it is not an event, else None.

    ``has_random_id``: another reading gives its event another id. ``unknown``: keys of it that no event
    has, and that are not stored.
    """

    number: int
    content: bytes
    event: dict[str, Any]
    error: str | None = None
    has_random_id: bool = False
    unknown: tuple[str, ...] = ()


def read_lines(file: BinaryIO) -> Iterator[InputLine]:
    """Yield the lines of a file of JSON lines; blank ones are passed over.

    An event without an id gets one that is made of its line and the number of that: the same in each
    reading, and another one for an equal line further down. Where an event has no time either, equal ones
    of several days are several events: its id is made of the file as well, and of a pipe, which is never
    the same again, of chance.
    """
    identity = _identity(file)
    source, is_random = identity or secrets.token_bytes(_ID_BYTES), identity is None
    for line in numbered_lines(file):
        if line.error is not None:
            yield InputLine(line.number, line.content, {}, line.error)
        else:
            yield _line(line.number, line.content, source, is_random=is_random)


class StoppedAt(Exception):
    """A line cannot be stored; all before it are, and none after it."""

    def __init__(self, line: InputLine, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def unwritable(name: str, error: OSError) -> InvalidRequest:
    """Return what is told of a file for bad lines that cannot be written."""
    return InvalidRequest(f"The file {name} cannot be written: {error.strerror}.")


class Skipped:
    """Takes the lines that cannot be stored; ``lines``: how many these are."""

    def __init__(self, file: BinaryIO, tell: Callable[[int, InputLine, str], None]) -> None:
        self.lines = 0
        self._file = file
        self._tell = tell

    def take(self, line: InputLine, reason: str) -> None:
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


class Uploader:
    """Stores lines, ``send`` their events in batches: of an `Emitter`.

    ``stored``: how many events; ``random_ids``: those of them that another run would store again; ``line``:
    the last one that is settled.

    A request that is refused for one event stores nothing: what stands before it is sent again, alone.
    """

    def __init__(self, send: Send, skipped: Skipped | None, progress: Progress) -> None:
        self.stored = self.random_ids = self.line = 0
        self._send_events = send
        self._skipped = skipped
        self._progress = progress

    def put(self, lines: Iterable[InputLine]) -> None:
        """Store all lines.

        Raises what ``send`` does, and `StoppedAt` for a bad line unless such are skipped.
        """
        waiting: list[InputLine] = []
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

    def _bad(self, before: list[InputLine], line: InputLine, reason: str) -> None:
        if self._skipped is None:
            self._send(before)  # one of these may be bad, too, and is then the first
            raise StoppedAt(line, reason)
        self._skipped.take(line, reason)

    def _send(self, waiting: list[InputLine]) -> None:
        while waiting:
            bad, error = self._first_bad(waiting)
            if error is None:
                self._settle(waiting, len(waiting))
                return
            if bad:
                self._send_events([line.event for line in waiting[:bad]])
                self._settle(waiting, bad)
            line = waiting.pop(0)
            self._bad([], line, error.message)
            self.line = line.number

    def _first_bad(self, waiting: Sequence[InputLine]) -> tuple[int, InvalidRequest | None]:
        try:
            self._send_events([line.event for line in waiting])
        except InvalidRequest as error:
            index = error.details.get("index")
            if not isinstance(index, int):
                raise
            return index, error
        return len(waiting), None

    def _settle(self, waiting: list[InputLine], count: int) -> None:
        self.stored += count
        self.random_ids += sum(line.has_random_id for line in waiting[:count])
        self.line = waiting[count - 1].number
        del waiting[:count]
        self._progress.tell(self.stored, self.line)


def _line(number: int, content: bytes, source: bytes, *, is_random: bool) -> InputLine:
    unknown: list[str] = []
    try:
        event = msgspec.json.decode(content, type=dict[str, Any])
        Event.parse(event, now=time.time_ns() // 1_000_000, note_unknown=unknown.extend)
    except msgspec.ValidationError:
        found = "The line is not a JSON object; accepted is {type, time?, id?, data?}"
        return InputLine(number, content, {}, f"{found}; {_ELSE}.")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return InputLine(number, content, {}, f"The line is not JSON: {error}; {_ELSE}.")
    except InvalidEvent as error:
        return InputLine(number, content, {}, error.message)
    if "id" in event:
        return InputLine(number, content, event, unknown=tuple(unknown))
    timed = "time" in event
    hashed = hashlib.sha256(b"%d:%d:" % (number, len(content)) + content + (b"" if timed else source))
    event["id"] = hashed.digest()[:_ID_BYTES].hex()
    return InputLine(number, content, event, has_random_id=is_random and not timed, unknown=tuple(unknown))


def _identity(file: BinaryIO) -> bytes | None:
    """Return what tells a file from others, and is the same the next time; None for a pipe or terminal."""
    try:
        status = os.fstat(file.fileno())
    except OSError:  # no file of the system's
        return None
    return b"%d:%d" % (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) else None
