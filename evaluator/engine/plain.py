"""Plain expressions: arithmetic over reductions, each of the very buckets that are asked for."""

from __future__ import annotations

from functools import lru_cache

from cube.expression.nodes import MetricExpression, Negation, Number, Product, Reduction, Sum

_REMEMBERED = 1_000


@lru_cache(maxsize=_REMEMBERED)  # trees that compare equal are alike in this
def is_plain(node: MetricExpression) -> bool:
    """Tell whether nothing moves an expression's intervals, joins events, or chooses among groups."""
    match node:
        case Reduction():
            return node.group is None or node.group.ranking is None
        case Number():
            return True
        case Negation(operand):
            return is_plain(operand)
        case Sum(parts) | Product(parts):
            return all(is_plain(part) for _, part in parts)
        case _:
            return False
