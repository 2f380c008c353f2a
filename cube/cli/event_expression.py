"""What commands that show events take an expression for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from cube.cli.event_stream import type_of
from cube.client.evaluator import Evaluator
from cube.errors import InvalidExpression, InvalidRequest


def with_data(expression: str) -> tuple[str, str]:
    """Return the type of an event expression, and the expression: of one without fields with all data.

    Nobody who looks at events wants their times alone. Raises `InvalidExpression`.
    """
    from cube.expression import parse_event  # with the grammar, which takes a while to import
    from cube.expression.printer import print_expression

    parsed = parse_event(expression)
    if parsed.fields != ():
        return parsed.type, expression
    return parsed.type, print_expression(replace(parsed, fields=None))


@contextmanager
def metric_expected(expression: str) -> Iterator[None]:
    """Add to an `InvalidExpression` of this block what to do with an expression that selects events."""
    try:
        yield
    except InvalidExpression as error:
        is_name = error.message.startswith("The definition of ")
        if not is_name and _is_of_whole_events(expression):
            error.message = (
                f"{error.message} Where {expression} is meant to select events, sum({expression}) is how many"
                " there are, and `cube event` shows them."
            )
        raise


def _is_of_whole_events(expression: str) -> bool:
    """Tell whether it selects events without fields; with these it may be a reduce that is mistyped."""
    from cube.expression import parse_event

    with suppress(InvalidExpression):
        return parse_event(expression).fields == ()
    return False


def refuse_metric(evaluator: Evaluator, expression: str) -> list[str]:
    """Return what an expression of events may get wrong; raises `InvalidRequest` for a metric.

    ``sum(request)`` may be read as events, too: of a type sum, which hardly anybody has.
    """
    told = evaluator.explained(expression)
    is_metric = any(reading["kind"] == "metric" for reading in told["readings"])
    if is_metric and type_of(expression) not in evaluator.types():
        raise InvalidRequest(
            f"Got the metric {expression}; accepted are events, such as request(path). `cube metric` shows"
            " metrics."
        )
    hints: list[str] = told["hints"]
    return hints
