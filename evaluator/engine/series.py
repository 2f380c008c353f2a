"""Series: the numbers of one expression over consecutive buckets, and arithmetic on them.

Everything here is pure. NaN is "no value" throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from cube.columns import reductions
from cube.columns.values import OPERATIONS
from cube.expression import print_expression
from cube.expression.nodes import MetricExpression, Negation, Number, Product, Reduction, Sum
from cube.model.reduce import REDUCES
from cube.model.tier import Span, Tier
from cube.settings import EvaluatorLimits
from evaluator.engine.codec import Floats, GroupKey, decode_groups, decode_values
from evaluator.query.limits import LimitExceeded

Operation: TypeAlias = "Callable[[Floats, Floats], Floats]"


_LIMITS = EvaluatorLimits()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one query may take; where nothing is said, what the settings say by default.

    ``groups`` and ``cells`` (buckets times groups) of its answer, which has ``answer`` bytes of JSON at
    most; ``seconds`` in all; ``memory``: about so many bytes of partial results on the way.
    """

    groups: int = _LIMITS.groups
    cells: int = _LIMITS.cells
    seconds: float = _LIMITS.query_seconds
    memory: int = _LIMITS.memory_bytes
    answer: int = _LIMITS.answer_bytes

    @classmethod
    def of(cls, limits: EvaluatorLimits) -> Bounds:
        """Return what the settings say."""
        return cls(
            limits.groups, limits.cells, limits.query_seconds, limits.memory_bytes, limits.answer_bytes
        )

    def check(self, buckets: int, groups: int) -> None:
        """Raise `LimitExceeded` where an answer has too many groups or cells.

        ``groups``: 0 without any; else what has been counted of them, which need not be all.
        """
        if groups > self.groups:
            raise LimitExceeded(
                f"The expression has more than {self.groups} groups; accepted are {self.groups}:"
                " filter, or group by another field.",
                reason="groups",
                field="expression",
            )
        if buckets > self.cells:
            raise LimitExceeded(
                f"The answer has {buckets} buckets; accepted are {self.cells}:"
                " take a shorter span or a larger step.",
                reason="cells",
            )
        if buckets * groups > self.cells:
            raise LimitExceeded(
                f"The answer has {buckets} buckets times {groups} groups or more; accepted are {self.cells}"
                f" values together, with so many groups {self.cells // groups} buckets: take a shorter span,"
                " a larger step or fewer groups.",
                reason="cells",
            )


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of an expression, one per bucket (and group).

    ``default``: float64, shape (n,): without groups the values themselves; with groups what a group
    has that is not in ``groups``. ``groups``: None without groups; each array has shape (n,).
    """

    default: Floats
    groups: Mapping[GroupKey, Floats] | None = None

    @property
    def rows(self) -> int:
        """How many rows an answer has that shows it."""
        return len(self.default) * (1 if self.groups is None else len(self.groups))


def read_series(
    reduction: Reduction,
    tier: Tier,
    span: Span,
    contents: Mapping[int, bytes],
    lost: Collection[int],
    bounds: Bounds,
) -> Series:
    """Make the series of a reduction of its "value" cells by bucket.

    Of the buckets without a cell those in ``lost`` have no value; the others are empty.
    """
    empty = REDUCES[reduction.reduce].empty
    buckets = tier.buckets(span)
    bounds.check(len(buckets), 0)
    default = np.full(len(buckets), np.nan if empty is None else empty)
    default[_indexes(lost, tier, span)] = np.nan
    if reduction.group is not None:
        return Series(default, _read_groups(default, buckets, contents, bounds))
    if contents:
        default[_indexes(contents, tier, span)] = decode_values(contents.values())
    return Series(default)


def compute(node: MetricExpression, buckets: int, measured: Mapping[str, Series], bounds: Bounds) -> Series:
    """Evaluate an expression whose reductions have been measured, each over the same buckets.

    ``measured``: by canonical text, since trees that differ can compare equal (1 and true).
    """
    match node:
        case Reduction():
            return measured[print_expression(node)]
        case Number(value):
            return Series(np.full(buckets, float(value)))
        case Negation(operand):
            return _negate(compute(operand, buckets, measured, bounds))
        case Sum(parts) | Product(parts):
            # The first sign is "+" and the first scale "*", so the first part stands as it is.
            return reduce(
                lambda total, part: _join(total, part, bounds),
                ((sign, compute(part, buckets, measured, bounds)) for sign, part in parts[1:]),
                compute(parts[0][1], buckets, measured, bounds),
            )
        case _:
            assert_never(node)


def is_grouped(node: MetricExpression) -> bool:
    """Tell whether the values of an expression come by group."""
    return any(reduction.group is not None for reduction in reductions(node))


def _indexes(buckets: Collection[int], tier: Tier, span: Span) -> npt.NDArray[np.int64]:
    return (np.fromiter(buckets, np.int64, len(buckets)) - span.start) // tier.step


def _read_groups(
    default: Floats, buckets: range, contents: Mapping[int, bytes], bounds: Bounds
) -> dict[GroupKey, Floats]:
    """Read the values by group; over the bound of cells the groups are still counted, for the refusal."""
    groups: dict[GroupKey, Floats] = {}
    most, spare = bounds.cells // max(1, len(buckets)), default.copy()
    for bucket, content in contents.items():
        index = (bucket - buckets.start) // buckets.step
        for key, value in decode_groups(content):
            values = groups.get(key)
            if values is None:
                bounds.check(0, len(groups) + 1)
                values = groups[key] = default.copy() if len(groups) < most else spare
            values[index] = value
    bounds.check(len(buckets), len(groups))
    return groups


def _join(left: Series, signed: tuple[str, Series], bounds: Bounds) -> Series:
    """Apply an operator; a group that one side lacks has that side's default."""
    sign, right = signed
    operation = OPERATIONS[sign]
    default = _apply(operation, left.default, right.default)
    if left.groups is None and right.groups is None:
        return Series(default)
    ours, theirs = left.groups or {}, right.groups or {}
    keys = ours.keys() | theirs.keys()
    bounds.check(len(default), len(keys))
    return Series(
        default,
        {key: _apply(operation, ours.get(key, left.default), theirs.get(key, right.default)) for key in keys},
    )


def _negate(series: Series) -> Series:
    groups = series.groups
    return Series(
        -series.default, None if groups is None else {key: -values for key, values in groups.items()}
    )


def _apply(operation: Operation, left: Floats, right: Floats) -> Floats:
    with np.errstate(all="ignore"):
        result = operation(left, right)
    result[~np.isfinite(result)] = np.nan
    return result
