"""Rankings: which groups an expression shows, by what they come to over the whole span.

The groups are chosen by totals over the span, of all groups; then everything is measured with those and the
rest as one, which is a group like any other: cached, merged, and believed by its revisions.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from cube.expression import print_expression
from cube.expression.grouping import changed_reductions, compared, ranked, reductions_in
from cube.expression.nodes import MetricExpression, Ranking, Reduction
from cube.model.grid import Grid
from cube.model.tier import Group, GroupKey, Span, group_key, group_of_key, is_rest, rest_key
from cube.settings import EvaluatorLimits
from evaluator.engine.frames import Frame
from evaluator.engine.series import Series
from evaluator.engine.time_functions import Leaf, computed, leaves, lowered

_ANY: Final = 2**62

MOST_CHOICES: Final = 256
"""So many choices are kept, of as many groups each at most."""

At: TypeAlias = Hashable
"""The span that a choice is about, and all revisions in it."""


class Total(NamedTuple):
    """What is asked of a reduction, by its canonical text: what all events of an interval come to."""

    text: str
    interval: Span


@dataclass(frozen=True, slots=True)
class RankingQuestion:
    """What has to be known to choose groups: totals of all groups, over the whole span.

    ``by``: what is compared, evaluated in ``frame``, of which the span is one bucket: within functions of
    series a total is that of the interval to which these move the span. ``totals``: all that are needed, of
    which reductions. ``shown``: those of the reductions whose groups are shown. ``text``: tells questions
    apart.
    """

    ranking: Ranking
    by: MetricExpression
    frame: Frame
    totals: Mapping[Total, Reduction]
    shown: tuple[Total, ...]
    text: str

    @classmethod
    def of(cls, expression: MetricExpression, grid: Grid, span: Span) -> RankingQuestion | None:
        """Return the question that an expression's ranking is in a span; None where it has none."""
        reduction = ranked(expression)
        if reduction is None or reduction.group is None or reduction.group.ranking is None:
            return None
        ranking, by, frame = reduction.group.ranking, lowered(compared(reduction)), Frame.whole(grid, span)
        grouped = [unranked(each) for each in reductions_in(expression) if each.group is not None]
        shown = {Total(print_expression(each), span): each for each in grouped}
        totals = shown | {
            total: each
            for leaf, each in leaves(by, frame)
            if isinstance(each, Reduction)
            for total in _totals(leaf)
        }
        text = "|".join(
            [ranking.end, str(ranking.count), print_expression(by), *(each.text for each in shown)]
        )
        return cls(ranking, by, frame, totals, tuple(shown), text)

    @property
    def reads(self) -> list[tuple[str, Span]]:
        """The types whose events it is about, each with an interval, and each pair once."""
        return list(dict.fromkeys((each.type, total.interval) for total, each in self.totals.items()))

    def choose(self, totals: Mapping[Total, Series], limits: EvaluatorLimits) -> tuple[Group, ...]:
        """Return the groups that are chosen; ``totals``: as series of one bucket."""
        measured = {
            leaf: _joined([totals[total] for total in _totals(leaf)])
            for leaf, _ in leaves(self.by, self.frame)
        }
        ranks = computed(self.by, self.frame, measured, unbounded(limits))
        candidates = {key for total in self.shown for key in totals[total].groups or ()}
        return tuple(map(group_of_key, best(self.ranking, candidates, ranks)))


def _totals(leaf: Leaf) -> Iterator[Total]:
    """Yield the totals that the buckets of a leaf are."""
    starts, stops = leaf.frame.intervals()
    for interval in zip(starts.tolist(), stops.tolist(), strict=True):
        yield Total(leaf.text, Span(*interval))


def _joined(parts: Sequence[Series]) -> Series:
    """Return series of one bucket each as one of as many; a group that one of them lacks has its default."""
    keys = {key for part in parts for key in part.groups or ()}
    groups = {
        key: np.concatenate([(part.groups or {}).get(key, part.default) for part in parts]) for key in keys
    }
    return Series(np.concatenate([part.default for part in parts]), groups)


class Choices:
    """The groups that were chosen last, each with the revisions of the span that they were chosen at."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[At, tuple[Group, ...]]] = OrderedDict()

    def get(self, question: Hashable, at: At) -> tuple[Group, ...] | None:
        """Return what was chosen at these very revisions."""
        found = self._kept.get(question)
        if found is None or found[0] != at:
            return None
        self._kept.move_to_end(question)
        return found[1]

    def put(self, question: Hashable, at: At, chosen: tuple[Group, ...]) -> None:
        self._kept.pop(question, None)
        if len(chosen) <= MOST_CHOICES:
            self._kept[question] = at, chosen
        while len(self._kept) > MOST_CHOICES:
            self._kept.popitem(last=False)


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
