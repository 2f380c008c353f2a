"""Rankings: which groups an expression shows, by what they come to over the whole span.

The groups are chosen by totals over the span, of all groups; then everything is measured with those and the
rest as one, which is a group like any other: cached, merged, and believed by its revisions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from cube.expression import print_expression
from cube.expression.grouping import changed_reductions, compared, ranked, reductions_in
from cube.expression.nodes import MetricExpression, Ranking, Reduction
from cube.model.tier import Group, GroupKey, group_key, group_of_key, is_rest, rest_key
from cube.settings import EvaluatorLimits
from evaluator.engine.series import Series, compute

_ANY: Final = 2**62

Total: TypeAlias = Callable[[Reduction], Awaitable[Series]]
"""Returns what each group of a reduction comes to over the span, as a series of one bucket."""


async def with_chosen(
    expression: MetricExpression, total: Total, limits: EvaluatorLimits
) -> MetricExpression:
    """Return an expression with the groups that its ranking chooses; without one it is as it was."""
    reduction = ranked(expression)
    if reduction is None or reduction.group is None or reduction.group.ranking is None:
        return expression
    by = compared(reduction)
    shown = [unranked(each) for each in reductions_in(expression) if each.group is not None]
    wanted = {print_expression(each): each for each in (*reductions_in(by), *shown)}
    totals = {text: await total(each) for text, each in wanted.items()}
    ranks = compute(by, 1, totals, unbounded(limits))
    candidates = {key for each in shown for key in totals[print_expression(each)].groups or ()}
    chosen = best(reduction.group.ranking, candidates, ranks)
    return with_groups(expression, tuple(map(group_of_key, chosen)))


def best(ranking: Ranking, candidates: set[GroupKey], ranks: Series) -> list[GroupKey]:
    """Return the groups that a ranking chooses, in the order of groups.

    Of equal ones that which comes first in that order is chosen; one without a value after all others.
    """
    keys = sorted(candidates)
    groups = ranks.groups or {}
    values = np.array([float(groups.get(key, ranks.default)[0]) for key in keys])
    order = np.argsort(-values if ranking.end == "top" else values, kind="stable")  # NaN last
    return [keys[place] for place in sorted(order[: ranking.count].tolist())]


def unranked(reduction: Reduction) -> Reduction:
    """Return a reduction with all of its groups."""
    if reduction.group is None:
        return reduction
    return replace(reduction, group=replace(reduction.group, ranking=None))


def with_groups(expression: MetricExpression, chosen: tuple[Group, ...]) -> MetricExpression:
    """Return an expression all groups of which are these, and the rest."""

    def change(reduction: Reduction) -> Reduction:
        if reduction.group is None:
            return reduction
        return replace(reduction, group=replace(reduction.group, ranking=None, chosen=chosen))

    changed: MetricExpression = changed_reductions(expression, change)
    return changed


def named(series: Series) -> Series:
    """Return a series whose rest has a name that no other group has: in as many brackets as that takes."""
    groups = series.groups
    if groups is None or rest_key() not in groups:
        return series
    name = "other"
    while group_key(name) in groups:
        name = f"({name})"
    return Series(series.default, {rest_key(name) if is_rest(key) else key: groups[key] for key in groups})


def unbounded(limits: EvaluatorLimits) -> EvaluatorLimits:
    """Return limits under which there may be any number of groups that memory has room for."""
    return replace(limits, groups=_ANY, cells=_ANY)
