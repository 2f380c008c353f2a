"""Definitions: metric expressions that have names, which stand in others as if they were written there.

A name is put in as a tree, in brackets as it were, while a text is parsed. So what is evaluated, cached and
restricted is what the name stands for, and nothing else of the system knows of names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from cube.errors import InvalidExpression, InvalidRequest, shown
from cube.expression.grammar import parse_metric
from cube.expression.nodes import MetricExpression
from cube.expression.reduce_names import reduce_words
from cube.expression.sequence_functions import SEQUENCE_FUNCTIONS
from cube.expression.series_functions import SERIES_FUNCTIONS

MOST_DEFINITIONS: Final = 500
"""Of one environment."""

NAME: Final = "[a-z_][a-zA-Z0-9_]{0,63}"
_NAME = re.compile(NAME, re.ASCII)


class Definitions:
    """The definitions of an environment at a moment, each parsed when it is used first; never changed.

    ``texts``: the expressions by name, as they were written. ``are_told``: whether errors say which there
    are, and what is wrong in one; a restricted key may not know.
    """

    def __init__(self, texts: Mapping[str, str], *, are_told: bool = True) -> None:
        self.texts: Final = dict(texts)
        self.are_told: Final = are_told
        self._trees: dict[str, MetricExpression] = {}
        self._parsing: list[str] = []

    def __contains__(self, name: object) -> bool:
        return name in self.texts

    def __iter__(self) -> Iterator[str]:
        return iter(self.texts)

    @property
    def is_parsing(self) -> bool:
        """Whether a definition is just being parsed."""
        return bool(self._parsing)

    def tree(self, name: str) -> MetricExpression:
        """Return what a name stands for; raises `InvalidRequest` where that is circular, or not valid."""
        found = self._trees.get(name)
        if found is not None:
            return found
        if name in self._parsing:
            circle = " → ".join((*self._parsing[self._parsing.index(name) :], name))
            raise InvalidRequest(f"The definition of {name} uses itself: {circle}.")
        self._parsing.append(name)
        try:
            tree = parse_metric(self.texts[name], self)
        except InvalidExpression as error:
            told = f" {error.message}" if self.are_told else ""
            raise InvalidRequest(f"The definition of {name} is not valid.{told}") from None
        finally:
            self._parsing.pop()
        self._trees[name] = tree
        return tree

    def with_one(self, name: str, text: str) -> Definitions:
        """Return the definitions with another one, or another text for one."""
        return Definitions({**self.texts, name: text})

    def without(self, name: str) -> Definitions:
        """Return the definitions without one."""
        return Definitions({each: text for each, text in self.texts.items() if each != name})


def check_definition_name(name: str) -> str:
    """Return a name that may be given to an expression; raises `InvalidRequest` for any other."""
    taken = {*reduce_words(), *SERIES_FUNCTIONS, *SEQUENCE_FUNCTIONS}
    if not _NAME.fullmatch(name) or name in taken:
        raise InvalidRequest(
            f"Got the name {shown(name)}; accepted are letters, digits and _, 64 at most, a small letter or _"
            " first, and not the name of a reduce or of a function."
        )
    return name
