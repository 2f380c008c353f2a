"""Which types of events a board is about."""

from __future__ import annotations

from collections.abc import Mapping

from cube.errors import InvalidRequest
from cube.expression import parse_metric
from cube.expression.definitions import Definitions
from cube.expression.traversal import types_read
from cube.expression.variables import substituted
from cube.model.board import Board


def types_of(board: Board, definitions: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the types that its expressions and variables name; what cannot be read names none.

    ``definitions``: the texts that have names, which may stand in the expressions.
    """
    names = Definitions(definitions or {})
    everything = dict.fromkeys(variable.name for variable in board.variables)
    found = {variable.type for variable in board.variables}
    for text in (text for chart in board.charts for text in chart.expressions):
        try:
            expression = parse_metric(substituted(text, everything), names)
        except InvalidRequest:
            continue
        found.update(types_read(expression))
    return frozenset(found)
