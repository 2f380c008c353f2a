"""Lines of events on a terminal, one below the other, in columns that stay where they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.text import Text

from cube.cli.event_fields import flattened, is_number
from cube.cli.event_stream import StreamedEvent
from cube.cli.output import GAP, cell, console
from cube.model import instant

WIDEST: Final = 28
"""A column is no wider, whatever it holds."""

NARROWEST: Final = 4
"""A value that has less room is left out."""

_COLOURS: Final = ("cyan", "magenta", "green", "yellow", "blue", "red")


class TailLines:
    """Prints events; ``has_types``: of several types, so that each line names its own.

    The columns of a type are the fields of the events that it has learnt of, or of the first. Those for which
    there is no room, or that come later, follow as ``name=value``, cut at the edge of the screen.
    """

    def __init__(self, *, has_types: bool) -> None:
        self._console = console()
        self._has_types = has_types
        self._widths: dict[str, dict[str, int]] = {}
        self._styles: dict[str, str] = {}
        self._headed: set[str] = set()
        self._since_head = 0

    def print(self, found: StreamedEvent) -> None:
        """Print one event, after the heads of its columns where they have changed, or left the screen."""
        fields, width = flattened(found.data), self._console.width
        if found.type not in self._widths:
            self.learn(found.type, [found.data])
        columns = self._columns(found.type, width)
        if found.type not in self._headed or self._since_head >= self._page:
            self._head(columns, found.type)
        self._since_head += 1
        self._print(self._line(found, fields, columns), width)

    def learn(self, type: str, data: Iterable[Any]) -> None:
        """Make columns of the fields that events of a type have, as wide as these need."""
        known = self._widths.setdefault(type, {})
        for fields in map(flattened, data):
            for name, value in fields.items():
                wanted = max(known.get(name, 0), len(cell(name)), len(cell(value)))
                known[name] = min(WIDEST, wanted)

    @property
    def _page(self) -> int:
        return max(5, self._console.height - 2)

    def _columns(self, type: str, width: int) -> dict[str, int]:
        """Return the columns that there is room for, and how wide each is."""
        left = width - len("00:00:00.000") - (self._type_width + GAP if self._has_types else 0)
        columns: dict[str, int] = {}
        for name, wanted in self._widths[type].items():
            if wanted + GAP > left:
                continue
            columns[name] = wanted
            left -= wanted + GAP
        return columns

    @property
    def _type_width(self) -> int:
        return min(WIDEST, max(len(type) for type in self._widths))

    def _head(self, columns: Mapping[str, int], type: str) -> None:
        self._since_head = 0
        self._headed.add(type)
        line = Text(f"{'time (UTC)':<12}")
        if self._has_types:
            line.append(" " * GAP + _fitted(type, self._type_width))
        for name, width in columns.items():
            line.append(" " * GAP + _fitted(cell(name), width))
        line.stylize("bold dim")
        self._print(line, self._console.width)

    def _line(self, found: StreamedEvent, fields: Mapping[str, Any], columns: Mapping[str, int]) -> Text:
        line = Text()
        line.append(instant.format(found.time)[11:23], "dim")
        if self._has_types:
            line.append(" " * GAP)
            line.append(_fitted(found.type, self._type_width), self._style(found.type))
        for name, width in columns.items():
            line.append(" " * GAP)
            value = fields.get(name)
            text = cell(value) if name in fields else ""
            line.append(_fitted(text, width, is_right=is_number(value)), _value_style(value))
        for name, value in _rest(fields, columns):
            begun = " " * GAP + cell(name) + "="
            if line.cell_len + len(begun) + NARROWEST > self._console.width:
                break
            line.append(begun, "dim")
            line.append(cell(value), _value_style(value))
        return line

    def _style(self, type: str) -> str:
        return self._styles.setdefault(type, _COLOURS[len(self._styles) % len(_COLOURS)])

    def _print(self, line: Text, width: int) -> None:
        line.truncate(width, overflow="ellipsis")
        self._console.print(line, no_wrap=True, overflow="ellipsis", soft_wrap=False)


def _rest(fields: Mapping[str, Any], columns: Mapping[str, int]) -> Iterable[tuple[str, Any]]:
    return ((name, value) for name, value in fields.items() if name not in columns)


def _fitted(text: str, width: int, *, is_right: bool = False) -> str:
    """Return a text in exactly so many columns of the screen."""
    shown = Text(text)
    shown.truncate(width, overflow="ellipsis")
    blanks = " " * (width - shown.cell_len)
    return blanks + shown.plain if is_right else shown.plain + blanks


def _value_style(value: Any) -> str:
    if value is None:
        return "dim"
    if isinstance(value, bool):
        return "magenta"
    return "cyan" if is_number(value) else ""
