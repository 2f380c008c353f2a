"""The operators of filters: ``operator(field, literal)``. A new one is one entry of `OPERATORS`.

The grammar takes its names and the form of their literals from here, `cube.columns` the meaning, for
one event and for whole columns. What holds for all operators is said there: which values a field's path
reaches, and that values of different kinds never compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

import re2

from cube.errors import InvalidQuery, shown

SEARCH = 10**8
"""Steps of a pattern times characters of a text, in one search. Where RE2 cannot tabulate a pattern each
costs some 10 ns, and a search cannot be interrupted: this many take a second."""


def finds(pattern: str, text: str) -> bool:
    """Tell whether a pattern is found anywhere in a text.

    Raises `InvalidQuery` for a pattern that RE2 refuses, and for a text that is too long for it.
    """
    return compile_pattern(pattern).finds(text)


class Pattern:
    """A compiled pattern; it is searched for in texts that are not too long for it."""

    __slots__ = ("_compiled", "_longest", "_text")

    def __init__(self, compiled: Any, text: str) -> None:
        self._compiled = compiled
        self._text = text
        self._longest = SEARCH // max(1, compiled.programsize)

    def finds(self, text: str) -> bool:
        """Tell whether it is found anywhere in a text; raises `InvalidQuery` for one that is too long."""
        return self._found(text) is not None

    def captured(self, text: str) -> str | None:
        """Return what its first group captures in a text, or all that it finds; None for nothing.

        Raises `InvalidQuery` for a text that is too long.
        """
        found = self._found(text)
        captured = None if found is None else found.group(min(1, self._compiled.groups))
        return None if captured is None else captured.decode("utf-8", "surrogatepass")

    def _found(self, text: str) -> Any:
        if len(text) > self._longest:
            raise InvalidQuery(
                f"The regular expression {shown(self._text)} meets a text of {len(text)} characters;"
                f" accepted for it are {self._longest}: repeat less in it, or filter such events out.",
                field="expression",
            )
        return self._compiled.search(text.encode("utf-8", "surrogatepass"))


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Pattern:
    """Compile a pattern; raises `InvalidQuery` with RE2's reason: a syntax error, look-around, its size."""
    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
        raise InvalidQuery(
            f"Got the regular expression {shown(pattern)}: {reason}; accepted is RE2's syntax.",
            field="expression",
        ) from None
    return Pattern(compiled, pattern)


@dataclass(frozen=True, slots=True)
class OrderOperator:
    """Takes any literal, and compares it with stored values of its kind.

    ``passes``: called with how the stored value stands to the literal: -1 below, 0 equal, 1 above; pure.
    ``any_of``: the literal is an array, and a value passes that passes for one of its elements.
    ``negated``: an event passes where none of the values that the field reaches does. ``words``: what an
    explanation says between the field and the literal (``name`` is put in).
    """

    name: str
    passes: Callable[[int], bool]
    any_of: bool = False
    negated: bool = False
    words: str = "{name}"


@dataclass(frozen=True, slots=True)
class TextOperator:
    """Takes a string, and passes for stored strings alone.

    ``passes``: called with the literal and a stored string; pure. ``check``: raises `InvalidQuery` for a
    literal that is not accepted; called once for each query. ``negated``, ``words``: as in `OrderOperator`.
    """

    name: str
    passes: Callable[[str, str], bool]
    check: Callable[[str], object] | None = None
    negated: bool = False
    words: str = "{name}"


Operator: TypeAlias = OrderOperator | TextOperator


def _equal(order: int) -> bool:
    return order == 0


OPERATORS: dict[str, Operator] = {
    each.name: each
    for each in (
        OrderOperator("eq", _equal, words="is"),
        OrderOperator("ne", _equal, negated=True, words="is not"),
        OrderOperator("gt", lambda order: order > 0, words="is greater than"),
        OrderOperator("ge", lambda order: order >= 0, words="is at least"),
        OrderOperator("lt", lambda order: order < 0, words="is less than"),
        OrderOperator("le", lambda order: order <= 0, words="is at most"),
        TextOperator("re", finds, check=compile_pattern, words="matches"),
        OrderOperator("in", _equal, any_of=True, words="is one of"),
        OrderOperator("nin", _equal, any_of=True, negated=True, words="is none of"),
    )
}
"""Every operator by its name in the expression language."""

CONDITIONS: Final[Mapping[str, str]] = {
    "exists": "is there; null counts",
    "or": "one of these filters passes",
    "and": "all of these filters pass",
    "not": "the filter does not pass",
}
"""The filters that are not an operator of a field and a literal, each with what a completion says."""
