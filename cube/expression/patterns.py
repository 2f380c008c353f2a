"""Regular expressions: RE2's syntax, searched for in linear time and within a bound."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

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
    """A compiled pattern; finds itself in texts that are not too long for it."""

    __slots__ = ("_compiled", "_longest", "_text")

    def __init__(self, compiled: Any, text: str) -> None:
        self._compiled = compiled
        self._text = text
        self._longest = SEARCH // max(1, compiled.programsize)

    def finds(self, text: str) -> bool:
        """Tell whether it is found anywhere in a text; raises `InvalidQuery` for one that is too long."""
        if len(text) > self._longest:
            raise InvalidQuery(
                f"The regular expression {shown(self._text)} meets a text of {len(text)} characters;"
                f" accepted for it are {self._longest}: repeat less in it, or filter such events out.",
                field="expression",
            )
        return self._compiled.search(text.encode("utf-8", "surrogatepass")) is not None


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
