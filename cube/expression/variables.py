"""Variables of boards: ``$host`` in an expression, before it is parsed.

The page does the same with ``board-text.js``; one table of cases holds both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from cube import json_text
from cube.expression.operators import CONDITIONS, OPERATORS

ALWAYS = "exists(time())"
"""A condition that every event passes."""

_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"?|\'(?:[^\'\\]|\\.)*\'?|[\w$]+|.', re.DOTALL)


def substituted(text: str, values: Mapping[str, Any]) -> str:
    """Put the values of variables, by their names without ``$``, in their places as literals.

    Where a value is None, which is all values, the whole filter that names it is left out:
    ``sum(request.eq(host, $host))`` becomes ``sum(request)``. What is a condition, as in
    ``if(eq(host, $host), ms)``, or may be the only one of a share, becomes `ALWAYS`. Names that are not
    given, and what stands in quotes, stay as they are. The time that it takes grows with the length of the
    text alone.
    """
    lexemes = _LEXEME.findall(text)
    ends = _ends(lexemes)
    kept: list[str] = []
    around: list[_Bracket] = []  # those that are open
    place = 0
    while place < len(lexemes):
        lexeme = lexemes[place]
        name = lexeme.removeprefix("$")
        if name != lexeme and name in values:
            call = around[-1].filter if around else None
            if values[name] is None and call is not None:
                del kept[call.begin :], around[call.depth :]
                kept += [call.instead] if call.instead else []
                place = call.end
                continue
            if values[name] is not None:
                lexeme = json_text.encode(values[name]).decode()
        elif lexeme == "(":
            around.append(_opened(kept, around, ends.get(place, len(lexemes))))
        elif lexeme == ")" and around:
            around.pop()
        kept.append(lexeme)
        place += 1
    return "".join(kept)


class _Filter(NamedTuple):
    """A filter that stands in no other: begins in what is kept, ends in the lexemes.

    ``depth``: brackets around it. ``instead``: what stands there where it is left out.
    """

    begin: int
    end: int
    depth: int
    instead: str


class _Bracket(NamedTuple):
    """``name``: of what is called, "" where nothing is; ``filter``: which one it is in or of."""

    name: str
    filter: _Filter | None
    is_filter: bool


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


def _opened(kept: list[str], around: list[_Bracket], end: int) -> _Bracket:
    """Return the bracket that is opened behind what was kept last."""
    outer = around[-1] if around else _Bracket("", None, is_filter=False)
    word = _before(kept, len(kept))
    name = kept[word] if word >= 0 and kept[word][0].isalpha() else ""
    if name not in OPERATORS and name not in CONDITIONS:
        return _Bracket(name or outer.name, outer.filter, not name and outer.is_filter)
    if outer.is_filter:
        return _Bracket(name, outer.filter, is_filter=True)
    dot = _before(kept, word)
    if dot >= 0 and kept[dot] == ".":
        found = _Filter(dot, end, len(around), f".{ALWAYS}" if outer.name == "share" else "")
    else:
        found = _Filter(word, end, len(around), ALWAYS)
    return _Bracket(name, found, is_filter=True)


def _before(lexemes: list[str], place: int) -> int:
    """Return the place of what stands before another one, past blanks; -1 where nothing does."""
    place -= 1
    while place >= 0 and not lexemes[place].strip():
        place -= 1
    return place
