"""The cells of a table of text as values: each column has one kind, which its first rows tell.

A column of numbers stays one of numbers, and a column of texts one of texts, whatever a single cell looks
like: a ZIP code ``90210`` beside ``01234`` is text, and so is what has a leading zero or more than 64 bits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from cube.importing import json_columns
from cube.json_text import encode
from cube.model.event import MAX_INTEGER, MIN_INTEGER

SAMPLE_ROWS: Final = 1000
"""So many rows tell the kinds of their columns."""

Reading: TypeAlias = Callable[[str], Any]
"""Reads a cell; None stands for no value."""

NULLS: Final = frozenset(("", "\\N"))
"""No value in any column: empty, or as PostgreSQL and ClickHouse write it."""

_NOT_NUMBERS: Final = NULLS | frozenset(
    ("NULL", "null", "NA", "N/A", "n/a", "#N/A", "None", "nan", "NaN", "NAN", "-nan", "NaT", "<NA>", "inf",
     "-inf", "Inf", "-Inf", "INF", "-INF", "Infinity", "-Infinity", "infinity", "-infinity")
)  # fmt: skip
"""No value in a column of numbers; elsewhere text, for NA is a country too."""

_BOOLEANS: Final = {"true": True, "false": False, "t": True, "f": False}  # PostgreSQL's are t and f
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_MARKED: Final = {
    mark: re.compile(
        rf"-?(?:[0-9]{{1,3}}(?:{re.escape(other)}[0-9]{{3}})+|[0-9]*)"
        rf"(?:{re.escape(mark)}[0-9]*)?(?:[eE][+-]?[0-9]+)?",
        re.ASCII,
    )
    for mark, other in ((",", "."), (".", ","))
}
"""Numbers by the mark before their fraction; the other one may stand between thousands."""
_SHORT_NUMBERS = re.compile(r"(?:(?:-?(?:0|[1-9][0-9]{0,16})(?:\.[0-9]{1,16})?)?,)*+", re.ASCII)
"""Cells of a column, a comma behind each, that are numbers in JSON as they stand, or empty."""

_HAS_DIGIT = re.compile(r"-?\.?[0-9]", re.ASCII)


def readings(
    names: Sequence[str], sample: Sequence[Sequence[str]], kept: frozenset[str], decimal: str | None = None
) -> list[Reading]:
    """Return how the cells of each column are read; those of ``kept`` names stay text.

    ``decimal``: the mark before a number's fraction, a comma or a point; the other one may then stand
    between thousands. None: a point, and no thousands are marked.
    """
    numeric: Reading = number if decimal is None else partial(_marked_number, _MARKED[decimal], decimal)
    columns = list(zip(*sample, strict=True)) or [()] * len(names)
    return [
        text if name in kept else _reading(column, numeric)
        for name, column in zip(names, columns, strict=True)
    ]


def comma_columns(names: Sequence[str], sample: Sequence[Sequence[str]]) -> list[str]:
    """Return the columns that have numbers with commas in them alone, which are texts as they stand."""
    return [
        name
        for name, column in zip(names, zip(*sample, strict=True), strict=False)
        if any("," in cell for cell in column)
        and all(
            any(type(_marked_number(_MARKED[mark], mark, cell)) is not str for mark in ",.")
            for cell in column
        )
    ]


def row(names: Sequence[str], reads: Sequence[Reading], cells: Sequence[str]) -> Mapping[str, Any]:
    """Return a row as an object; what has no value is left out."""
    return {
        name: value
        for name, read, cell in zip(names, reads, cells, strict=True)
        if (value := read(cell)) is not None
    }


def rows_as_json(
    names: Sequence[str], reads: Sequence[Reading], rows: Sequence[Sequence[str]]
) -> list[bytes]:
    """Return rows as JSON objects, each as `row` has it; raises `UnicodeError` where one is not Unicode."""
    columns = [
        _column_as_json(read, column) for read, column in zip(reads, zip(*rows, strict=True), strict=True)
    ]
    return json_columns.objects(names, columns)


def _column_as_json(read: Reading, cells: Sequence[str]) -> list[bytes | None]:
    if read is text and "\\N" not in cells:
        whole = json_columns.texts(cells)
        if "" in cells:
            return [each if cell else None for cell, each in zip(cells, whole, strict=True)]
        return [*whole]
    if read is number:
        joined = ",".join(cells) + ","
        if joined.count(",") == len(cells) and _SHORT_NUMBERS.fullmatch(joined):
            return [each or None for each in joined[:-1].encode().split(b",")]
    known = {cell: read(cell) for cell in set(cells)}
    told = {cell: None if value is None else encode(value) for cell, value in known.items()}
    return [told[cell] for cell in cells]


def text(cell: str) -> str | None:
    """Read a cell of a column of texts."""
    return None if cell in NULLS else cell


def number(cell: str) -> float | int | str | None:
    """Read a cell of a column of numbers; what is none stays text, so that nothing is lost."""
    if _INTEGER.fullmatch(cell):
        value = int(cell)
        return value if MIN_INTEGER <= value <= MAX_INTEGER else cell
    if _is_number(cell):
        return float(cell)
    return None if cell in _NOT_NUMBERS else cell


def _marked_number(marked: re.Pattern[str], decimal: str, cell: str) -> float | int | str | None:
    """Read a cell of a column of numbers that have marks; what is none stays text."""
    if not marked.fullmatch(cell):
        return None if cell in _NOT_NUMBERS else cell
    value = number(cell.replace("," if decimal == "." else ".", "").replace(decimal, "."))
    return cell if isinstance(value, str) else value


def boolean(cell: str) -> bool | str | None:
    """Read a cell of a column of booleans; what is none stays text."""
    return None if cell in NULLS else _BOOLEANS.get(cell.lower(), cell)


def _reading(column: Sequence[str], numeric: Reading) -> Reading:
    there = set(column) - NULLS
    if there and all(cell.lower() in _BOOLEANS for cell in there):
        return boolean
    numbers = there - _NOT_NUMBERS
    return numeric if numbers and all(type(numeric(cell)) is not str for cell in numbers) else text


def _is_number(cell: str) -> bool:
    """Tell whether a cell is a number that a double holds, other than as an integer."""
    if not (_NUMBER.fullmatch(cell) and _HAS_DIGIT.match(cell)) or cell.lstrip("-").isdigit():
        return False
    return abs(float(cell)) != float("inf")
