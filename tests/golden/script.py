"""The scripts' language: lines of ``load``, ``eval`` and ``parse``, with indented lines that belong to them.

::

    day 2026-01-05                              the day of all times below that have none
    load request                                events of a type: time, then data (absent: none)
        12:00:01      {"ms": 12}
        12:00:01.500  {"ms": 3}  "b"            and an id, as JSON; made otherwise
    eval sum(request(ms)) at 10s from 12:00:00 to 12:00:30
        15 0 0                                  a value for each bucket; - is no value
    eval sum(request) at 1w/sunday in Europe/Berlin from 2026-01-05T00:00Z to 2026-02-05T00:00Z
        1 2 3 4 5 6                             by the clocks of a zone, weeks from another day
    eval sum(request(ms)).group(host) at 1m from 12:00:00 to 12:02:00
        "a"  12 0                               a row for each group, as JSON
        rest  3 0                               and for the rest, where there is one
    parse sum( request )                        the canonical text
        sum(request)
    parse sum(request                           or the error's place and beginning
        error 1:12 Expected

In a document the lines between ``` ```script ``` and the next fence are the script.
An event whose id was loaded before takes its place. A line that begins with ``#`` is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cube.model import instant
from cube.model.event import ABSENT, Event
from cube.model.grid import Grid, grid_of
from cube.model.made_id import make_id
from cube.model.tier import Span, group_key, rest_key

Values = list["float | None"]

_EVAL = re.compile(
    r"eval (?P<expression>.+) at (?P<step>\w+)(?:/(?P<week_start>\w+))?(?: in (?P<zone>\S+))?"
    r" from (?P<start>\S+) to (?P<stop>\S+)"
)
_GROUPED = re.compile(r"\.group\(|\bfunnel\(|\bretention\(|\bquantiles\(")
_decoder = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Load:
    """Events to store, in their order."""

    events: list[Event]


@dataclass(frozen=True, slots=True)
class Eval:
    """A question and its answer: the values of each bucket, or those of each group."""

    line: int
    expression: str
    grid: Grid
    span: Span
    values: Values | None
    groups: dict[Any, Values] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parse:
    """A text, and what parsing it gives: the canonical text, or the beginning of the error."""

    line: int
    text: str
    canonical: str | None
    error: str | None


Step = Load | Eval | Parse


def read(path: Path) -> Iterator[Step]:
    """Read a script; raises `ValueError` with file and line for one that is not as it should be."""
    day = ""
    for line, head, rows in _blocks(path):
        word, _, rest = head.partition(" ")
        try:
            match word:
                case "day":
                    day = rest.strip()
                case "load":
                    yield Load([_event(rest.strip(), row, day) for row in rows])
                case "eval":
                    yield _eval(line, head, rows, day)
                case "parse":
                    yield _parse(line, rest, rows)
                case _:
                    raise ValueError(f"got {word}; accepted are day, load, eval and parse")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name}:{line}: {error}") from error


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a script; of a document those that stand in a script, the others empty."""
    inside = path.suffix != ".md"
    for line in path.read_text().splitlines():
        if path.suffix == ".md" and line.startswith("```"):
            inside = line == "```script"
            line = ""
        yield line if inside else ""


def _blocks(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    head, line, rows = "", 0, list[str]()
    for number, text in enumerate(_lines(path), 1):
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if text[0] == " ":
            rows.append(text.strip())
            continue
        if head:
            yield line, head, rows
        head, line, rows = text.strip(), number, []
    if head:
        yield line, head, rows


def _event(type: str, row: str, day: str) -> Event:
    time, _, rest = row.partition(" ")
    values = list(_json(rest))
    data = values[0] if values else ABSENT
    return Event(type, _time(time, day), values[1] if len(values) > 1 else make_id(), data)


def _json(text: str) -> Iterator[Any]:
    """Yield the JSON values that stand one after another, two blanks between them."""
    for part in re.split(r" {2,}", text.strip()):
        if part:
            yield _decoder.decode(part)


def _time(text: str, day: str) -> int:
    return instant.parse(text if "T" in text else f"{day}T{text}Z")


def _eval(line: int, head: str, rows: list[str], day: str) -> Eval:
    found = _EVAL.fullmatch(head)
    if found is None:
        raise ValueError("accepted is: eval EXPRESSION at STEP from TIME to TIME")
    grid = grid_of(found["step"], found["zone"] or "UTC", found["week_start"] or "monday")
    span = grid.cover(Span(_time(found["start"], day), _time(found["stop"], day)))
    expression = found["expression"]
    if not _GROUPED.search(expression):
        return Eval(line, expression, grid, span, _values(" ".join(rows)))
    groups = {}
    for row in rows:
        name, _, values = row.partition("  ")
        key = rest_key() if name == "rest" else group_key(_hashable(_decoder.decode(name)))
        groups[key] = _values(values)
    return Eval(line, expression, grid, span, None, groups)


def _hashable(group: Any) -> Any:
    return tuple(group) if isinstance(group, list) else group


def _values(text: str) -> Values:
    return [None if part == "-" else float(part) for part in text.split()]


def _parse(line: int, text: str, rows: list[str]) -> Parse:
    (row,) = rows
    if row.startswith("error "):
        return Parse(line, text, None, row.removeprefix("error "))
    return Parse(line, text, row, None)
