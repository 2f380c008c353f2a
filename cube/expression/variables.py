"""Variables of boards: ``$host`` in an expression, before it is parsed.

The page does the same with ``board-text.js``; one table of cases holds both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cube import json_text

_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"?|\'(?:[^\'\\]|\\.)*\'?|[\w$]+|.', re.DOTALL)


def substituted(text: str, values: Mapping[str, Any]) -> str:
    """Put the values of variables, by their names without ``$``, in their places as literals.

    Where a value is None, which is all values, the whole filter that names it is left out:
    ``sum(request.eq(host, $host))`` becomes ``sum(request)``. Names that are not given, and what stands in
    quotes, stay as they are. The time that it takes grows with the length of the text alone.
    """
    lexemes = _LEXEME.findall(text)
    ends = _ends(lexemes)
    kept: list[str] = []
    around: list[_Call | None] = []  # for each open bracket the innermost call around what follows
    place = 0
    while place < len(lexemes):
        lexeme = lexemes[place]
        name = lexeme.removeprefix("$")
        if name != lexeme and name in values:
            call = around[-1] if around else None
            if values[name] is None and call is not None:
                del kept[call.begin :], around[call.depth :]
                place = call.end
                continue
            if values[name] is not None:
                lexeme = json_text.encode(values[name]).decode()
        elif lexeme == "(":
            begin, end = _begin(kept), ends.get(place, len(lexemes))
            outer = around[-1] if around else None
            around.append(outer if begin is None else _Call(begin, end, len(around)))
        elif lexeme == ")" and around:
            around.pop()
        kept.append(lexeme)
        place += 1
    return "".join(kept)


class _Call(NamedTuple):
    """A ``.name(…)``: begins in what is kept, ends in the lexemes; ``depth``: brackets around it."""

    begin: int
    end: int
    depth: int


def _ends(lexemes: list[str]) -> dict[int, int]:
    """Return, by the place of each bracket that is closed, the place after the closing one."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for place, lexeme in enumerate(lexemes):
        if lexeme == "(":
            opened.append(place)
        elif lexeme == ")" and opened:
            ends[opened.pop()] = place + 1
    return ends


def _begin(kept: list[str]) -> int | None:
    """Return the place of the dot where ``.name`` is what was kept last, blanks aside."""
    word = _before(kept, len(kept))
    dot = _before(kept, word)
    return dot if dot >= 0 and kept[dot] == "." and kept[word] not in ("(", ")") else None


def _before(lexemes: list[str], place: int) -> int:
    """Return the place of what stands before another one, past blanks; -1 where nothing does."""
    place -= 1
    while place >= 0 and not lexemes[place].strip():
        place -= 1
    return place
