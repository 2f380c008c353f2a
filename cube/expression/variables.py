"""Variables of boards: ``$host`` in an expression, before it is parsed.

The page does the same with ``board-text.js``; one table of cases holds both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cube import json_text

_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"?|\'(?:[^\'\\]|\\.)*\'?|[\w$]+|.', re.DOTALL)


def substituted(text: str, values: Mapping[str, Any]) -> str:
    """Put the values of variables, by their names without ``$``, in their places as literals.

    Where a value is None, which is all values, the whole filter that names it is left out:
    ``sum(request.eq(host, $host))`` becomes ``sum(request)``. Names that are not given, and what stands in
    quotes, stay as they are.
    """
    lexemes = _LEXEME.findall(text)
    for place, lexeme in enumerate(lexemes):
        name = lexeme.removeprefix("$")
        if name == lexeme or name not in values:
            continue
        if values[name] is not None:
            lexemes[place] = json_text.encode(values[name]).decode()
            continue
        found = _call(lexemes, place)
        if found is not None:
            for i in range(*found):
                lexemes[i] = ""
    return "".join(lexemes)


def _call(lexemes: list[str], place: int) -> tuple[int, int] | None:
    """Return where the innermost ``.name(…)`` around a place begins and ends; None where there is none."""
    depth = 0
    for i in range(place - 1, -1, -1):
        if lexemes[i] == ")":
            depth += 1
        elif lexemes[i] == "(" and depth > 0:
            depth -= 1
        elif lexemes[i] == "(":
            word = _before(lexemes, i)
            dot = _before(lexemes, word)
            if dot >= 0 and lexemes[dot] == ".":
                return dot, _end(lexemes, i)
    return None


def _before(lexemes: list[str], place: int) -> int:
    """Return the place of what stands before another one, past blanks; -1 where nothing does."""
    place -= 1
    while place >= 0 and not lexemes[place].strip():
        place -= 1
    return place


def _end(lexemes: list[str], opening: int) -> int:
    depth = 0
    for i in range(opening, len(lexemes)):
        depth += (lexemes[i] == "(") - (lexemes[i] == ")")
        if depth == 0:
            return i + 1
    return len(lexemes)
