"""Functions of series: what has to be measured for an expression that calls some, and how it is put together.

Everything here is pure. NaN is "no value" throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias, assert_never

import numpy as np

from cube.columns.values import Floats
from cube.expression import print_expression
from cube.expression.nodes import (
    Cohorts,
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
from cube.expression.series_functions import LOOK_BACK, NONE, PREVIOUS, SERIES_FUNCTIONS, UNITS
from cube.model.reduce import REDUCES
from cube.settings import EvaluatorLimits
from evaluator.engine.frames import Frame, operand_frames
from evaluator.engine.series import Series, compute

Measured: TypeAlias = Reduction | SequenceExpression
"""What is measured of an expression, before its arithmetic."""


class Leaf(NamedTuple):
    """A reduction, or a sequence, as it is measured: by its canonical text, in a frame."""

    text: str
    frame: Frame


def leaves(node: MetricExpression, frame: Frame) -> Iterator[tuple[Leaf, Measured]]:
    """Yield what `computed` needs to have measured for an expression, repetitions included."""
    for part in _outermost(node):
        if isinstance(part, SeriesCall):
            for inner in operand_frames(part, frame):
                yield from leaves(part.operand, inner)
        else:
            yield _leaf(part, frame), part
            if frame.is_bare and isinstance(part, Reduction):
                yield _leaf(_witness(part), frame), _witness(part)


def computed(
    node: MetricExpression, frame: Frame, measured: Mapping[Leaf, Series], limits: EvaluatorLimits
) -> Series:
    """Return the series of an expression whose `leaves` have been measured; raises `LimitExceeded`."""
    parts = {print_expression(part): _part(part, frame, measured, limits) for part in _outermost(node)}
    return compute(node, frame.count, parts, limits)


def lowered(node: MetricExpression) -> MetricExpression:
    """Return an expression in which rates stand within what moves intervals, and are of single terms.

    So they are over the length of the interval that a number is of.
    """
    match node:
        case Reduction() | Funnel() | Cohorts() | SessionReduction() | Number():
            return node
        case Negation(operand):
            return Negation(lowered(operand))
        case Sum(terms):
            return Sum(tuple((sign, lowered(term)) for sign, term in terms))
        case Product(factors):
            return Product(tuple((scale, lowered(factor)) for scale, factor in factors))
        case SeriesCall():
            operand = lowered(node.operand)
            return _rate(node, operand) if node.function == "per" else replace(node, operand=operand)
        case _:
            assert_never(node)


def _rate(call: SeriesCall, operand: MetricExpression) -> MetricExpression:
    match operand:
        case Negation(inner):
            return Negation(_rate(call, inner))
        case Sum(terms):
            return Sum(tuple((sign, _rate(call, term)) for sign, term in terms))
        case SeriesCall(function, inner) if SERIES_FUNCTIONS[function].moves:
            return replace(operand, operand=_rate(call, inner))
        case _:
            return replace(call, operand=operand)


def _outermost(node: MetricExpression) -> Iterator[Measured | SeriesCall]:
    """Yield the reductions, sequences and calls of an expression that are in no other call."""
    match node:
        case Reduction() | Funnel() | Cohorts() | SessionReduction() | SeriesCall():
            yield node
        case Number():
            return
        case Negation(operand):
            yield from _outermost(operand)
        case Sum(parts) | Product(parts):
            for _, part in parts:
                yield from _outermost(part)
        case _:
            assert_never(node)


def _leaf(measured: Measured, frame: Frame) -> Leaf:
    return Leaf(print_expression(measured), replace(frame, is_bare=False))


def _witness(reduction: Reduction) -> Reduction:
    """Return a reduction that has a value where the other has values, cached as any other."""
    reduce = REDUCES[reduction.reduce]
    if reduce.empty is None or not reduce.numeric:  # nothing is counted only where there is nothing
        return reduction
    return replace(reduction, reduce="min", argument=None)


def _part(
    part: Measured | SeriesCall, frame: Frame, measured: Mapping[Leaf, Series], limits: EvaluatorLimits
) -> Series:
    if isinstance(part, SeriesCall):
        frames = operand_frames(part, frame)
        return apply(part, frame, [computed(part.operand, inner, measured, limits) for inner in frames])
    series = measured[_leaf(part, frame)]
    if not isinstance(part, Reduction):
        return series  # of a funnel nobody is a number, and not nothing
    empty = REDUCES[part.reduce].empty
    if not frame.is_bare or empty is None:
        return series
    witness = _witness(part)
    seen_by, is_same = measured[_leaf(witness, frame)], witness is part

    def bare(values: Floats, seen: Floats) -> Floats:
        gone = (seen == empty) if is_same else np.isnan(seen)
        return np.where(gone, np.nan, values)

    return _joined(bare, series, seen_by)


def apply(call: SeriesCall, frame: Frame, operands: Sequence[Series]) -> Series:
    """Return the series of a call in a frame; ``operands``: those of its operand in its `operand_frames`."""
    match call.function, call.option:
        case "shift" | "rolling" | "cumulative", _:
            return operands[0]
        case "per", str(unit):
            starts, stops = frame.intervals()
            lengths = (stops - starts) / UNITS[unit]
            return _mapped(lambda values: _quotient(values, lengths), operands[0])
        case "change", option:
            later, earlier = operands if len(operands) == 2 else _neighbours(operands[0])
            return _joined(_changed if option is None else _changed_in_percent, later, earlier)
        case "fill", option if option == PREVIOUS:
            return _mapped(lambda values: _carried(values)[-frame.count :], operands[0])
        case "fill", option if option == NONE:
            return operands[0]
        case "fill", int(number) | float(number):
            return _mapped(lambda values: np.where(np.isnan(values), number, values), operands[0])
        case _:
            raise ValueError(f"not a call of a function of series: {call}")


def _neighbours(series: Series) -> tuple[Series, Series]:
    return _mapped(lambda values: values[1:], series), _mapped(lambda values: values[:-1], series)


def _changed(later: Floats, earlier: Floats) -> Floats:
    return _finite(later - earlier)


def _changed_in_percent(later: Floats, earlier: Floats) -> Floats:
    return _finite((later - earlier) / np.abs(earlier) * 100)


def _carried(values: Floats) -> Floats:
    """Return values, and where there are none the last one before, up to `LOOK_BACK` buckets before."""
    places = np.arange(len(values))
    known = np.maximum.accumulate(np.where(np.isnan(values), -1, places))
    carried = np.where(known < 0, np.nan, values[np.maximum(known, 0)])
    return np.where(places - known > LOOK_BACK, np.nan, carried)


def _quotient(values: Floats, lengths: Floats) -> Floats:
    return _finite(values / lengths)


def _finite(values: Floats) -> Floats:
    values[~np.isfinite(values)] = np.nan
    return values


def _mapped(change: Callable[[Floats], Floats], series: Series) -> Series:
    groups = series.groups
    with np.errstate(all="ignore"):
        return Series(
            change(series.default),
            None if groups is None else {key: change(values) for key, values in groups.items()},
        )


def _joined(join: Callable[[Floats, Floats], Floats], one: Series, other: Series) -> Series:
    """Join two series of an expression; a group that one of them lacks has its default."""
    with np.errstate(all="ignore"):
        default = join(one.default, other.default)
        if one.groups is None or other.groups is None:
            return Series(default)
        ours, theirs = one.groups, other.groups
        return Series(
            default,
            {
                key: join(ours.get(key, one.default), theirs.get(key, other.default))
                for key in ours.keys() | theirs.keys()
            },
        )
