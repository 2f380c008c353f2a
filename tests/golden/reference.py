"""Expressions evaluated event by event, from the plain definitions: slow, and as simple as can be."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, assert_never
from zoneinfo import ZoneInfo

from cube.columns import with_argument
from cube.expression.grouping import changed_reductions, compared, grouped_by, ranked, reductions_in
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
from cube.expression.series_functions import LOOK_BACK, UNITS
from cube.model.event import Event, id_key
from cube.model.grid import Grid
from cube.model.reduce import REDUCES, Sample
from cube.model.tier import Span, group_key, group_of_key, part_keys, several_key
from cube.model.zoned_grid import ZonedGrid
from tests.golden import sequence_reference
from tests.golden.script import Values
from tests.property.columns_reference import Row, group_keys, samples_of

Table = dict[Any, Values]
"""The values of each group; under `ALL` those of an expression without groups, or of any other group."""

DAY, QUARTER = 86_400_000, 900_000

Place: TypeAlias = "Callable[[int], Covered]"
"""Tells what the bucket of a number covers; the first of a span is number 0."""

ALL = object()


class Reference:
    """Events in a list; of equal ids the last counts."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, Any], Event] = {}

    def save(self, events: Sequence[Event]) -> None:
        """Keep events."""
        self._events.update(((event.type, id_key(event.id)), event) for event in events)

    def evaluate(self, node: MetricExpression, grid: Grid, span: Span) -> Table:
        """Return the values of each bucket of a span."""
        best = ranked(node)
        if best is not None:
            node = self._ranked(node, best, grid, span)
        first = grid.back(span.start, LOOK_BACK)
        edges = [*grid.buckets(Span(first, span.stop)), span.stop]
        begin = edges.index(span.start)
        return self._between(node, edges, begin, grid)

    def _between(self, node: MetricExpression, edges: Sequence[int], begin: int, grid: Grid) -> Table:
        """Return the values in the buckets between edges, from that with a number on."""
        zone = grid.zone.name if isinstance(grid, ZonedGrid) else "UTC"

        def bucket(number: int) -> Covered:
            return Covered(edges[begin + number], edges[begin + number + 1], edges[begin], zone)

        return self._at(node, bucket, range(len(edges) - 1 - begin))

    def _at(self, node: MetricExpression, covered: Place, numbers: range, bare: bool = False) -> Table:
        """Return the values in some buckets, each of which covers an interval."""
        match node:
            case Reduction():
                return self._reduce(node, covered, numbers, bare)
            case Funnel() | Cohorts() | SessionReduction():
                return self._sequence(node, [covered(each).span for each in numbers])
            case Number(value):
                return {ALL: [float(value)] * len(numbers)}
            case Negation(operand):
                return _mapped(lambda one: -one, self._at(operand, covered, numbers, bare))
            case Sum(parts) | Product(parts):
                total, by = self._at(parts[0][1], covered, numbers, bare), grouped_by(parts[0][1]) or ()
                for sign, part in parts[1:]:
                    its, its_by = self._at(part, covered, numbers, bare), grouped_by(part) or ()
                    more = max(by, its_by, key=len)
                    total = _join(sign, _over(total, by, more, its), _over(its, its_by, more, total))
                    by = more
                return total
            case SeriesCall():
                return self._call(node, covered, numbers, bare)
            case _:
                assert_never(node)

    def _ranked(self, node: MetricExpression, best: Reduction, grid: Grid, span: Span) -> MetricExpression:
        """Return an expression with the groups that its ranking leaves."""
        assert best.group is not None
        ranking = best.group.ranking
        assert ranking is not None
        edges = [grid.back(span.start, len(grid.buckets(span))), span.start, span.stop]
        all_groups = changed_reductions(node, lambda each: _grouped(each, ranking=None))
        shown = [each for each in reductions_in(all_groups) if each.group]
        seen = {key for each in shown for key in self._between(each, edges, 1, grid)}
        by = self._between(compared(best), edges, 1, grid)
        sign = -1 if ranking.end == "top" else 1

        def rank(key: Any) -> tuple[bool, float, Any]:
            (value,) = by.get(key, by[ALL])
            return (value is None, sign * (value or 0), key)

        chosen = sorted(seen - {ALL}, key=rank)[: ranking.count]
        groups = tuple(map(group_of_key, sorted(chosen)))
        return changed_reductions(all_groups, lambda each: _grouped(each, chosen=groups))

    def _call(self, node: SeriesCall, covered: Place, numbers: range, bare: bool) -> Table:
        operand, duration, option = node.operand, node.duration, node.option
        moved = _moved(node, covered)
        if moved is not None:
            return self._at(operand, moved, numbers, bare)
        match node.function:
            case "per":
                return self._rate(operand, str(option), covered, numbers, bare)
            case "change":
                now = self._at(operand, covered, numbers, bare)
                before = _shifted(covered, duration) if duration else (lambda number: covered(number - 1))
                earlier = self._at(operand, before, numbers, bare)
                change = _join("-", now, earlier)
                if option is None:
                    return change
                base = _mapped(abs, earlier)
                return _join("*", _join("/", change, base), {ALL: [100.0] * len(numbers)})
            case _ if option == "none":
                return self._at(operand, covered, numbers, True)
            case _ if option == "previous":
                wide = range(numbers.start - LOOK_BACK, numbers.stop)
                table = self._at(operand, covered, wide, bare)
                return {key: _carried(table[key])[LOOK_BACK:] for key in table}
            case _:
                table = self._at(operand, covered, numbers, bare)
                stand_in = float(option)  # type: ignore[arg-type]  # a number
                return {key: [stand_in if one is None else one for one in table[key]] for key in table}

    def _rate(self, node: MetricExpression, unit: str, covered: Place, numbers: range, bare: bool) -> Table:
        """Divide by the length of what the numbers are of."""
        if isinstance(node, Sum):
            return self._at(
                Sum(tuple((sign, SeriesCall("per", term, option=unit)) for sign, term in node.terms)),
                covered,
                numbers,
                bare,
            )
        moved = _moved(node, covered) if isinstance(node, SeriesCall) else None
        if isinstance(node, SeriesCall) and moved is not None:
            return self._rate(node.operand, unit, moved, numbers, bare)
        if isinstance(node, Negation):
            return _mapped(lambda one: -one, self._rate(node.operand, unit, covered, numbers, bare))
        lengths: Values = [(covered(each).stop - covered(each).start) / UNITS[unit] for each in numbers]
        return _join("/", self._at(node, covered, numbers, bare), {ALL: lengths})

    def _sequence(self, node: SequenceExpression, spans: Sequence[Span]) -> Table:
        events = self._events.values()
        match node:
            case Funnel():
                table = sequence_reference.funnel(node, events, spans)
            case Cohorts():
                table = sequence_reference.retention(node, events, spans)
            case SessionReduction():
                return _reduced(node.reduction, sequence_reference.sessions(node, events), spans, bare=False)
            case _:
                assert_never(node)
        return {ALL: [0.0] * len(spans)} | {group_key(number): values for number, values in table.items()}

    def _reduce(self, node: Reduction, covered: Place, numbers: range, bare: bool) -> Table:
        rows: Sequence[Row] = [
            (event.time, event.id, event.data)  # type: ignore[misc]  # any id will do
            for event in self._events.values()
            if event.type == node.type
        ]
        return _reduced(node, rows, [covered(each).span for each in numbers], bare=bare)


