"""What commands that show events take an expression for."""

from __future__ import annotations

from dataclasses import replace


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
