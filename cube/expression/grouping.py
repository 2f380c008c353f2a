"""Which groups an expression has, and what may be joined: the rules that a tree must keep.

Groups of as many parts are joined part by part, whatever these are called. Where one side has fewer, all of
its parts must be among the other's, and each of its groups applies to all of those that it is part of. An
expression has one ranking at most, and that holds for all of its groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final, TypeAlias

from cube.expression.nodes import (
    SEQUENCES,
    Cohorts,
    Funnel,
    Grouping,
    MetricExpression,
    Reduction,
    SessionReduction,
)
from cube.expression.printer import print_expression, print_part
from cube.expression.source import Source
from cube.expression.string_literals import STRING

Parts: TypeAlias = "tuple[str, ...]"
"""The canonical texts of the parts of a group, without what an event is in that has none."""

_GROUP: Final = re.compile(rf"{STRING}|(?P<group>\.[ \t\n\r]*group[ \t\n\r]*\()", re.DOTALL)


ARGUMENT: Final = "quantile"
"""What the part of a group is called that is one of several arguments of a reduce."""


class UnjoinableGroups(ValueError):
    """Groups that do not go together; ``place``: of which reduction with a group, counted from 0."""

    def __init__(self, problem: str, place: int) -> None:
        super().__init__(problem)
        self.place = place


def check_groups(tree: object, source: Source) -> None:
    """Refuse a tree whose groups cannot be joined; raises `InvalidExpression` at the second of two."""
    try:
        grouped_by(tree)
        ranked(tree)
    except UnjoinableGroups as error:
        found = [each.start() for each in _GROUP.finditer(source) if each["group"]]
        place = 0 if source.used or not found else found[min(error.place, len(found) - 1)]
        raise source.refusal(place, str(error)) from None


def reductions_in(tree: object) -> Iterator[Reduction]:
    """Yield the reductions of a tree as they stand; what a ranking goes by is not part of it."""
    if isinstance(tree, Reduction):
        yield tree
    elif not isinstance(tree, SEQUENCES):
        for part in _parts(tree):
            yield from reductions_in(part)


def grouped_by(tree: object) -> Parts | None:
    """Return the parts of a tree's groups, None without groups; raises `UnjoinableGroups`."""
    return _grouped_by(tree, 0)[0]


def ranked(tree: object) -> Reduction | None:
    """Return the reduction whose ranking holds for all groups of a tree; raises `UnjoinableGroups`."""
    found: Reduction | None = None
    grouped = [each for each in reductions_in(tree) if each.group is not None]
    for place, reduction in enumerate(grouped):
        if reduction.group is None or reduction.group.ranking is None:
            continue
        if found is not None and _ranking_text(found) != _ranking_text(reduction):
            raise UnjoinableGroups(
                f"Got two rankings, {_ranking_text(found)} and {_ranking_text(reduction)}; accepted is one,"
                " which holds for all groups of an expression; the second is that of the group",
                place,
            )
        found = reduction
    if found is not None and found.group is not None:
        for place, reduction in enumerate(grouped):
            if reduction.group is not None and len(reduction.group.parts) != len(found.group.parts):
                raise UnjoinableGroups(
                    "Got a ranking of groups beside groups of another number of parts; accepted are as many"
                    " parts in all groups of an expression with a ranking; the other group is that",
                    place,
                )
    return found


def compared(reduction: Reduction) -> MetricExpression:
    """Return what a ranked reduction's ranking goes by, with the groups that are ranked."""
    if reduction.group is None or reduction.group.ranking is None:
        raise ValueError(f"{print_expression(reduction)} is not ranked")
    plain = replace(reduction.group, ranking=None)
    by = reduction.group.ranking.by
    if by is None:
        return replace(reduction, group=plain)
    changed: MetricExpression = changed_reductions(by, lambda each: replace(each, group=plain))
    return changed


def changed_reductions(tree: Any, change: Callable[[Reduction], MetricExpression]) -> Any:
    """Return a tree with what ``change`` makes of each of its reductions; the rest is as it was."""
    if isinstance(tree, Reduction):
        return change(tree)
    if isinstance(tree, SEQUENCES):
        return tree
    if isinstance(tree, tuple):
        return tuple(changed_reductions(part, change) for part in tree)
    if is_dataclass(tree) and not isinstance(tree, type):
        parts = {each.name: changed_reductions(getattr(tree, each.name), change) for each in fields(tree)}
        return replace(tree, **parts)
    return tree


def _ranking_text(reduction: Reduction) -> str:
    group = reduction.group
    if group is None or group.ranking is None:
        raise ValueError("no ranking")
    ranking = group.ranking
    by = replace(reduction, group=None) if ranking.by is None else ranking.by
    return f"{ranking.end}({ranking.count},{print_expression(by)})"


def _grouped_by(tree: object, before: int) -> tuple[Parts | None, int]:
    """Return the parts of a tree's groups, and how many reductions with groups it and those before have."""
    if isinstance(tree, Reduction):
        parts = () if tree.group is None else parts_of(tree.group)
        if tree.arguments is not None:
            parts = (*parts, ARGUMENT)
        return parts or None, before + (tree.group is not None)
    if isinstance(tree, SessionReduction):
        return _grouped_by(tree.reduction, before)
    if isinstance(tree, Funnel | Cohorts):
        return (print_expression(tree),), before
    found: Parts | None = None
    for part in _parts(tree):
        first = before
        theirs, before = _grouped_by(part, before)
        if theirs is not None:
            found = theirs if found is None else _joined(found, theirs, first)
    return found, before


def parts_of(grouping: Grouping) -> Parts:
    """Return the texts by which the parts of groups are told apart."""
    return tuple(print_part(replace(part, otherwise=None)) for part in grouping.parts)


def _joined(ours: Parts, theirs: Parts, place: int) -> Parts:
    if len(ours) == len(theirs):
        if ours != theirs and sorted(ours) == sorted(theirs):
            raise UnjoinableGroups(
                f"Got groups by {_listed(ours)} joined with groups by {_listed(theirs)}; accepted is the same"
                " order in both; the second group is that",
                place,
            )
        return ours
    fewer, more = sorted((ours, theirs), key=len)
    if not set(fewer) <= set(more):
        raise UnjoinableGroups(
            f"Got groups by {_listed(ours)} joined with groups by {_listed(theirs)}; accepted are as many"
            " parts on both sides, or on one side some of the other's; the second group is that",
            place,
        )
    return more


def _listed(parts: Parts) -> str:
    return ", ".join(parts)


def _parts(tree: object) -> Iterator[object]:
    if isinstance(tree, tuple):
        yield from tree
    elif is_dataclass(tree) and not isinstance(tree, type):
        yield from (getattr(tree, each.name) for each in fields(tree))
