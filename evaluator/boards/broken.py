"""What would not be valid any more, of definitions and boards, if a name stood for something else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cube.errors import InUse, InvalidRequest
from cube.expression import parse_metric
from cube.expression.definitions import Definitions
from cube.expression.variables import substituted
from cube.model.board import Board

MOST_NAMED = 5
"""So many boards, and definitions, a sentence names."""

_WORD = re.compile(r"[\w$]+")


@dataclass(frozen=True, slots=True)
class Broken:
    """The names of definitions and of boards with an expression that was valid, and would not be."""

    definitions: Sequence[str]
    boards: Sequence[str]

    def refuse(self, what: str) -> None:
        """Raise `InUse`, which names them, if there are any; ``what``: "The definition … is not deleted"."""
        told = [
            *_listed("the definition", self.definitions),
            *_listed("the board", self.boards),
        ]
        if told:
            raise InUse(
                f"{what}: {' and '.join(told)} would not be valid any more;"
                " accepted is to change these first, or force=true (`cube define --force`).",
                definitions=list(self.definitions),
                boards=list(self.boards),
            )


def broken_by(name: str, before: Definitions, after: Definitions, boards: Mapping[str, str]) -> Broken:
    """Return what is broken where the definitions ``before`` become those ``after``, which differ in a name.

    ``boards``: their contents, by name. Takes a parse, twice, of every expression in which the name occurs,
    or that of a definition which has it in turn.
    """
    names = _dependent(name, before.texts)
    definitions = sorted(
        each
        for each in names - {name}
        if _is_valid(before.texts[each], before) and not _is_valid(before.texts[each], after)
    )
    found = [
        each
        for each, content in sorted(boards.items())
        if any(
            not names.isdisjoint(_WORD.findall(text))
            and _is_valid(text, before)
            and not _is_valid(text, after)
            for text in _expressions(content)
        )
    ]
    return Broken(definitions, found)


def _dependent(name: str, texts: Mapping[str, str]) -> set[str]:
    """Return a name, and those of the definitions in which it may stand, or one of these may."""
    words = {each: set(_WORD.findall(text)) for each, text in texts.items()}
    found, fresh = {name}, {name}
    while fresh:
        fresh = {each for each in words.keys() - found if not words[each].isdisjoint(fresh)}
        found |= fresh
    return found


def _expressions(content: str) -> Iterable[str]:
    try:
        board = Board.parse(content)
    except InvalidRequest:  # of a later version
        return
    everything = dict.fromkeys(variable.name for variable in board.variables)
    for chart in board.charts:
        yield from (substituted(text, everything) for text in chart.expressions)


def _is_valid(text: str, definitions: Definitions) -> bool:
    try:
        parse_metric(text, definitions)
    except InvalidRequest:
        return False
    return True


def _listed(what: str, names: Sequence[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return [f"{what}{'s' if len(names) > 1 else ''} {', '.join(names[:MOST_NAMED])}{more}"]
