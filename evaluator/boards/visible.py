"""What of a board a caller may see whose key has types or a filter: the charts that it may ask for."""

from __future__ import annotations

from cube.columns.key_filter import Restriction
from cube.errors import AccessDenied, InvalidRequest
from cube.expression import parse_metric
from cube.expression.definitions import Definitions
from cube.expression.variables import substituted
from cube.model.board import Board


def visible(board: Board, restriction: Restriction, definitions: Definitions) -> Board:
    """Return a board without the charts and variables that are about types which may not be known of.

    A chart whose expressions cannot be read is left out as well: nobody can tell what it is about.
    """
    everything = dict.fromkeys(variable.name for variable in board.variables)
    charts = tuple(
        chart
        for chart in board.charts
        if all(
            _may_ask(restriction, substituted(text, everything), definitions) for text in chart.expressions
        )
    )
    types = restriction.types(variable.type for variable in board.variables)
    variables = tuple(variable for variable in board.variables if variable.type in types)
    return Board(board.title, charts, variables, board.span)


def _may_ask(restriction: Restriction, expression: str, definitions: Definitions) -> bool:
    try:
        restriction.metric(parse_metric(expression, definitions))
    except (AccessDenied, InvalidRequest):
        return False
    return True
