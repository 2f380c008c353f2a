"""The part of the grammar that is about names: of expressions that are defined elsewhere."""

from __future__ import annotations

from typing import Any, Final, cast

import pyparsing as pp

from cube.errors import InvalidRequest
from cube.expression.nodes import SEQUENCES, Grouping
from cube.expression.printer import print_expression
from cube.expression.source import Source
from cube.expression.traversal import walk

MOST_LISTED: Final = 10
"""So many names an error lists."""


def defined_name() -> pp.ParserElement:
    """Return the rule of the name of an expression, no bracket behind it; it leaves the expression's tree."""
    element = pp.Regex(r"[a-z_][a-zA-Z0-9_]*(?![\w$])(?![ \t\n\r]*\()").set_name("a saved name")
    element.set_fail_action(lambda source, place, _element, _error: _miss(cast("Source", source), place))
    return element.set_parse_action(
        lambda source, place, found: [_defined(cast("Source", source), place, found[0])]
    )


def plain_name() -> pp.ParserElement:
    """Return the rule of the name of reductions without groups, and of what is made of their series."""

    def act(source: Any, place: int, found: pp.ParseResults) -> None:
        for node in walk(found[0]):
            if isinstance(node, (Grouping, *SEQUENCES)):
                problem = (
                    "accepted by what groups are ranked are reductions without groups, arithmetic, and"
                    " functions of series"
                )
                raise source.refusal(place, f"Got a name of {print_expression(found[0])}; {problem}")

    return defined_name().add_parse_action(act)


def _defined(source: Source, place: int, found: str) -> Any:
    if found not in source.definitions:
        _miss(source, place)
        raise pp.ParseException(source, place, "not a name")
    try:
        tree = source.definitions.tree(found)
    except InvalidRequest as error:
        if source.definitions.is_parsing:  # the text is a definition itself: it is told where it is used
            raise
        raise source.refusal(place, f"{error.message.rstrip('.')}; the name stands") from None
    source.used.append(found)
    return tree


def _miss(source: Source, place: int) -> None:
    """Note that a name could stand at a place, where there are any."""
    names = sorted(source.definitions)
    if names and not source.definitions.are_told:
        source.miss(place, "a saved name")
    elif names:
        more = ["…"] if len(names) > MOST_LISTED else []
        source.miss(place, f"a saved name ({', '.join([*names[:MOST_LISTED], *more])})")
