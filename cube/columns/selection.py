"""What expressions read of blocks: which events they select, what they show, which fields they look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, assert_never

from cube.columns.block import Block
from cube.columns.column import Booleans, stored
from cube.columns.evaluation import mask
from cube.columns.values import Kind, Path, read
from cube.errors import InvalidQuery
from cube.expression.functions import takes_pattern
from cube.expression.literal_errors import refused
from cube.expression.nodes import (
    SEQUENCES,
    Call,
    Cohorts,
    Comparison,
    Element,
    EventExpression,
    Field,
    Funnel,
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
from cube.expression.operators import OPERATORS, TextOperator
from cube.expression.traversal import walk
from cube.model.event import ABSENT


def reductions(node: MetricExpression) -> Iterator[Reduction]:
    """Yield the reductions of an expression as they stand, repetitions included."""
    match node:
        case Reduction():
            yield node  # what a ranking goes by is measured apart
        case Number() | Funnel() | Cohorts() | SessionReduction():
            return
        case Negation(operand) | SeriesCall(_, operand):
            yield from reductions(operand)
        case Sum(parts) | Product(parts):
            for _, part in parts:
                yield from reductions(part)
        case _:
            assert_never(node)


def sequences(node: MetricExpression) -> list[SequenceExpression]:
    """Return the funnels, retentions and reductions of sessions of an expression, repetitions included."""
    return [each for each in walk(node) if isinstance(each, SEQUENCES)]


def check(expression: MetricExpression | EventExpression, text: str | None = None) -> None:
    """Check the literal of every text operator of an expression: every pattern compiles.

    Raises `InvalidQuery` (``field``: "expression") for the first that is refused, a pattern with RE2's
    reason: a syntax error, look-around, a back-reference, its bound of memory; where the ``text`` that it was
    parsed from is given `InvalidExpression`, with the literal's place.
    """
    for operator, literal in _searches(expression):
        if operator.check is None:
            continue
        try:
            operator.check(literal)
        except InvalidQuery as error:
            if text is None:
                raise
            raise refused(text, operator.name, literal, error.message) from None


def has_patterns(expression: MetricExpression | EventExpression) -> bool:
    """Tell whether an expression searches in texts, which may cost much for a single event."""
    is_searched = any(True for _ in _searches(expression))
    return is_searched or any(isinstance(each, Call) and takes_pattern(each) for each in walk(expression))


def needed(expression: Reduction | EventExpression) -> tuple[str, ...] | None:
    """Return the top-level names of the data that an expression needs, sorted; None for all of them."""
    if isinstance(expression, EventExpression) and expression.fields is None:
        return None
    return tuple(sorted({str(field.path[0]) for field in _fields(expression)}))


def paths(expression: Reduction | EventExpression) -> frozenset[Path]:
    """Return the paths of the columns that an expression reads."""
    return frozenset(field.path for field in _fields(expression))


def selected(expression: EventExpression, block: Block) -> Booleans:
    """Tell which rows an event expression selects: those that pass its filters and have its fields.

    A field whose value is null is there.
    """
    passed = mask(expression.filters, block)
    for field in expression.fields or ():
        passed &= stored(block, field.path).kinds != Kind.MISSING
    return passed


def project(fields: Sequence[Field] | None, data: Any) -> Any:
    """Return what an event expression shows of one event's data; `ABSENT` for none of it.

    ``fields``: as in `EventExpression`. Values stand nested as stored: before an element of an array
    stand nulls for the elements that were not asked for. Fields that are not there are left out.
    An element chosen by key is shown behind the others, with its key.
    """
    if fields is None:
        return data
    shown: Any = ABSENT
    chosen: dict[Path, int] = {}
    for path in _outermost(fields):
        value = read(data, path)
        if value is not ABSENT:
            shown = _put(shown, path, value, chosen)
    return shown


def _fields(tree: Reduction | EventExpression) -> Iterator[Field]:
    return (each for each in walk(tree) if isinstance(each, Field))


def _searches(expression: MetricExpression | EventExpression) -> Iterator[tuple[TextOperator, str]]:
    for condition in walk(expression):
        if isinstance(condition, Comparison) and isinstance(condition.literal, str):
            operator = OPERATORS[condition.operator]
            if isinstance(operator, TextOperator):
                yield operator, condition.literal


def _outermost(fields: Sequence[Field]) -> list[Path]:
    """Return the paths that no other one leads to, those that choose elements by key last."""
    paths = {tuple(field.path): None for field in fields}
    outermost = [path for path in paths if not any(path[:length] in paths for length in range(1, len(path)))]
    return sorted(outermost, key=lambda path: any(isinstance(part, Element) for part in path))


def _put(shown: Any, path: Path, value: Any, chosen: dict[Path, int], before: Path = ()) -> Any:
    """Put a value at a path of what is shown; ``chosen``: where in its array each element stands."""
    if not path:
        return value
    part, rest, here = path[0], path[1:], (*before, path[0])
    if isinstance(part, str):
        shown = {} if shown is ABSENT else shown
        shown[part] = _put(shown.get(part, ABSENT), rest, value, chosen, here)
        return shown
    shown = [] if shown is ABSENT else shown
    if isinstance(part, Element):
        place = chosen.setdefault(here, len(shown))
        if place == len(shown):
            shown.append(_put(ABSENT, part.key, part.literal, {}))
    else:
        place = part
        shown += [None] * (place + 1 - len(shown))
    shown[place] = _put(ABSENT if shown[place] is None else shown[place], rest, value, chosen, here)
    return shown
