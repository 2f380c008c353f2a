"""The formats of tables, by name and by the names of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from cube.exporting.csv_file import write_csv
from cube.exporting.parquet_file import write_parquet
from cube.exporting.table import NamedColumn, Rows

WriteTable: TypeAlias = Callable[[BinaryIO, Sequence[NamedColumn], Rows], None]

JSON: Final = "json"

TABLES: Final[dict[str, WriteTable]] = {"csv": write_csv, "parquet": write_parquet}
"""The formats that have columns; each writes a table."""

BINARY: Final = frozenset({"parquet"})

FORMATS: Final = (JSON, *TABLES)


def format_of(given: str | None, output: Path | None) -> str:
    """Return the format that was given, or that of a file's name."""
    if given is not None:
        return given
    suffix = "" if output is None else output.suffix.lower().removeprefix(".")
    return suffix if suffix in TABLES else JSON
