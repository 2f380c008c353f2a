"""Answers as the JSON objects of the native interface, written part by part, up to a limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, ClassVar, TypeAlias

from cube import json_text
from cube.model.grid import Grid
from cube.model.tier import Span
from cube.store.find import Found
from cube.web import MemoryBudget, Reply, Reservation
from evaluator.answers.rows import AnswerTexts, Row, event_rows, metric_parts, metric_texts, text_count
from evaluator.engine.series import Series
from evaluator.query.limits import AnswerDropped, LimitExceeded

Frame: TypeAlias = Callable[[Row], Mapping[str, Any]]

ROW_BYTES = 48
"""What a text takes beside its bytes."""

REPORT_BYTES = 64 * 1024
"""A writer reports how much it holds in steps of these."""


class AnswerSize:
    """Counts the bytes of an answer's JSON, of which there may be ``limit``; ``bytes``: so far."""

    def __init__(self, limit: int) -> None:
        self.bytes = 0
        self._limit = limit

    def add(self, more: int) -> None:
        """Count so many bytes more; raises `LimitExceeded` over the limit."""
        if self.bytes + more > self._limit:
            raise LimitExceeded(
                f"The answer has more than {self._limit} bytes of JSON, which is the limit:"
                " take a shorter span or a lower limit, or name the fields that you need.",
                reason="bytes",
            )
        self.bytes += more

    def add_rows(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Count rows that are written later, and somewhere else."""
        for row in rows:
            self.add(len(json_text.encode(row)) + 1)


class ResponseWriter:
    """The rows of one answer as JSON texts of ``limit`` bytes together at most; ``size``: so far.

    ``answers`` bounds what all answers hold together, from when they grow; what this one holds is given
    back at the end of a ``with`` block. Where others need the room more, ``rows`` are dropped, and what
    would add to them raises `AnswerDropped`. ``frame``: what a client is shown of a row, unless as it is.
    """

    is_slow: ClassVar[bool] = False
    """Whether even a few rows are better written in a thread."""

    has_texts: ClassVar[bool] = True
    """Whether rows are JSON texts."""

    def __init__(self, limit: int, answers: MemoryBudget, frame: Frame | None = None) -> None:
        self.rows: list[Any] = []  # of JSON texts, unless a subclass keeps others
        self._size = AnswerSize(limit)
        self._frame = frame
        self.all_ids = False
        self._unreported = 0
        self._growing = Reservation(answers, self._drop, AnswerDropped)
        self._give_up: Callable[[], object] | None = None

    def __enter__(self) -> ResponseWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @property
    def size(self) -> int:
        """The bytes of the answer so far."""
        return self._size.bytes

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Write in this block: what is waited for in it is given up where the rows are dropped."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                self._give_up = partial(loop.call_soon_threadsafe, _expire, limit)
                yield
        except TimeoutError:
            self._growing.check()
            raise
        finally:
            self._give_up = None

    def hold(self, more: int) -> None:
        """Hold so many bytes more, or less, beside the rows; raises `AnswerDropped` as `write` does."""
        if more > 0:
            self._growing.grow(more)
        else:
            self._growing.shrink(-more)

    def write(self, rows: Iterable[Row]) -> None:
        """Write some rows; raises `LimitExceeded` over the limit."""
        for row in rows if self._frame is None else map(self._frame, rows):
            self._take(json_text.encode(row))
        self._report()

    def write_found(self, found: Iterable[Found], may_end: bool) -> int:
        """Write some events and return how many; with ``may_end`` those up to the limit, if there are any."""
        rows = event_rows(found, all_ids=self.all_ids)
        texts = map(json_text.encode, rows if self._frame is None else map(self._frame, rows))
        return self.take_fitting(((text, len(text) + 1) for text in texts), may_end)

    def take_fitting(self, rows: Iterable[tuple[Any, int]], may_end: bool) -> int:
        """Take rows, each with its size in the answer, as `write_found` does."""
        before = len(self.rows)
        try:
            for row, size in rows:
                self.count(size)
                self.rows.append(row)
        except LimitExceeded:
            if not (may_end and self.rows):
                raise
        self._report()
        return len(self.rows) - before

    def count(self, size: int) -> None:
        """Count so many bytes more of the answer; raises as `write` does."""
        self._size.add(size)
        self._grow(size - 1 + ROW_BYTES)

    def write_metrics(self, series: Series, grid: Grid, span: Span) -> Iterator[None]:
        """Write the rows of a series, a part of them at each step; raises as `write` does."""
        if self._frame is not None:
            for rows in metric_parts(series, grid, span):
                self.write(rows)
                yield
            return
        left = text_count(series, grid, span)
        for text in metric_texts(series, grid, span):
            self._take(text)
            self._report()
            left -= 1
            if left:
                yield

    def write_kept(self, series: Series, grid: Grid, span: Span, texts: AnswerTexts) -> bool | None:
        """Write the rows of a series as they were written before; raises as `write` does.

        Returns whether it is silent; None where nothing is kept of it, and nothing was written.
        """
        found = texts.get(series, grid, span) if self.has_texts and self._frame is None else None
        if found is None:
            return None
        for part in found.parts:
            self._take(part)
        self._report()
        return found.is_silent

    def keep(self, series: Series, grid: Grid, span: Span, texts: AnswerTexts) -> None:
        """Keep what was written: the rows of a series and no others. Raises `AnswerDropped`."""
        parts = tuple(self.rows)
        self._growing.check()  # or they may have been dropped, and be some of them
        if self.has_texts and self._frame is None:
            texts.put(series, grid, span, parts)

    async def reply(self, headers: tuple[tuple[str, str], ...]) -> Reply:
        """Return the answer as a reply; raises as `array` does."""
        return Reply(self.array(), headers=headers)

    def array(self) -> bytes:
        """Return the rows as one JSON array; they are held no more. Raises as `write` does."""
        self._grow(self.size)
        self.complete()
        parts = [b","] * max(2, 2 * len(self.rows) + 1)
        parts[0], parts[-1] = b"[", b"]"
        parts[1:-1:2] = self.rows
        self.rows.clear()
        return b"".join(parts)  # the whole is copied once: it may be megabytes

    def complete(self) -> None:
        """Have all rows: they are not dropped any more. Raises `AnswerDropped` where they were."""
        self._report()
        self._growing.complete()

    def release(self) -> None:
        self._growing.release()

    def _drop(self) -> None:
        self.rows.clear()
        give_up = self._give_up
        if give_up is not None:
            give_up()

    def _take(self, text: bytes) -> None:
        self.count(len(text) + 1)
        self.rows.append(text)

    def _grow(self, size: int) -> None:
        self._unreported += size
        if self._unreported >= REPORT_BYTES:
            self._report()

    def _report(self) -> None:
        self._growing.grow(self._unreported)
        self._unreported = 0


def _expire(limit: asyncio.Timeout) -> None:
    with suppress(RuntimeError):  # the block has ended meanwhile
        limit.reschedule(asyncio.get_running_loop().time())
