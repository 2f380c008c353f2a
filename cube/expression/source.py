"""The text of an expression while it is parsed: its limits, and the errors that point into it.

Length and levels are checked before the grammar runs, nodes after.
"""

from __future__ import annotations

import dataclasses
import re

from cube.errors import InvalidExpression
from cube.expression.printer import quote_anything

MAX_CHARACTERS = 10_000
MAX_LEVELS = 50
MAX_NODES = 1_000
MAX_SHOWN = 20  # characters of the text that a message shows on either side of a place

_BLANKS = " \t\n\r"
_LEXEME = re.compile(
    r"""(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)[\w$]* | [\w$]+
      | "[^"]*"? | '[^']*'? | .""",
    re.DOTALL | re.VERBOSE,
)
_ODD_START = re.compile(r"""[^ \t\n\r()\[\].,+*/"'-]""")
_NAMED = frozenset(("a field", "a name"))
_OPERAND_START = re.compile(r"[\w(\[]")


# Strings are skipped whole, an unclosed one to the end of the text. Possessive: linear time.
_NESTING = re.compile(
    r"""(?P<string>"(?:[^"\\]++|\\.)*+"? | '(?:[^'\\]++|\\.)*+'? )
      | (?P<open>[(\[]) | (?P<close>[)\]]) | (?P<minus>-) | (?P<operator>[+*/,])
      | (?P<operand>[^ \t\n\r])""",
    re.DOTALL | re.VERBOSE,
)


class Source(str):
    """A text that remembers how far its parse got, and what would have continued it there.

    The grammar notes every token that it tried in vain, with `miss`; the misses at the furthest
    place are what was expected. Carrying them on the text keeps concurrent parses apart.
    """

    __slots__ = ("expected", "furthest")

    expected: dict[str, None]
    furthest: int

    def __new__(cls, text: str) -> Source:
        """Make the source of one parse."""
        source = super().__new__(cls, text)
        source.expected, source.furthest = {}, 0
        return source

    def miss(self, place: int, name: str) -> None:
        """Note that the token `name` was expected at `place`, an index into the text, and is not there."""
        if place > self.furthest:
            self.furthest, self.expected = place, {}
        if place == self.furthest:
            self.expected[name] = None

    def unexpected(self) -> InvalidExpression:
        """Make the error for a text that breaks the grammar at the furthest place."""
        return self.expecting(self.furthest, _alternatives(list(self.expected)), self._hint())

    def expecting(self, place: int, expected: str, hint: str = "") -> InvalidExpression:
        """Make the error that `expected` was wanted at `place`, and says what is there."""
        return self.refusal(place, f"Expected {expected}, found {self._lexeme(place)}", hint)

    def refusal(self, place: int, problem: str, hint: str = "") -> InvalidExpression:
        """Make the error that tells `problem`, where it is, and the text around."""
        line, column = self._position(place)
        return InvalidExpression(
            f"{problem} at line {line}, column {column}, near {self._around(place)}{hint}.",
            line=line,
            column=column,
        )

    def _position(self, place: int) -> tuple[int, int]:
        return self.count("\n", 0, place) + 1, place - self.rfind("\n", 0, place)

    def _lexeme(self, place: int) -> str:
        found = _LEXEME.match(self, place)
        return quote_anything(found[0][:MAX_SHOWN]) if found else "the end"

    def _around(self, place: int) -> str:
        start, stop = max(0, place - MAX_SHOWN), place + MAX_SHOWN
        shown = ("…" if start else "") + self[start:stop] + ("…" if stop < len(self) else "")
        return quote_anything(shown)

    def _hint(self) -> str:
        """Guess a "+" that a URL turned into a blank, or a name that needs brackets."""
        place = self.furthest
        if not _NAMED.isdisjoint(self.expected) and _ODD_START.match(self, place):
            return ' (a name that is not an identifier is written in brackets: ["@type"])'
        is_lost_plus = (
            '"+"' in self.expected
            and self[place - 1 : place] in tuple(_BLANKS)
            and _OPERAND_START.match(self, place)
        )
        return ' (in a URL, a "+" is written %2B)' if is_lost_plus else ""


def _alternatives(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def check_text(source: Source) -> None:
    """Refuse, in one linear pass, a text that is too long or too deep for the grammar.

    Levels are the brackets open at a place, and with them the unary minuses whose operand has not
    ended. Raises `InvalidExpression`.
    """
    if len(source) > MAX_CHARACTERS:
        problem = f"Got {len(source)} characters, accepted are at most {MAX_CHARACTERS}; the text is cut off"
        raise source.refusal(MAX_CHARACTERS, problem)
    levels = minuses = 0
    outer: list[int] = []  # for each open bracket, the minuses before it
    operand_ended = False
    for lexeme in _NESTING.finditer(source):
        kind = lexeme.lastgroup
        if kind == "open":
            outer.append(minuses)
            levels, minuses = levels + 1 + minuses, 0
        elif kind == "close" and outer:
            minuses = outer.pop()
            levels -= 1 + minuses
        elif kind == "operator" or (kind == "minus" and operand_ended):
            minuses = 0
        elif kind == "minus":
            minuses += 1
        operand_ended = kind in {"close", "operand", "string"}
        if levels + minuses > MAX_LEVELS:
            raise source.refusal(lexeme.start(), f"Got more than the accepted {MAX_LEVELS} levels")


def check_nodes(tree: object, source: Source) -> None:
    """Refuse a tree of too many nodes: instances of the classes in `cube.expression.nodes`.

    Literals are not nodes: the length of the text bounds them. Raises `InvalidExpression`.
    """
    nodes, pending = 0, [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, tuple):
            pending.extend(part)
        elif dataclasses.is_dataclass(part):
            nodes += 1
            pending.extend(getattr(part, field.name) for field in dataclasses.fields(part))
    if nodes > MAX_NODES:
        raise source.refusal(0, f"Got {nodes} nodes, accepted are at most {MAX_NODES}; the expression begins")
