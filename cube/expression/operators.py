"""The operators of filters: ``operator(field, literal)``. A new one is one entry of `OPERATORS`.

The grammar takes its names and the form of their literals from here, `cube.columns` the meaning, for
one event and for whole columns. What holds for all operators is said there: which values a field's path
reaches, and that values of different kinds never compare.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from cube.expression.patterns import compile_pattern, finds


@dataclass(frozen=True, slots=True)
class OrderOperator:
    """Takes any literal, and compares it with stored values of its kind.

    ``passes``: called with how the stored value stands to the literal: -1 below, 0 equal, 1 above; pure.
    ``any_of``: the literal is an array, and a value passes that passes for one of its elements.
    ``negated``: an event passes where none of the values that the field reaches does.
    """

    name: str
    passes: Callable[[int], bool]
    any_of: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class TextOperator:
    """Takes a string, and passes for stored strings alone.

    ``passes``: called with the literal and a stored string; pure. ``check``: raises `InvalidQuery` for a
    literal that is not accepted; called once for each query. ``negated``: as in `OrderOperator`.
    """

    name: str
    passes: Callable[[str, str], bool]
    check: Callable[[str], object] | None = None
    negated: bool = False


Operator: TypeAlias = OrderOperator | TextOperator


def _equal(order: int) -> bool:
    return order == 0


OPERATORS: dict[str, Operator] = {
    each.name: each
    for each in (
        OrderOperator("eq", _equal),
        OrderOperator("ne", _equal, negated=True),
        OrderOperator("gt", lambda order: order > 0),
        OrderOperator("ge", lambda order: order >= 0),
        OrderOperator("lt", lambda order: order < 0),
        OrderOperator("le", lambda order: order <= 0),
        TextOperator("re", finds, check=compile_pattern),
        OrderOperator("in", _equal, any_of=True),
        OrderOperator("nin", _equal, any_of=True, negated=True),
    )
}
"""Every operator by its name in the expression language."""
