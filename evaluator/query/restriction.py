"""What a key lets its holder see: some types, and of them the events that pass its filter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from cube.columns.key_filter import filters_of
from cube.expression.nodes import (
    EventExpression,
    Filter,
    MetricExpression,
    Negation,
    Number,
    Product,
    Reduction,
    Sum,
)
from cube.model.environment import Caller


@dataclass(frozen=True, slots=True)
class Restriction:
    """Bounds every expression of one caller; see `cube.model.environment.Key`."""

    caller: Caller
    filters: tuple[Filter, ...] = ()

    @classmethod
    def of(cls, caller: Caller) -> Restriction:
        """Return what a caller's key demands.

        Raises `AccessDenied` where its filter cannot be read: then nothing may be seen with it.
        """
        return cls(caller, filters_of(caller))

    def event(self, expression: EventExpression) -> EventExpression:
        """Return an expression with the filters added; raises `AccessDenied` for a type not allowed."""
        self.caller.check_type(expression.type)
        return (
            replace(expression, filters=(*expression.filters, *self.filters)) if self.filters else expression
        )

    def metric(self, node: MetricExpression) -> MetricExpression:
        """Return an expression with the filters added to each of its reductions; see `event`."""
        match node:
            case Reduction():
                self.caller.check_type(node.type)
                return replace(node, filters=(*node.filters, *self.filters)) if self.filters else node
            case Number():
                return node
            case Negation(operand):
                return Negation(self.metric(operand))
            case Sum(terms):
                return Sum(tuple((sign, self.metric(term)) for sign, term in terms))
            case Product(factors):
                return Product(tuple((scale, self.metric(factor)) for scale, factor in factors))
            case _:
                assert_never(node)

    def types(self, names: Iterable[str]) -> list[str]:
        """Return the types that may be known of."""
        allowed = None if self.caller.key is None else self.caller.key.types
        return [name for name in names if allowed is None or name in allowed]
