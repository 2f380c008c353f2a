"""Funnels, retention and sessions of whole columns agree with their plain definitions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.columns import Block
from cube.columns.funnels import funnel_counts, funnel_windows
from cube.columns.key_events import KeyEventList
from cube.columns.retentions import FirstEvents, Returns
from cube.columns.sessions import followed, sessions
from cube.expression import parse_metric
from cube.expression.nodes import Cohorts, Funnel, SessionReduction
from cube.model.event import Event
from cube.model.tier import Span
from tests.golden import sequence_reference
from tests.tools import examples

quick = settings(max_examples=examples(150), deadline=None)

KEYS = (1, "1", None, 1.0, [1])
DATA: list[Any] = [{}, [], None, *({"u": user, "x": x} for user in KEYS for x in (0, 1, 2))]
events_of = partial(
    st.lists,
    st.builds(Event, st.sampled_from("ab"), st.integers(0, 60), st.integers(0, 10**6), st.sampled_from(DATA)),
    max_size=14,
)
STEPS = ("a", "b", "a.ge(x,1)", "a.eq(x,0)", "b.ge(x,1)", "a.le(x,1)")
EDGES = np.array([10, 20, 23, 40], dtype=np.int64)
SPANS = [Span(10, 20), Span(20, 23), Span(23, 40)]
WINDOWS = [Span(10, 12), Span(10, 25), Span(17, 25), Span(20, 40), Span(39, 40)]
STARTS, STOPS = np.array([(each.start, each.stop) for each in WINDOWS], dtype=np.int64).T


def blocks(events: list[Event], type: str) -> list[Block]:
    """Return the events of a type in two blocks, in order of time."""
    own = sorted((each for each in events if each.type == type), key=lambda each: each.time)
    cut = len(own) // 2
    return [
        Block(np.array([each.time for each in part], dtype=np.int64), [each.data for each in part])
        for part in (own[:cut], own[cut:])
    ]


@quick
@given(events_of(), st.lists(st.sampled_from(STEPS), min_size=2, max_size=4), st.integers(1, 30))
def test_a_funnel_gets_as_far_as_any_way_leads(events: list[Event], steps: list[str], window: int) -> None:
    node = parse_metric(f"funnel(u,{window}ms,{','.join(steps)})")
    assert isinstance(node, Funnel)
    gathered = KeyEventList(node.key, node.steps)
    for type in "ab":
        for block in blocks(events, type):
            gathered.add(type, block, Span(10, 40 + window + 1))
    counts = funnel_counts(gathered.joined(), len(steps), window, EDGES)
    expected = sequence_reference.funnel(node, events, SPANS)
    assert counts.T.tolist() == [expected[step] for step in range(1, len(steps) + 1)]
    counts = funnel_windows(gathered.joined(), len(steps), window, STARTS, STOPS)
    expected = sequence_reference.funnel(node, events, WINDOWS)
    assert counts.T.tolist() == [expected[step] for step in range(1, len(steps) + 1)]


@quick
@given(events_of(), st.sampled_from(STEPS), st.sampled_from(STEPS), st.integers(1, 15), st.integers(1, 4))
def test_retention_is_told_by_first_events(
    events: list[Event], first: str, back: str, period: int, periods: int
) -> None:
    node = parse_metric(f"retention(u,{period}ms,{periods},{first},{back})")
    assert isinstance(node, Cohorts)
    assert node.returning is not None
    firsts = FirstEvents(node.key, node.first)
    for block in blocks(events, node.first.type):
        firsts.add(block, 40)
    returns = Returns(firsts, period, periods, EDGES)
    for block in blocks(events, node.returning.type):
        returns.add(node.returning, block)
    expected = sequence_reference.retention(node, events, SPANS)
    assert returns.counts().T.tolist() == [expected[each] for each in range(periods + 1)]
    expected = sequence_reference.retention(node, events, WINDOWS)
    assert returns.counts_in(STARTS, STOPS).T.tolist() == [expected[each] for each in range(periods + 1)]


@quick
@given(events_of(), st.integers(1, 12))
def test_sessions_are_told_by_gaps(events: list[Event], gap: int) -> None:
    node = parse_metric(f"sum(a.session(u,{gap}ms,length))")
    assert isinstance(node, SessionReduction)
    gathered = KeyEventList(node.key, (node.events,))
    for block in blocks(events, "a"):
        gathered.add("a", block, Span(10 - gap, 40 + followed(gap)))
    found = sessions(gathered.joined(), gap, Span(10, 40))
    columns = [found.packed["stored", (name,)].numbers.tolist() for name in ("length", "events")]
    rows = sorted(zip(found.times.tolist(), *columns, strict=True))
    expected = sequence_reference.sessions(node, events)
    assert rows == sorted(
        (time, data["length"], data["events"]) for time, _, data in expected if 10 <= time < 40
    )


def test_a_session_is_followed_for_a_day_or_48_gaps() -> None:
    node = parse_metric("sum(a.session(u,10h,length))")
    assert isinstance(node, SessionReduction)
    hours = 3_600_000
    times = [hours * 10 * number for number in range(60)]
    gathered = KeyEventList(node.key, (node.events,))
    gathered.add("a", Block(np.array(times), [{"u": 1}] * 60), Span(0, times[-1] + 1))
    found = sessions(gathered.joined(), node.gap, Span(0, hours))
    assert found.packed["stored", ("length",)].numbers.tolist() == [480 * hours]
    assert found.packed["stored", ("events",)].numbers.tolist() == [49]
    events = [Event("a", time, time, {"u": 1}) for time in times]
    assert sequence_reference.sessions(node, events) == [(0, 0, {"length": 480 * hours, "events": 49})]
