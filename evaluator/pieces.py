"""The JSON of an answer, written piece by piece, and no longer than it may be."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

from cube.store.slices import in_thread
from cube.store.terms import Pace
from cube.web import json_text
from evaluator.answers import Row
from evaluator.refusals import TooMuch

T = TypeVar("T")
Show: TypeAlias = Callable[[Row], Mapping[str, Any]]

_END = object()


def same(row: Row) -> Row:
    """Show a row as it is."""
    return row


class Pieces:
    """The rows of one answer as JSON texts of ``bound`` bytes together at most; ``size``: so far."""

    def __init__(self, bound: int) -> None:
        self.rows: list[bytes] = []
        self._bound = bound
        self.size = 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write some rows; raises `TooMuch` over the bound."""
        for row in rows:
            text = json_text.encode(row)
            self._add(len(text) + 1)
            self.rows.append(text)

    def weigh(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Do as `add` does, but keep nothing: the rows are written later."""
        for row in rows:
            self._add(len(json_text.encode(row)) + 1)

    def array(self) -> bytes:
        """Return the rows as one JSON array."""
        return b"[" + b",".join(self.rows) + b"]"

    def _add(self, size: int) -> None:
        if self.size + size > self._bound:
            raise TooMuch(
                f"The answer has more than {self._bound} bytes of JSON, which is the limit:"
                " take a shorter span or a lower limit, or name the fields that you need.",
                reason="bytes",
            )
        self.size += size


async def paced(parts: Iterator[T], pace: Pace) -> AsyncGenerator[T, None]:
    """Yield what an iterator yields, each part made in a thread, in a turn of its own."""
    while True:
        async with pace():
            part = await in_thread(None, next, parts, _END)
        if part is _END:
            return
        yield part
