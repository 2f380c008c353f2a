"""The formats of tables, by name and by the names of files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from cube.errors import InvalidRequest
from cube.exporting.csv_file import write_csv
from cube.exporting.parquet_file import write_parquet
from cube.exporting.table import NamedColumn, Rows

WriteTable: TypeAlias = Callable[[BinaryIO, Sequence[NamedColumn], Rows], None]

JSON: Final = "json"

TABLES: Final[dict[str, WriteTable]] = {"csv": write_csv, "parquet": write_parquet}
"""The formats that have columns; each writes a table."""

BINARY: Final = frozenset({"parquet"})

FORMATS: Final = (JSON, *TABLES)

_NAMES: Final[Mapping[str, str]] = {each: each for each in TABLES}

_NOT_MADE: Final = frozenset(
    {"gz", "zst", "bz2", "xz", "zip", "xlsx", "xls", "ods", "tsv", "arrow", "feather", "orc", "avro"}
)
"""Endings of files that hold something else than JSON lines, or these compressed."""


def format_of(
    given: str | None, output: Path | None, names: Mapping[str, str] = _NAMES, otherwise: str = JSON
) -> str:
    """Return the format that was given, or that of a file's name.

    ``names``: formats by the ends of names; ``otherwise``: of any other name. Raises `InvalidRequest` for a
    name that says what nobody would find in the file.
    """
    if given is not None:
        return given
    suffix = "" if output is None else output.suffix.lower().removeprefix(".")
    if suffix not in names and suffix in _NOT_MADE:
        endings = ", ".join(f".{name}" for name in dict.fromkeys((*names, "jsonl")))
        raise InvalidRequest(f"Got the file {output}; accepted are names that end in {endings}, or --format.")
    return names.get(suffix, otherwise)
