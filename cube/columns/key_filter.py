"""What a key lets its holder see: some types, and of them the events that pass its filter.

See `cube.model.environment.Key`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import assert_never

from cube.columns import check
from cube.errors import AccessDenied, InvalidRequest, InvalidSettings, shown
from cube.expression import parse_filters
from cube.expression.nodes import (
    Cohorts,
    EventExpression,
    Filter,
    Funnel,
    Grouping,
    MetricExpression,
    Negation,
    Number,
    Product,
    Reduction,
    SequenceExpression,
    SeriesCall,
    SessionReduction,
    Sum,
)
from cube.model.environment import Caller, Key


@dataclass(frozen=True, slots=True)
class Restriction:
    """Restricts every expression of one caller."""

    caller: Caller
    filters: tuple[Filter, ...] = ()

    @classmethod
    def of(cls, caller: Caller) -> Restriction:
        """Return what a caller's key demands.

        Raises `AccessDenied` where its filter cannot be read: then nothing may be seen with it.
        """
        return cls(caller, filters_of(caller))

    @property
    def hides(self) -> bool:
        """Whether there is anything that it does not let see."""
        return self.caller.key is not None and bool(self.caller.key.restriction_digest)

    def event(self, expression: EventExpression) -> EventExpression:
        """Return an expression with the filters added; raises `AccessDenied` for a type not allowed."""
        self.caller.check_type(expression.type)
        return replace(expression, filters=expression.filters + self.filters)

    def metric(self, node: MetricExpression) -> MetricExpression:
        """Return an expression with the filters added to all events that it is about; see `event`."""
        match node:
            case Reduction():
                self.caller.check_type(node.type)
                return replace(node, filters=node.filters + self.filters, group=self._group(node.group))
            case Funnel() | Cohorts() | SessionReduction():
                return self._sequence(node)
            case Number():
                return node
            case Negation(operand):
                return Negation(self.metric(operand))
            case SeriesCall(_, operand):
                return replace(node, operand=self.metric(operand))
            case Sum(terms):
                return Sum(tuple((sign, self.metric(term)) for sign, term in terms))
            case Product(factors):
                return Product(tuple((scale, self.metric(factor)) for scale, factor in factors))
            case _:
                assert_never(node)

    def named(self, node: MetricExpression) -> MetricExpression:
        """Do as `metric` with an expression with saved names in it: what they stand for is not told."""
        try:
            return self.metric(node)
        except AccessDenied:
            raise AccessDenied(
                "Got an expression with a saved name that stands for events of a type which the key does not"
                " accept; accepted are names for the types of the key."
            ) from None

    def _group(self, group: Grouping | None) -> Grouping | None:
        """Return a group whose ranking, too, goes by what may be seen."""
        if group is None or group.ranking is None or group.ranking.by is None:
            return group
        return replace(group, ranking=replace(group.ranking, by=self.metric(group.ranking.by)))

    def _sequence(self, node: SequenceExpression) -> SequenceExpression:
        match node:
            case Funnel():
                return replace(node, steps=tuple(map(self.event, node.steps)))
            case Cohorts(first=first, returning=returning):
                back = None if returning is None else self.event(returning)
                return replace(node, first=self.event(first), returning=back)
            case SessionReduction():
                return replace(node, events=self.event(node.events))
            case _:
                assert_never(node)

    def types(self, names: Iterable[str]) -> list[str]:
        """Return the types that may be known of."""
        allowed = None if self.caller.key is None else self.caller.key.types
        return [name for name in names if allowed is None or name in allowed]


def filters_of(caller: Caller) -> tuple[Filter, ...]:
    """Return the filters that hold for all that a caller sees; none without a key that has any.

    Raises `AccessDenied` where they cannot be read.
    """
    if caller.key is None or not caller.key.filter:
        return ()
    try:
        return read_filters(caller.key.filter)
    except InvalidRequest:
        raise AccessDenied("The filter of this key cannot be read; ask who gave you the key.") from None


@lru_cache(maxsize=256)
def read_filters(text: str) -> tuple[Filter, ...]:
    """Read the text of a key's filter: ``eq(customer, "acme").ge(n, 1)``.

    Raises `InvalidExpression`, or `InvalidQuery` for a pattern that is not valid.
    """
    filters = parse_filters(text)
    check(EventExpression("any", (), filters))  # its patterns
    return filters


def refuse_bad_filters(keys: Iterable[Key]) -> None:
    """Raise `InvalidSettings` where the filter of one of these keys cannot be read."""
    for key in keys:
        try:
            if key.filter:
                read_filters(key.filter)
        except InvalidRequest as error:
            raise InvalidSettings(
                f"Got the filter {shown(key.filter)} of the key {key.id}. {error.message}"
            ) from None
