"""Expressions evaluated event by event, from the plain definitions: slow, and as simple as can be."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, assert_never

from cube.expression.nodes import MetricExpression, Negation, Number, Product, Reduction, Sum
from cube.model.event import Event, id_key
from cube.model.reduce import REDUCES, Sample
from cube.model.tier import Span, Tier
from tests.golden.script import Values
from tests.property.columns_reference import group_keys, samples_of

Table = dict[Any, Values]
"""The values of each group; under `ALL` those of an expression without groups, or of any other group."""

ALL = object()


class Reference:
    """Events in a list; of equal ids the last counts."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, Any], Event] = {}

    def save(self, events: Sequence[Event]) -> None:
        """Keep events."""
        self._events.update(((event.type, id_key(event.id)), event) for event in events)

    def evaluate(self, node: MetricExpression, tier: Tier, span: Span) -> Table:
        """Return the values of each bucket of a span."""
        match node:
            case Reduction():
                return self._reduce(node, tier, span)
            case Number(value):
                return {ALL: [float(value)] * len(tier.buckets(span))}
            case Negation(operand):
                table = self.evaluate(operand, tier, span)
                return {key: [None if one is None else -one for one in table[key]] for key in table}
            case Sum(parts) | Product(parts):
                total = self.evaluate(parts[0][1], tier, span)
                for sign, part in parts[1:]:
                    total = _join(sign, total, self.evaluate(part, tier, span))
                return total
            case _:
                assert_never(node)

    def _reduce(self, node: Reduction, tier: Tier, span: Span) -> Table:
        reduce = REDUCES[node.reduce]
        rows = [
            (event.time, event.id, event.data)
            for event in self._events.values()
            if event.type == node.type and event.time in span
        ]
        found: dict[Any, dict[int, list[Sample]]] = defaultdict(lambda: defaultdict(list))
        for sample, data in samples_of(node, rows):  # type: ignore[arg-type]  # any id will do
            keys = [ALL] if node.group is None else [key[1] for key in group_keys(node, data)]
            for key in keys:
                found[key][tier.floor(sample.time)].append(sample)
        empty: Values = [reduce.empty] * len(tier.buckets(span))
        table: Table = {
            key: [
                reduce.finish(reduce.partial(buckets[start]), node.argument)
                if start in buckets
                else reduce.empty
                for start in tier.buckets(span)
            ]
            for key, buckets in found.items()
        }
        return {ALL: empty} | table


def _join(sign: str, left: Table, right: Table) -> Table:
    return {
        key: [
            _apply(sign, one, other)
            for one, other in zip(left.get(key, left[ALL]), right.get(key, right[ALL]), strict=True)
        ]
        for key in left.keys() | right.keys()
    }


def _apply(sign: str, left: float | None, right: float | None) -> float | None:
    if left is None or right is None or (sign == "/" and right == 0):
        return None
    value = {"+": left + right, "-": left - right, "*": left * right}[sign] if sign != "/" else left / right
    return value if math.isfinite(value) else None
