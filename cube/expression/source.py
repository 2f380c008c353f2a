"""The text that one parse is of: what it expected where, the places of what was made, and its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, TypeVar

from cube.errors import InvalidExpression
from cube.expression.nodes import Field, MetricExpression
from cube.expression.printer import quote_anything
from cube.expression.usage import usage, usage_of_foreign

T = TypeVar("T")

MAX_SHOWN = 20  # characters of the text that a message shows on either side of a place

_BLANKS = " \t\n\r"
_LEXEME = re.compile(
    r"""(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)[\w$]* | [\w$]+
      | "[^"]*"? | '[^']*'? | .""",
    re.DOTALL | re.VERBOSE,
)
_ODD_START = re.compile(r"""[^ \t\n\r()\[\].,+*/"'-]""")
_NAMED = frozenset(("a field", "a name"))
_AFTER_REDUCES = {"a number": 1, '"("': 2, "a saved name": 3}
_OPERAND_START = re.compile(r"[\w(\[]")


class Named(Protocol):
    """Expressions that have names; see `cube.expression.definitions.Definitions`."""

    def __contains__(self, name: object) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    @property
    def are_told(self) -> bool: ...

    @property
    def is_parsing(self) -> bool: ...

    def tree(self, name: str) -> MetricExpression: ...


class _Nothing:
    """No names."""

    are_told = is_parsing = False

    def __contains__(self, name: object) -> bool:
        return False

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def tree(self, name: str) -> MetricExpression:
        raise KeyError(name)


class Source(str):
    """A text that remembers how far its parse got, and what would have continued it there.

    The grammar notes every token that it tried in vain, with `miss`; the misses at the furthest
    place are what was expected. Carrying them on the text keeps concurrent parses apart.
    ``type``, ``field``: the last type that it named, and the last field before a literal; None before that.
    ``of_sessions``: whether sessions of that type were named since.
    ``definitions``: the names that may be used, and ``used`` those that were. ``calls``: the places of the
    calls of functions of series, by the ``id`` of their nodes. ``places``: where what was made of the text
    begins, and what that was, by its ``id``.
    """

    __slots__ = (
        "calls",
        "definitions",
        "expected",
        "field",
        "furthest",
        "of_sessions",
        "places",
        "type",
        "used",
    )

    calls: dict[int, int]
    definitions: Named
    used: list[str]
    expected: dict[str, None]
    furthest: int
    of_sessions: bool
    type: str | None
    field: Field | None
    places: dict[int, tuple[object, int]]

    def __new__(cls, text: str, definitions: Named | None = None) -> Source:
        """Make the source of one parse."""
        source = super().__new__(cls, text)
        source.expected, source.furthest, source.calls = {}, 0, {}
        source.definitions, source.used = _Nothing() if definitions is None else definitions, []
        source.type = source.field = None
        source.of_sessions = False
        source.places = {}
        return source

    def noted(self, made: T, place: int) -> T:
        """Return what was made of the text from a place on, and remember the place."""
        self.places.setdefault(id(made), (made, place))
        return made

    def place_of(self, made: object) -> int:
        """Return where what was made begins; the beginning where that is not known."""
        return self.places.get(id(made), (None, 0))[1]

    def miss(self, place: int, name: str) -> None:
        """Note that the token `name` was expected at `place`, an index into the text, and is not there."""
        if place > self.furthest:
            self.furthest, self.expected = place, {}
        if place == self.furthest:
            self.expected[name] = None

    def unexpected(self) -> InvalidExpression:
        """Make the error for a text that breaks the grammar at the furthest place."""
        return self.expecting(self.furthest, _alternatives(_in_order(self.expected)), self._hint())

    def expecting(self, place: int, expected: str, hint: str = "") -> InvalidExpression:
        """Make the error that `expected` was wanted at `place`, and says what is there."""
        return self.refusal(place, f"Expected {expected}, found {self._lexeme(place)}", hint)

    def refusal(self, place: int, problem: str, hint: str = "") -> InvalidExpression:
        """Make the error that tells `problem`, where it is, and the text around."""
        line, column = self.position(place)
        return InvalidExpression(
            f"{problem} at line {line}, column {column}, near {self._around(place)}{hint}.",
            line=line,
            column=column,
        )

    def position(self, place: int) -> tuple[int, int]:
        """Return the line and the column of a place, from 1."""
        return self.count("\n", 0, place) + 1, place - self.rfind("\n", 0, place)

    def _lexeme(self, place: int) -> str:
        found = _LEXEME.match(self, place)
        return quote_anything(found[0][:MAX_SHOWN]) if found else "the end"

    def _around(self, place: int) -> str:
        start, stop = max(0, place - MAX_SHOWN), place + MAX_SHOWN
        shown = ("…" if start else "") + self[start:stop] + ("…" if stop < len(self) else "")
        return quote_anything(shown)

    def _hint(self) -> str:
        """Guess a "+" that a URL turned into a blank, a name that needs brackets, or a function not known."""
        place = self.furthest
        if not _NAMED.isdisjoint(self.expected) and _ODD_START.match(self, place):
            return ' (a name that is not an identifier is written in brackets: ["@type"])'
        is_lost_plus = (
            '"+"' in self.expected
            and self[place - 1 : place] in tuple(_BLANKS)
            and _OPERAND_START.match(self, place)
            and not usage_of_foreign(self, place)
        )
        if is_lost_plus:
            return ' (in a URL, a "+" is written %2B)'
        form = usage(self, place)
        return f"; {form}" if form else ""


def _in_order(names: dict[str, None]) -> list[str]:
    """Return what was expected as a message tells it: where a metric may stand, reduces before numbers."""
    told = list(names)
    if any(name.startswith("a reduce") for name in told):
        told.sort(key=lambda name: _AFTER_REDUCES.get(name.partition(" (")[0], 0))
    return told


def _alternatives(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
