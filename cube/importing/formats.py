"""What files may hold, and what is asked of an import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Final

import msgspec

from cube.errors import InvalidRequest
from cube.importing import times
from cube.importing.access_log import AccessLog
from cube.importing.databases import OtherCube, SquareDatabase, is_database
from cube.importing.delimited import DelimitedTable
from cube.importing.event_maker import EventMaker, Shape, type_of
from cube.importing.json_formats import JsonLines, JsonValues, NestedRecords
from cube.importing.opening import OpenedFile, local_name, sniffed
from cube.importing.record import Format


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """How files are read.

    ``type``, ``time``, ``id``, ``now``: of `EventMaker`. ``records``: the path to an array in JSON.
    ``format``: of `FORMATS`, None to find out. ``unit``, ``time_format``, ``zone``: of `times.TimeReading`.
    ``delimiter``, ``names``, ``kept``, ``encoding``, ``decimal``: of `DelimitedTable`. ``source_key``: for
    another Cube.
    """

    type: str | None = None
    time: str | None = None
    id: str | None = None
    now: bool = False
    records: str | None = None
    format: str | None = None
    unit: str = times.AUTO
    time_format: str | None = None
    zone: tzinfo = UTC
    delimiter: str | None = None
    names: tuple[str, ...] | None = None
    kept: frozenset[str] = frozenset()
    encoding: str = "utf-8-sig"
    decimal: str | None = None
    source_key: str | None = None

    def fingerprint(self, collector: str) -> str:
        """Return what tells these options, and where the events go, from others."""
        told = {
            name: getattr(self, name) for name in self.__slots__ if name not in ("zone", "kept", "source_key")
        }
        return msgspec.json.encode([collector, str(self.zone), sorted(self.kept), told]).decode()

    @property
    def finds_events(self) -> bool:
        """Whether what is an event stays one: nobody has said where another's time or id is."""
        return self.time is None and self.id is None and not self.now

    def database(self, url: str) -> Format:
        """Return the events of a database; raises `InvalidRequest` for options that do not apply to these."""
        given = {"--time": self.time, "--id": self.id, "--now": self.now, "--records": self.records}
        refused = [name for name, value in given.items() if value]
        if refused:
            raise InvalidRequest(f"Got {refused[0]} for a database; accepted are its events as they are.")
        if url.startswith("mongodb"):
            return SquareDatabase(url, self.type)
        return OtherCube(url, self.type, self.source_key)

    def form(self, file: OpenedFile) -> Format:
        """Return the records of a file; raises `InvalidRequest`."""
        if self.format is not None:
            return FORMATS[self.format](file, self)
        described = any(each is not None for each in (self.delimiter, self.names, self.decimal)) or self.kept
        return FORMATS["csv" if self._is_utf_16() else sniffed(file, described=bool(described))](file, self)

    def _is_utf_16(self) -> bool:
        """Tell whether the encoding is one of which only CSV is read, and nothing is recognised."""
        return self.encoding.lower().replace("_", "-").startswith(("utf-16", "utf16"))

    def maker(self, name: str) -> EventMaker:
        """Return what makes events of the records of a file of some name; raises `InvalidRequest`."""
        if is_database(name):
            return EventMaker(None, "", None, None, times.TimeReading(), shape=Shape.EVENT)
        otherwise = type_of(Path(local_name(name)).name)
        reading = times.reading(self.unit, self.time_format, self.zone)
        return EventMaker(self.type, otherwise, self.time, self.id, reading, self.now)


def _json(file: OpenedFile, options: ImportOptions) -> Format:
    if options.records is not None:
        return NestedRecords(file.plain, options.records)
    return JsonValues(file.plain)


def _json_lines(file: OpenedFile, options: ImportOptions) -> Format:
    return JsonLines(file.plain) if options.records is None else _json(file, options)


def _table(file: OpenedFile, options: ImportOptions) -> Format:
    return DelimitedTable(
        file.plain,
        delimiter=options.delimiter,
        names=options.names,
        kept=options.kept,
        encoding=options.encoding,
        decimal=options.decimal,
        has_events=options.finds_events,
    )


def _parquet(file: OpenedFile, options: ImportOptions) -> Format:
    from cube.importing.parquet import ParquetRows  # with pyarrow, which takes a while to import

    return ParquetRows(file.plain, has_events=options.finds_events)


def _access_log(file: OpenedFile, _: ImportOptions) -> Format:
    return AccessLog(file.plain)


FORMATS: Final[Mapping[str, Callable[[OpenedFile, ImportOptions], Format]]] = {
    "jsonl": _json_lines,
    "json": _json,
    "csv": _table,
    "log": _access_log,
    "parquet": _parquet,
}
"""The formats by their names."""
