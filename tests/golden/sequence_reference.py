"""Funnels, retentions and sessions by their definitions: one key after another, every way tried."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from cube.columns.definition import matches
from cube.columns.sessions import followed
from cube.columns.values import canonical
from cube.expression.nodes import Cohorts, EventExpression, Funnel, SessionReduction, Value
from cube.model.event import ABSENT, Event
from cube.model.tier import Span
from tests.golden.script import Values
from tests.property.columns_reference import sampled


def funnel(node: Funnel, events: Iterable[Event], spans: Sequence[Span]) -> dict[Any, Values]:
    """Return the values of each step in each bucket."""
    by_keys = by_key(node.key, events)
    table: dict[Any, Values] = {step: [0.0] * len(spans) for step in range(1, len(node.steps) + 1)}
    for place, span in enumerate(spans):
        for own in by_keys.values():
            entries = [each for each in own if each.time in span and passes(node.steps[0], each)]
            level = max((_farthest(node, own, each, each.time, [0], 1) for each in entries), default=0)
            for step in range(1, level + 1):
                table[step][place] += 1  # type: ignore[operator]  # none is None
    return table


def _farthest(
    node: Funnel, own: Sequence[Event], entry: Event, time: int, taken: list[int], step: int
) -> int:
    """Return the most steps that follow; ``taken``: those that were taken at ``time``."""
    best = step
    if step == len(node.steps):
        return best
    for each in own:
        if not passes(node.steps[step], each) or each.time > entry.time + node.window:
            continue
        if each.time > time:
            best = max(best, _farthest(node, own, entry, each.time, [step], step + 1))
        elif each.time == time and not any(passes(node.steps[one], each) for one in taken):
            best = max(best, _farthest(node, own, entry, time, [*taken, step], step + 1))
    return best


def retention(node: Cohorts, events: Iterable[Event], spans: Sequence[Span]) -> dict[Any, Values]:
    """Return the values of the cohort, 0, and of each later period."""
    table: dict[Any, Values] = {period: [0.0] * len(spans) for period in range(node.periods + 1)}
    back = node.first if node.returning is None else node.returning
    for own in by_key(node.key, events).values():
        first = min((each.time for each in own if passes(node.first, each)), default=None)
        if first is None:
            continue
        periods = {(each.time - first) // node.period for each in own if passes(back, each)} | {0}
        for place, span in enumerate(spans):
            for period in periods & table.keys() if first in span else ():
                table[period][place] += 1  # type: ignore[operator]  # none is None
    return table


def sessions(node: SessionReduction, events: Iterable[Event]) -> list[tuple[int, int, Any]]:
    """Return all sessions as rows: time, number, data."""
    rows = []
    for own in by_key(node.key, [each for each in events if passes(node.events, each)]).values():
        times = sorted(each.time for each in own)
        begun = [
            number for number, time in enumerate(times) if number == 0 or time - times[number - 1] > node.gap
        ]
        for first, last in zip(begun, [*begun[1:], len(times)], strict=True):
            counted = [time for time in times[first:last] if time <= times[first] + followed(node.gap)]
            rows.append((times[first], {"length": counted[-1] - times[first], "events": len(counted)}))
    return [(time, number, data) for number, (time, data) in enumerate(sorted(rows, key=lambda row: row[0]))]


def by_key(key: Value, events: Iterable[Event]) -> dict[bytes, list[Event]]:
    """Return the events of each key."""
    found: dict[bytes, list[Event]] = defaultdict(list)
    for event in events:
        value = sampled(key, event.data, event.time)
        if value is not ABSENT:
            found[canonical(value)].append(event)
    return found


def passes(selection: EventExpression, event: Event) -> bool:
    """Tell whether an event is of a selection's type and passes its filters."""
    return event.type == selection.type and all(
        matches(each, event.data, event.time) for each in selection.filters
    )
