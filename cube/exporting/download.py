"""All events of a question as JSON lines in a file, page by page, and where one is, to go on from there.

Each line is an event as collectors take it, ``{"type", "id"?, "time", "data"?}``: what the evaluator sent,
with nothing decoded and written anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Final

import msgspec

from cube.client.evaluator import AnswerPage, Evaluator

FIRST_PAGE: Final = 1_000
PAGE_BYTES: Final = 4 * 2**20
"""Pages have as many events as take about so many bytes: they are in memory, here and there."""

MOST_EVENTS: Final = 100_000
PART_BYTES: Final = 4 * 2**20
"""Lines are read again in parts of about so many bytes."""


class ExportQuestion(msgspec.Struct, frozen=True):
    """What is exported: events of a type that an expression selects; ``start``, ``stop``: instants."""

    type: str
    expression: str
    start: int
    stop: int


class Reached(msgspec.Struct, frozen=True):
    """How far an export has come: behind ``cursor``, with so many events in so many bytes of lines."""

    cursor: str = ""
    events: int = 0
    bytes: int = 0


def download(
    evaluator: Evaluator,
    question: ExportQuestion,
    to: BinaryIO,
    reached: Reached,
    note: Callable[[Reached, AnswerPage], None],
) -> Reached:
    """Write the lines of all events that come behind a place; ``note`` is called after each page is written.

    Raises what the evaluator says, and `OSError`.
    """
    head = b'{"type":"%s",' % question.type.encode()
    pages = evaluator.event_pages(
        question.expression,
        start=question.start,
        stop=question.stop,
        limit=FIRST_PAGE,
        after=reached.cursor,
        all_ids=True,
    )
    page = next(pages)
    while True:
        rows = page.rows
        lines = b"".join([b"%b%b\n" % (head, bytes(row)[1:]) for row in rows])
        to.write(lines)
        reached = Reached(page.cursor, reached.events + len(rows), reached.bytes + len(lines))
        note(reached, page)
        try:
            page = pages.send(next_limit(len(rows), len(lines)))
        except StopIteration:
            return reached


def next_limit(events: int, size: int) -> int:
    """Return how many events the next page should have, after one of so many that took so many bytes."""
    if not events:
        return FIRST_PAGE
    return max(1, min(MOST_EVENTS, PAGE_BYTES * events // size))


def parts_of(file: BinaryIO) -> Iterator[Sequence[dict[str, Any]]]:
    """Read JSON lines from the beginning, decoded, some at a time."""
    file.seek(0)
    while lines := file.readlines(PART_BYTES):
        yield msgspec.json.decode(b"[" + b",".join(lines) + b"]")
