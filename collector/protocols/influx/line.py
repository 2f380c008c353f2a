"""InfluxDB's line protocol: text in, points out, each with what its client sent. Pure.

Source: InfluxData's "Line protocol reference" of InfluxDB 2 and 3, and the lines that its clients make.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cube.errors import InvalidRequest, shown
from cube.model import instant
from cube.model.event import ABSENT

NANOSECONDS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("", "n", "ns", "nanosecond"), 1),
    **dict.fromkeys(("u", "us", "µ", "microsecond"), 10**3),
    **dict.fromkeys(("ms", "millisecond"), 10**6),
    **dict.fromkeys(("s", "second"), 10**9),
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
"""The nanoseconds of a unit, by its names in the parameter ``precision`` of each release."""

AUTO: Final = "auto"
"""The precision that leaves it to the magnitude of a timestamp (release 3)."""

# A backslash escapes what ends a name; before anything else it stands for itself.
_MEASUREMENT = re.compile(r"(?:\\.|[^\\ ,\n])+")
_TAG = re.compile(r",((?:\\.|[^\\ ,=\n])+)=((?:\\.|[^\\ ,\n])+)")
_FIELD = re.compile(r'((?:\\.|[^\\ ,=\n])+)=(?:"((?:\\.|[^"\\])*)"|([^ ,"\n]+))', re.DOTALL)
_END = re.compile(r"[ \t]*(?:(-?[0-9]{1,20})[ \t]*)?\r?(?:\n|\Z)")
_BETWEEN = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?\n)*[ \t\r]*(?:#[^\n]*\Z)?")
_BLANKS = re.compile(r"[ \t]+")
_ESCAPED = re.compile(r"\\([,= ])")
_ESCAPED_IN_MEASUREMENT = re.compile(r"\\([, ])")
_ESCAPED_IN_TEXT = re.compile(r'\\(["\\])')
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}[iu]", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_LONGEST_FLOAT = 400
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.ASCII | re.IGNORECASE)
_BOOLEANS: Final = {
    **dict.fromkeys(("t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("f", "F", "false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """One line. ``fields``: without those that are not finite. ``timestamp``: as it was written."""

    measurement: str
    tags: Mapping[str, str]
    fields: Mapping[str, Any]
    timestamp: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """The text of a line and its number, from 1; its point, or why it has none."""

    number: int
    text: str
    point: SeriesPoint | None
    wrong: str = ""


def lines(text: str) -> Iterator[Line]:
    """Yield the lines that are not blank and no comments; a text in quotes may hold newlines."""
    place, number = 0, 1
    while True:
        start = _after(_BETWEEN.match(text, place), place)
        number += text.count("\n", place, start)
        if start == len(text):
            return
        try:
            point, place = _point(text, start)
            yield Line(number, text[start:place].rstrip("\r\n"), point)
        except _Unreadable as error:
            newline = text.find("\n", error.place)
            place = len(text) if newline < 0 else newline + 1
            yield Line(number, text[start:place].rstrip("\r\n"), None, error.reason)
        number += text.count("\n", start, place)


def time_of(timestamp: int, precision: str) -> int:
    """Return the instant of a timestamp. Raises `InvalidRequest`, for one before 1973 as well.

    Such a one was nearly always sent with another precision than it has.
    """
    if precision == AUTO:
        time = instant.parse_any_unit(timestamp)
    else:
        time = instant.parse(timestamp * NANOSECONDS[precision] // 10**6)
    if time < instant.EARLIEST_PLAUSIBLE:
        raise InvalidRequest(
            f"Got the timestamp {timestamp}, which is {instant.format(time)} in the precision"
            f" {precision or 'ns'}; accepted are times from 1973 on, in the unit that precision names."
        )
    return time


def checked_precision(name: str) -> str:
    """Return a precision that there is. Raises `InvalidRequest`."""
    if name != AUTO and name not in NANOSECONDS:
        accepted = ", ".join(filter(None, NANOSECONDS))
        raise InvalidRequest(f"Got the precision {shown(name)}; accepted are {accepted} and {AUTO}.")
    return name


class _Unreadable(Exception):
    """A line that is not line protocol, from ``place`` on."""

    def __init__(self, reason: str, place: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place


def _point(text: str, start: int) -> tuple[SeriesPoint, int]:
    """Read the line that begins at a place; returns the place behind it."""
    found = _MEASUREMENT.match(text, start)
    if found is None:
        raise _Unreadable("The line has no measurement; accepted is measurement,tags fields time.", start)
    measurement, place, tags = _ESCAPED_IN_MEASUREMENT.sub(r"\1", found[0]), found.end(), {}
    while tag := _TAG.match(text, place):
        tags[_unescaped(tag[1])] = _unescaped(tag[2])
        place = tag.end()
    blanks = _BLANKS.match(text, place)
    if blanks is None:
        raise _Unreadable("The line has tags that are not name=value, or no fields.", place)
    fields, place = _fields(text, blanks.end())
    end = _END.match(text, place)
    if end is None:
        raise _Unreadable("The line has neither a whole number nor its end behind its fields.", place)
    if not fields:
        raise _Unreadable("The line has no field with a finite value; accepted are lines with one.", place)
    timestamp = None if end[1] is None else int(end[1])
    return SeriesPoint(measurement, tags, fields, timestamp), end.end()


def _fields(text: str, place: int) -> tuple[dict[str, Any], int]:
    fields: dict[str, Any] = {}
    while True:
        found = _FIELD.match(text, place)
        if found is None:
            raise _Unreadable("The line has fields that are not name=value.", place)
        quoted, bare = found[2], found[3]
        value = _ESCAPED_IN_TEXT.sub(r"\1", quoted) if quoted is not None else _value(bare, place)
        if value is not ABSENT:
            fields[_unescaped(found[1])] = value
        place = found.end()
        if text[place : place + 1] != ",":
            return fields, place
        place += 1


def _value(text: str, place: int) -> Any:
    """Read a value that has no quotes: a boolean, a number; `ABSENT` for one that is not finite."""
    text = text.rstrip("\r")
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text[:-1])
    if len(text) <= _LONGEST_FLOAT and _FLOAT.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else ABSENT
    if _NOT_FINITE.fullmatch(text):
        return ABSENT
    raise _Unreadable(
        f"Got the value {shown(text)}; accepted are numbers, whole ones with i or u, true, false, and text"
        " in quotes.",
        place,
    )


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(r"\1", name) if "\\" in name else name


def _after(found: re.Match[str] | None, place: int) -> int:
    return place if found is None else found.end()