def _reduced(node: Reduction, rows: Sequence[Row], spans: Sequence[Span], *, bare: bool) -> Table:
    rows = [row for row in rows if any(row[0] in span for span in spans)]
    reduce = REDUCES[node.reduce]
    found: dict[Any, list[Sample]] = defaultdict(list)
    for sample, data in samples_of(node, rows):
        for key in [ALL] if node.group is None else group_keys(node, data, sample.time):
            found[key].append(sample)
    empty = None if bare else reduce.empty

    def value(samples: list[Sample], span: Span, argument: float | None) -> float | None:
        inside = [sample for sample in samples if sample.time in span]
        return reduce.finish(reduce.partial(inside), argument) if inside else empty

    table: Table = {ALL: [empty] * len(spans)}
    for key, samples in found.items():
        if isinstance(node.argument, tuple):
            for each in node.argument:
                own = with_argument(None if key is ALL else key, each)
                table[own] = [value(samples, span, each) for span in spans]
        else:
            table[key] = [value(samples, span, node.argument) for span in spans]
    return table


class Covered(NamedTuple):
    """What a bucket covers, and where what is cumulative begins."""

    start: int
    stop: int
    origin: int
    zone: str = "UTC"

    @property
    def span(self) -> Span:
        return Span(self.start, self.stop)

    def before(self, place: int, duration: int) -> int:
        """Return the instant so long before one of its own: of whole days, by the clocks of the zone.

        Clocks are looked at every quarter of an hour: when they have first shown as late a time as by then.
        """
        time = int(self[place])
        if self.zone == "UTC" or duration % DAY:
            return time - duration
        wall = max(self._wall(each) for each in range(time - DAY, time + 1, QUARTER)) - duration
        return next(each for each in range(time - duration - DAY, time, QUARTER) if self._wall(each) >= wall)

    def _wall(self, time: int) -> int:
        moment = datetime.fromtimestamp(time // 1000, ZoneInfo(self.zone))
        return int(moment.replace(tzinfo=UTC).timestamp()) * 1000


def _moved(node: SeriesCall, covered: Place) -> Place | None:
    """Return what the buckets cover within a function that moves that; None where it does not."""
    duration = node.duration or 0
    if node.function == "shift":
        return _shifted(covered, duration)
    if node.function == "rolling":
        return lambda number: covered(number)._replace(start=covered(number).before(1, duration))
    if node.function == "cumulative":
        return lambda number: covered(number)._replace(start=min(covered(number)[1:3]))
    return None


def _shifted(covered: Place, duration: int) -> Place:
    def shifted(number: int) -> Covered:
        start, stop, origin = (covered(number).before(place, duration) for place in range(3))
        return Covered(start, stop, origin, covered(number).zone)

    return shifted


def _mapped(change: Callable[[float], float], table: Table) -> Table:
    return {key: [None if one is None else change(one) for one in table[key]] for key in table}


def _carried(values: Values) -> Values:
    carried: Values = []
    for place in range(len(values)):
        recent = [one for one in values[max(0, place - LOOK_BACK) : place + 1] if one is not None]
        carried.append(recent[-1] if recent else None)
    return carried


def _grouped(reduction: Reduction, **changes: Any) -> Reduction:
    if reduction.group is None:
        return reduction
    return replace(reduction, group=replace(reduction.group, **changes))


def _over(table: Table, by: tuple[str, ...], more: tuple[str, ...], other: Table) -> Table:
    """Return a table of groups of some parts as one of groups of more, which are those of another table."""
    if len(by) in (0, len(more)):
        return table
    spread: Table = {ALL: table[ALL]}
    for key in other.keys() - {ALL}:
        ordered = [part_keys(key)[more.index(name)] for name in by]
        spread[key] = table.get(ordered[0] if len(by) == 1 else several_key(ordered), table[ALL])
    return spread


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
