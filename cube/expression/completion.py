"""What may stand at a place of an expression that is being written, as the grammar itself has it.

The text before the place is parsed: what the grammar tried in vain at its end is what may come there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cube.expression.grammar import tried
from cube.expression.nodes import Field
from cube.expression.series_functions import NONE, PERCENT, PREVIOUS
from cube.expression.source import Named, Source

_WORD = re.compile(r"[\w$]*\Z")
_PATH = re.compile(
    r"""(?: (?<![\w$.\]"']) (?: [\w$]++ | \[ ) )  # where a path may begin
        (?: [\w$]++ | \. | \[ | \] | "(?:[^"\\]++|\\.)*+" | "(?:[^"\\]++|\\.)*+\Z )*+ \Z""",
    re.VERBOSE,
)
_STRINGS = re.compile(r"""(?P<whole>"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+')|(?P<open>["'])""", re.DOTALL)
_REST_OF_WORD = re.compile(r"[\w$]*")
_REST_OF_STRING = re.compile(r"""[^"'\\(),\[\]]*["']|""")
_MOST_IN_PATH: Final = 1_000  # characters


class ItemKind(StrEnum):
    """What a completion is, in the order in which they are offered."""

    VALUE = "value"
    TYPE = "type"
    FIELD = "field"
    REDUCE = "reduce"
    FILTER = "filter"
    FUNCTION = "function"
    NAME = "name"
    SERIES = "series"
    EACH = "each"
    GROUP = "group"
    RANKING = "ranking"
    SEQUENCE = "sequence"
    SESSION = "session"
    UNIT = "unit"
    DURATION = "duration"
    PERCENT = "percent"
    STAND_IN = "stand-in"


_NAMES: Final = {
    "a type": ItemKind.TYPE,
    "a field": ItemKind.FIELD,
    "a reduce": ItemKind.REDUCE,
    "a filter": ItemKind.FILTER,
    "a function": ItemKind.FUNCTION,
    "a function of series": ItemKind.SERIES,
    "a saved name": ItemKind.NAME,
    "a unit": ItemKind.UNIT,
    "a duration such as 15m or 7d": ItemKind.DURATION,
    PERCENT: ItemKind.PERCENT,
    f"{PREVIOUS}, {NONE}": ItemKind.STAND_IN,
    "each": ItemKind.EACH,
    "group": ItemKind.GROUP,
    "top": ItemKind.RANKING,
    "bottom": ItemKind.RANKING,
    "a function of several events": ItemKind.SEQUENCE,
    "session": ItemKind.SESSION,
    "true, false, null": ItemKind.VALUE,
}
"""What the grammar calls them, up to a bracket."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What one grammar expects: ``type``: whose fields and values; ``field``: whose values are meant.

    ``of_sessions``: whether the fields are those of sessions of the type.
    """

    kinds: frozenset[ItemKind]
    type: str | None
    field: Field | None
    of_sessions: bool


@dataclass(frozen=True, slots=True)
class CompletionSpot:
    """What stands in ``[start, stop)`` of a text, and begins with ``prefix``, may be replaced by others.

    ``expectations``: of a metric expression and of an event expression, where the text before may be one.
    """

    start: int
    stop: int
    prefix: str
    expectations: tuple[Expectation, ...]


def places(text: str, at: int, definitions: Named | None = None) -> Iterator[CompletionSpot]:
    """Yield what may be completed at a place, an index into the text: a path, a string and a word, in order.

    The first one for which there is something to offer is the one that is meant.
    """
    head = text[:at]
    seen: set[int] = set()
    for start, rest in (
        (_path(head), _REST_OF_WORD),
        (_string(head), _REST_OF_STRING),
        (_word(head), _REST_OF_WORD),
    ):
        if start is None or start in seen:
            continue
        seen.add(start)
        expectations = tuple(filter(None, map(_expectation, tried(head[:start], definitions))))
        if expectations:
            found = rest.match(text, at)
            yield CompletionSpot(start, at if found is None else found.end(), head[start:], expectations)


def _expectation(source: Source) -> Expectation | None:
    if source.furthest != len(source):
        return None
    kinds = {_NAMES.get(name.partition(" (")[0]) for name in source.expected}
    found = frozenset(kind for kind in kinds if kind is not None)
    return Expectation(found, source.type, source.field, source.of_sessions) if found else None


def _word(head: str) -> int:
    found = _WORD.search(head)
    return len(head) if found is None else found.start()


def _path(head: str) -> int | None:
    first = max(0, len(head) - _MOST_IN_PATH)
    found = _PATH.search(head, first)
    return None if found is None else found.start()


def _string(head: str) -> int | None:
    """Return where a string begins that is not closed."""
    for found in _STRINGS.finditer(head):
        if found.lastgroup == "open":
            return found.start()
    return None
