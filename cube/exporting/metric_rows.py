"""All values of a metric, from pages that come latest first, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

import msgspec

from cube.client.evaluator import AnswerPage
from cube.errors import InvalidRequest
from cube.exporting.table import ColumnKind, Row

METRIC_COLUMNS: Final[Mapping[str, ColumnKind]] = {"time": ColumnKind.TIME, "value": ColumnKind.FLOAT}
"""The columns of a metric that every one has."""


class MetricPages:
    """The pages of one answer, kept in a temporary file.

    Raises `InvalidRequest` where the answer has more than its pages: their rows would be no whole.
    """

    def __init__(self, pages: Iterable[AnswerPage], file: BinaryIO) -> None:
        self._file = file
        self._sizes: list[int] = []
        for page in pages:
            if not page.is_complete:
                raise InvalidRequest(
                    "There are more buckets than one answer has, and groups of top and bottom, and cumulative"
                    " values, are those of one; accepted are a shorter span, a longer step and --limit."
                )
            self._sizes.append(file.write(page.content))

    @property
    def has_rows(self) -> bool:
        """Whether there is any."""
        return any(size > len(b"[]") for size in self._sizes)

    def lines(self) -> Iterator[bytes]:
        """Yield the rows as JSON lines, ascending by time."""
        for content in self._ascending():
            yield b"".join(
                [bytes(row) + b"\n" for row in msgspec.json.decode(content, type=list[msgspec.Raw])]
            )

    def rows(self) -> Iterator[Sequence[Row]]:
        """Yield the rows of a table: ``{time, value?, group?, other?}``, each part of a group a column."""
        for content in self._ascending():
            page = msgspec.json.decode(content, type=list[dict[str, Any]])
            several = any(isinstance(row.get("group"), list) for row in page)
            yield list(map(_flat, page)) if several else page

    def _ascending(self) -> Iterator[bytes]:
        stop = sum(self._sizes)
        for size in reversed(self._sizes):
            stop -= size
            self._file.seek(stop)
            yield self._file.read(size)


def _flat(row: dict[str, Any]) -> Row:
    """Return a row with the parts of its group apart; the name of the rest is in the first."""
    group = row["group"] if isinstance(row["group"], list) else [row["group"]]
    parts = {f"group_{number}": part for number, part in enumerate(group, 1)}
    others = {name: value for name, value in row.items() if name not in ("group", "other")}
    return {**others, **parts, **({"other": True} if row.get("other") else {})}
