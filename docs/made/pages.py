"""Where the tables stand: between two comments in a page, of which the first names the table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

_PLACE: Final = re.compile(
    r"(?P<begin><!-- made by python -m docs\.made: (?P<name>[\w ]+) -->\n)(?P<made>.*?)(?P<end><!-- end -->)",
    re.DOTALL,
)


class UnknownTable(Exception):
    """A page has a place for a table that nothing makes, or there is no place for one."""


def renewed(tables: Mapping[str, str]) -> dict[Path, str]:
    """Return the pages whose tables are out of date, each with what it should be.

    Raises `UnknownTable` where a page names a table that is not given, or none names one that is.
    """
    texts = {page: page.read_text() for page in sorted((ROOT / "docs").rglob("*.md"))}
    placed = {found["name"] for text in texts.values() for found in _PLACE.finditer(text)}
    if placed != tables.keys():
        raise UnknownTable(
            f"Got places for {_listed(placed)}; accepted is one for each of {_listed(tables)}."
        )

    def filled(text: str) -> str:
        return _PLACE.sub(lambda found: f"{found['begin']}\n{tables[found['name']]}\n{found['end']}", text)

    return {page: new for page, text in texts.items() if (new := filled(text)) != text}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; the cells are Markdown in one line."""
    cells = [[cell.replace("|", r"\|") for cell in row] for row in (list(head), *map(list, rows))]
    lines = [f"| {' | '.join(row)} |".replace("|  |", "| |") for row in cells]
    return "\n".join((lines[0].replace("|  |", "| |"), "|" + "---|" * len(cells[0]), *lines[1:], ""))


def plain(text: str) -> str:
    """Return a text as Markdown that shows it as it is."""
    return re.sub(r"([\[\]<>*_])", r"\\\1", text)


def code(text: str) -> str:
    """Return a text as Markdown's code."""
    return f"`{text}`"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
