"""What commands print: tables on a terminal, JSON lines otherwise; and their exit statuses.

Answers go to standard output, all else (progress, warnings, errors) to standard error. Colours are left out
where the output is no terminal, and where ``NO_COLOR`` is set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text  # takes no markup from data

DONE: Final = 0
FAILED: Final = 1
"""It could not be done: nothing answers, a child failed, a check found a fault."""
WRONG: Final = 2
"""What was asked for is wrong, or not allowed."""
INTERRUPTED: Final = 130
"""Ctrl-C, as shells tell it."""

LEAST_WIDTH: Final = 6
"""A column that has less room is left out."""

LEAST_LINE: Final = 14
"""So does one of which each cell is one line."""

GAP: Final = 2
"""Blanks between columns."""

LONGEST_CELL: Final = 200
"""Characters of one value that a table shows; JSON has all."""

Row: TypeAlias = Mapping[str, Any]
Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines, on a terminal as well.")
"""Adds ``--json``, as the argument ``as_json`` of a command."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table: the key of its rows, and how it is shown.

    ``whole``: never cut nor folded, for it is copied into another command. ``one_line``: cut where it has no
    room, not folded. ``style``: one of rich's. ``show``: makes the text of a value.
    """

    key: str
    title: str = ""
    justify: Literal["left", "right"] = "left"
    whole: bool = False
    one_line: bool = False
    style: str = ""
    show: Callable[[Any], str] | None = field(default=None, compare=False)

    def text(self, row: Row) -> Text:
        """Return the cell of a row; empty where it has none."""
        if self.key not in row:
            return Text("")
        value = row[self.key]
        return Text(cell(value) if self.show is None else self.show(value))

    @property
    def header(self) -> Text:
        """What stands above it."""
        return Text(cell(self.title or self.key))


REVISION: Final = TableColumn("revision", whole=True)
"""It is given back to a command."""


def time_text(time: str) -> str:
    """Return a time as a table shows it: ISO 8601, without milliseconds that are none."""
    return time.replace(".000Z", "Z")


TIME: Final = TableColumn("time", whole=True, show=time_text)


def console() -> Console:
    """Return the console of standard output; its width is that of the terminal."""
    return Console(highlight=False)


def tell(sentence: str) -> None:
    """Print a sentence to standard error."""
    click.echo(sentence, err=True)


def warn(sentence: str) -> None:
    """Print a warning to standard error, yellow on a terminal."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(Text(f"cube: {sentence}", "yellow"))


class Warnings:
    """Prints warnings, as `warn` does; ``any``: whether there were some."""

    def __init__(self) -> None:
        self.any = False

    def __call__(self, sentence: str) -> None:
        self.any = True
        warn(sentence)


def is_table(*, as_json: bool) -> bool:
    """Tell whether rows are to be a table: on a terminal, unless JSON is asked for."""
    return not as_json and console().is_terminal


def show(
    rows: Iterable[Row],
    columns: Sequence[TableColumn | str],
    *,
    as_json: bool = False,
    dimmed: str = "",
    hidden: Collection[str] = (),
) -> None:
    """Print rows: a table on a terminal, else, or where ``as_json`` asks for them, JSON lines as they come.

    A table has the columns of which any row has a value; those that have no room are named below it.
    ``dimmed``: the key of rows that stand back. ``hidden``: keys that are no part of JSON.
    """
    if is_table(as_json=as_json):
        print_table(list(rows), columns, dimmed)
        return
    for row in rows:
        click.echo(msgspec.json.encode({key: value for key, value in row.items() if key not in hidden}))


def print_table(rows: Sequence[Row], columns: Sequence[TableColumn | str], dimmed: str = "") -> None:
    """Print rows as a table that is no wider than the terminal."""
    wanted = [TableColumn(each) if isinstance(each, str) else each for each in columns]
    present = [column for column in wanted if any(column.key in row for row in rows)]
    screen = console()
    shown = fitting(present, rows, screen.width)
    widths = _widths(shown, rows, screen.width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in shown:
        table.add_column(
            column.header,
            justify=column.justify,
            style=column.style,
            no_wrap=column.whole or column.one_line,
            width=widths[column.key],
            overflow="ellipsis" if column.one_line else "fold",
        )
    for row in rows:
        style = "dim" if row.get(dimmed) else None
        table.add_row(*(column.text(row) for column in shown), style=style)
    screen.print(table)
    left_out = [column.header.plain for column in present if column not in shown]
    if left_out:
        tell(f"Not shown for want of room: {', '.join(left_out)}. --json has all.")


def fitting(columns: Sequence[TableColumn], rows: Sequence[Row], width: int) -> list[TableColumn]:
    """Return the columns that a width has room for: those to be whole, then the others in their order."""
    left = width + GAP
    kept: set[str] = set()
    for column in sorted(columns, key=lambda column: not column.whole):
        least = _least(column, rows)
        if least + GAP <= left or not kept:
            kept.add(column.key)
            left -= least + GAP
    return [column for column in columns if column.key in kept]


def _widths(columns: Sequence[TableColumn], rows: Sequence[Row], width: int) -> dict[str, int]:
    """Return how wide each column is: as it has to be, and of what is left as much as any other at most."""
    least = {column.key: _least(column, rows) for column in columns}
    more = {column.key: _width(column, rows) - least[column.key] for column in columns}
    left = max(0, width - sum(least.values()) - GAP * (len(columns) - 1))
    for place, key in enumerate(sorted(more, key=lambda key: more[key])):
        more[key] = min(more[key], left // (len(more) - place))
        left -= more[key]
    return {key: least[key] + more[key] for key in least}


def _least(column: TableColumn, rows: Sequence[Row]) -> int:
    """Return how wide a column has to be in order to be shown."""
    width = _width(column, rows)
    return width if column.whole else min(width, LEAST_LINE if column.one_line else LEAST_WIDTH)


def _width(column: TableColumn, rows: Sequence[Row]) -> int:
    cells = (column.text(row).cell_len for row in rows)
    return max(column.header.cell_len, *cells, 0)


def cell(value: Any) -> str:
    """Return a value as one line without control characters, which could command the terminal."""
    if isinstance(value, tuple) and all(map(_is_short, value)):
        text = ", ".join(map(str, value))
    else:
        text = value if _is_printable(value) else _escaped(msgspec.json.encode(value).decode())
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 1]}…"


def _escaped(json: str) -> str:
    """Write what is not printable, such as marks that turn the direction of text, as JSON may."""
    if json.isprintable():
        return json
    units = (each.encode("utf-16-be").hex() for each in json)
    escaped = ("".join(f"\\u{unit[i : i + 4]}" for i in range(0, len(unit), 4)) for unit in units)
    return "".join(each if each.isprintable() else code for each, code in zip(json, escaped, strict=True))


def _is_short(value: Any) -> bool:
    """Tell whether a part of a group may stand as it is, a comma after it."""
    return (_is_printable(value) and "," not in value) or type(value) in (int, float)


def _is_printable(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()
