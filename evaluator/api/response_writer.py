"""The JSON of an answer, written piece by piece, and no longer than it may be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeAlias, TypeVar

from cube import json_text
from cube.store.ports import TimeSlice
from cube.store.slices import in_thread
from cube.web import Growing, Unfinished
from evaluator.api.rows import Row
from evaluator.query.limits import AnswerDropped, LimitExceeded

T = TypeVar("T")
Show: TypeAlias = Callable[[Row], Mapping[str, Any]]

ROW_BYTES = 48
"""What a text takes beside its bytes."""

TOLD_BYTES = 64 * 1024
"""An answer tells how much it holds in steps of these."""

_END = object()


def same(row: Row) -> Row:
    """Show a row as it is."""
    return row


class Pieces:
    """The rows of one answer as JSON texts of ``bound`` bytes together at most; ``size``: so far.

    ``answers``: bounds what all answers hold together, from when they grow; what this one holds is given
    back at the end of a ``with`` block. Where others need the room more, ``rows`` are dropped, and what
    would add to them raises `AnswerDropped`.
    """

    def __init__(self, bound: int, answers: Unfinished | None = None) -> None:
        self.rows: list[bytes] = []
        self._bound = bound
        self.size = 0
        self._untold = 0
        self._growing = None if answers is None else Growing(answers, self._drop, AnswerDropped)
        self._give_up: Callable[[], object] | None = None

    def __enter__(self) -> Pieces:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @asynccontextmanager
    async def growing(self) -> AsyncIterator[None]:
        """Write in this block: what is waited for in it is given up where the rows are dropped."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                self._give_up = partial(loop.call_soon_threadsafe, _expire, limit)
                yield
        except TimeoutError:
            if self._growing is not None:
                self._growing.check()
            raise
        finally:
            self._give_up = None

    def hold(self, more: int) -> None:
        """Hold so many bytes more, or less, beside the rows; raises `AnswerDropped` as `add` does."""
        if self._growing is None:
            return
        if more > 0:
            self._growing.grow(more)
        else:
            self._growing.shrink(-more)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write some rows; raises `LimitExceeded` over the bound."""
        for row in rows:
            text = json_text.encode(row)
            self._add(len(text) + 1)
            self._grow(len(text) + ROW_BYTES)
            self.rows.append(text)
        self._tell()

    def weigh(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Do as `add` does, but keep nothing: the rows are written later."""
        for row in rows:
            self._add(len(json_text.encode(row)) + 1)

    def array(self) -> bytes:
        """Return the rows as one JSON array; they are held no more. Raises `AnswerDropped` as `add` does."""
        self._grow(self.size)
        self.complete()
        text = b"[" + b",".join(self.rows) + b"]"
        self.rows.clear()
        return text

    def complete(self) -> None:
        """Have all rows: they are not dropped any more. Raises `AnswerDropped` where they were."""
        self._tell()
        if self._growing is not None:
            self._growing.complete()

    def release(self) -> None:
        """Hold nothing any more."""
        if self._growing is not None:
            self._growing.release()

    def _drop(self) -> None:
        self.rows.clear()
        give_up = self._give_up
        if give_up is not None:
            give_up()

    def _add(self, size: int) -> None:
        if self.size + size > self._bound:
            raise LimitExceeded(
                f"The answer has more than {self._bound} bytes of JSON, which is the limit:"
                " take a shorter span or a lower limit, or name the fields that you need.",
                reason="bytes",
            )
        self.size += size

    def _grow(self, size: int) -> None:
        self._untold += size
        if self._untold >= TOLD_BYTES:
            self._tell()

    def _tell(self) -> None:
        if self._growing is not None:
            self._growing.grow(self._untold)
        self._untold = 0


def _expire(limit: asyncio.Timeout) -> None:
    with suppress(RuntimeError):  # the block has ended meanwhile
        limit.reschedule(asyncio.get_running_loop().time())


async def paced(parts: Iterator[T], time_slice: TimeSlice) -> AsyncGenerator[T, None]:
    """Yield what an iterator yields, each part made in a thread, in a turn of its own."""
    while True:
        async with time_slice():
            part = await in_thread(None, next, parts, _END)
        if part is _END:
            return
        yield part
