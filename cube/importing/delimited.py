"""CSV and its kin: cells with a comma, tab, semicolon or bar between, the columns' names in the first row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, BinaryIO, ClassVar, Final

from cube.errors import InvalidRequest
from cube.importing import own_exports
from cube.importing.cells import SAMPLE_ROWS, Reading, comma_columns, readings, row, rows_as_json
from cube.importing.recognition import delimiter_of
from cube.importing.record import LONGEST_RECORD, SourceRecord
from cube.json_text import encode

_EXPORTED: Final = (*own_exports.COLUMNS, "id", "made_id")
_BETWEEN = "\x1f"  # in what tells a row from others


class DelimitedTable:
    """The rows below the names of columns. ``delimiter``: None to find it in the first row.

    ``names``: of the columns, where the file has no row with them. ``kept``: columns that stay text.
    ``decimal``: as of `readings`. ``with_commas``: columns of numbers that stay text for want of it.
    ``has_events``: rows of ``cube export`` are events. ``is_export``: whether they were taken for such.
    """

    counts: ClassVar[str] = "line"
    is_json: ClassVar[bool] = False

    def __init__(
        self,
        file: BinaryIO,
        *,
        delimiter: str | None = None,
        names: Sequence[str] | None = None,
        kept: frozenset[str] = frozenset(),
        encoding: str = "utf-8-sig",
        decimal: str | None = None,
        has_events: bool = False,
    ) -> None:
        errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        self._text = io.TextIOWrapper(file, encoding, errors, newline="")
        self._delimiter = delimiter
        self._names = names
        self._kept = kept
        self._decimal = decimal
        self._may_have_events = has_events
        self.is_export = False
        self.with_commas: list[str] = []
        self._reads: list[Reading] = []

    def records(self) -> Iterator[SourceRecord]:
        """Yield the rows; a row with too many or too few cells is a record with an error."""
        csv.field_size_limit(LONGEST_RECORD)
        try:
            yield from self._table()
        finally:
            self._text.detach()  # the file is its opener's to close

    def _table(self) -> Iterator[SourceRecord]:
        first = "" if self._names else self._text.readline()
        start = 1 if first else 0
        delimiter = self._delimiter or delimiter_of(first)
        if self._names is None:
            while first.count('"') % 2 and (more := self._text.readline()):  # a name over several lines
                first, start = first + more, start + 1
            self._names = _named(next(csv.reader([first], delimiter=delimiter), []))
        self._kept_known(self._names)
        yield from self._typed(self._rows(csv.reader(self._text, delimiter=delimiter), start))

    @property
    def names(self) -> Sequence[str]:
        """The columns' names, once the first row is read."""
        return self._names or ()

    def value(self, record: SourceRecord) -> Any:
        """Return a row as an object, without the columns in which it has nothing."""
        found = row(self._names or (), self._reads, record.value)
        if not self.is_export:
            return found
        cells = {name: own_exports.value_of(value) for name, value in found.items()}
        return own_exports.event_of({**cells, "id": own_exports.id_of(found.get("id"))})

    def texts(self, records: Sequence[SourceRecord]) -> list[bytes | None]:
        """Return the JSON of rows without errors."""
        if self.is_export:
            for record in records:
                record.content.decode()  # `encode` would mend what is not Unicode
            return [encode(self.value(record)) for record in records]
        return [*rows_as_json(self._names or (), self._reads, [record.value for record in records])]

    def _kept_known(self, names: Sequence[str]) -> None:
        unknown = self._kept.difference(names)
        if unknown:
            raise InvalidRequest(
                f"Got the column {min(unknown)!r} for --text; accepted are {', '.join(names)}."
            )

    def _typed(self, rows: Iterator[SourceRecord]) -> Iterator[SourceRecord]:
        """Find out the columns' kinds from the first rows, then yield all."""
        names = self._names or ()
        sample = list(islice(rows, SAMPLE_ROWS))
        good = [each.value for each in sample if each.error is None]
        self.is_export = self._may_have_events and own_exports.is_export(names, good)
        kept = self._kept | (frozenset(_EXPORTED) if self.is_export else frozenset())
        self._reads = readings(names, good, kept, self._decimal)
        if self._decimal is None:
            self.with_commas = [name for name in comma_columns(names, good) if name not in self._kept]
        yield from sample
        yield from rows

    def _rows(self, rows: Any, start: int) -> Iterator[SourceRecord]:
        names = self._names or ()
        head = _joined([*names, ""])  # equal cells under other names are another record
        number = start + 1
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except (csv.Error, UnicodeError) as error:
                raise InvalidRequest(
                    f"Line {number} cannot be read as CSV: {error}; accepted are lines in the encoding that"
                    " --encoding names, with a quote at the end of each quoted cell."
                ) from None
            if cells:
                yield _row(number, cells, len(names), head)
            number = start + rows.line_num + 1


def _row(number: int, cells: list[str], width: int, head: bytes) -> SourceRecord:
    content = _joined(cells)
    if len(cells) > width and not any(cells[width:]):  # a delimiter at the end of the line
        del cells[width:]
    if len(cells) == width:
        return SourceRecord(number, head + content, None, cells)
    error = f"It has {len(cells)} cells, and {width} columns are named; accepted is one for each."
    return SourceRecord(number, content, error, cells)


def _joined(cells: Sequence[str]) -> bytes:
    return _BETWEEN.join(cells).encode(errors="surrogateescape")


def _named(cells: Sequence[str]) -> list[str]:
    """Return names for columns: an empty one, as of pandas' index, and one that comes again get numbers."""
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = cell.strip() or f"column_{number}"
        while name in names:
            name += f"_{number}"
        names.append(name)
    return names
