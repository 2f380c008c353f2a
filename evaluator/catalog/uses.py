"""Which fields an expression uses, of which type, and of what kinds they have to be to count."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from cube.columns.values import Kind, kind_of
from cube.expression.functions import FUNCTIONS
from cube.expression.nodes import (
    And,
    Call,
    Cohorts,
    Comparison,
    EventExpression,
    Exists,
    Field,
    Filter,
    Funnel,
    GroupPart,
    MetricExpression,
    Negation,
    Not,
    Number,
    Or,
    Product,
    Reduction,
    Relation,
    SequenceExpression,
    SeriesCall,
    SessionReduction,
    Sum,
    Text,
    Value,
)
from cube.expression.operators import OPERATORS, TextOperator
from cube.expression.printer import print_expression
from cube.expression.value_types import NUMBER, TEXT
from cube.model.reduce import REDUCES

Tree: TypeAlias = "MetricExpression | EventExpression"


@dataclass(frozen=True, slots=True)
class Demand:
    """What something takes of a field: values of some kinds; of none of these it makes ``otherwise``.

    ``takes``: says so after the text of what asks. ``number``: of a literal text, whether it is one.
    """

    kinds: frozenset[Kind]
    takes: str
    otherwise: str
    is_numeric_text: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """A field of a type; ``asker``: what takes it, and what that wants; None takes whatever is there."""

    type: str
    field: Field
    asker: Value | Reduction | None = None
    demand: Demand | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that lead to the field; indexes and elements of arrays are left out."""
        return tuple(part for part in self.field.path if isinstance(part, str))


LONGEST_ASKER: Final = 80
"""Characters of what takes a field, as a sentence shows it."""

NUMBERS: Final = Demand(frozenset({Kind.NUMBER, Kind.BOOL}), "takes numbers", "it has nothing to take")
TEXTS: Final = Demand(frozenset({Kind.STRING}), "takes text", "it has nothing to take")

_WORDS: Final = {
    Kind.NUMBER: "a number",
    Kind.STRING: "text",
    Kind.BOOL: "true or false",
    Kind.ARRAY: "an array",
}


def uses(tree: Tree) -> Iterator[Use]:
    """Yield each use of a field of an event, repetitions included; not those of fields of sessions."""
    for type, found in _parts(tree):
        for field, asker, demand in found:
            yield Use(type, field, asker, demand)


_Found: TypeAlias = "tuple[Field, Value | Reduction | None, Demand | None]"
_Part: TypeAlias = "tuple[str, Iterator[_Found]]"


def _parts(tree: Tree) -> Iterator[_Part]:
    """Yield each type that an expression names, with the fields that it uses there."""
    match tree:
        case EventExpression(type, fields, filters):
            yield type, _of_all((*(fields or ()), *filters))
        case Reduction():
            yield from _reduction(tree)
        case Funnel() | Cohorts() | SessionReduction():
            for step in _steps(tree):
                yield step.type, _of_all((tree.key, *step.filters))
        case _:
            for operand in _operands(tree):
                yield from _parts(operand)


def _operands(
    node: Number
    | Negation[MetricExpression]
    | SeriesCall
    | Sum[MetricExpression]
    | Product[MetricExpression],
) -> tuple[MetricExpression, ...]:
    match node:
        case Number():
            return ()
        case Negation(operand) | SeriesCall(_, operand):
            return (operand,)
        case Sum(parts) | Product(parts):
            return tuple(part for _, part in parts)
        case _:
            assert_never(node)


def _steps(node: SequenceExpression) -> tuple[EventExpression, ...]:
    match node:
        case Funnel(steps=steps):
            return steps
        case Cohorts(first=first, returning=returning):
            return (first,) if returning is None else (first, returning)
        case SessionReduction(events=events):
            return (events,)
        case _:
            assert_never(node)


def _reduction(node: Reduction) -> Iterator[_Part]:
    yield node.type, _of_reduction(node)
    ranking = None if node.group is None else node.group.ranking
    if ranking is not None and ranking.by is not None:
        yield from _parts(ranking.by)


def _of_reduction(node: Reduction) -> Iterator[_Found]:
    if node.value is not None:
        yield from _of(node.value, node, NUMBERS if REDUCES[node.reduce].numeric else None)
    yield from _of_all(node.filters)
    for part in () if node.group is None else node.group.parts:
        yield from _of_group(part)


def _of_group(part: GroupPart) -> Iterator[_Found]:
    yield from _of(part.value, None, None)


def _of_all(values: tuple[Value, ...]) -> Iterator[_Found]:
    for value in values:
        yield from _of(value, None, None)


def _of(value: Value, asker: Value | Reduction | None, demand: Demand | None) -> Iterator[_Found]:
    match value:
        case Field():
            yield value, asker, demand
        case Number() | Text():
            return
        case Call():
            yield from _of_call(value)
        case Negation(operand):
            yield from _of(operand, value, NUMBERS)
        case Sum(parts) | Product(parts):
            for _, part in parts:
                yield from _of(part, value, NUMBERS)
        case _:
            yield from _of_filter(value)


def _of_call(call: Call) -> Iterator[_Found]:
    function = FUNCTIONS[call.function]
    for place, argument in enumerate(call.arguments):
        parameter = function.parameter(place)
        demand = NUMBERS if parameter is NUMBER else TEXTS if parameter is TEXT else None
        yield from _of(argument, call, demand)


def _of_filter(filter: Filter) -> Iterator[_Found]:
    match filter:
        case Comparison():
            yield from _of(filter.value, filter, compared(filter))
        case Relation(_, value, other):
            yield from _of_all((value, other))
        case Exists(value):
            yield from _of(value, None, None)
        case Or(filters) | And(filters):
            yield from _of_all(filters)
        case Not(inner):
            yield from _of(inner, None, None)
        case _:
            assert_never(filter)


def compared(node: Comparison) -> Demand | None:
    """Return what a comparison takes of a field; None where that is more than a few kinds (null is)."""
    operator = OPERATORS[node.operator]
    otherwise = "every event passes" if operator.negated else "no event passes"
    if isinstance(operator, TextOperator):
        return Demand(frozenset({Kind.STRING}), "takes text", otherwise)
    literals = node.literal if operator.any_of and isinstance(node.literal, tuple) else (node.literal,)
    kinds = frozenset(map(kind_of, literals))
    if not kinds or not kinds <= _WORDS.keys():
        return None
    takes = f"compares with {' or '.join(_WORDS[kind] for kind in sorted(kinds))}"
    numeric = all(isinstance(literal, str) and is_number(literal) for literal in literals)
    return Demand(kinds, takes, otherwise, numeric)


def is_number(text: str) -> bool:
    """Tell whether a text is that of a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def asker_text(asker: Value | Reduction) -> str:
    """Return the canonical text of what takes a field, cut where it is long."""
    text = print_expression(asker)
    return text if len(text) <= LONGEST_ASKER else f"{text[:LONGEST_ASKER]}…"
