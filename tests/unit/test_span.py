"""Spans hold their start and not their stop."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cube.model.tier import Span

SPANS = st.builds(Span, st.integers(-9, 9), st.integers(-9, 9))


def test_a_span_holds_its_start_and_not_its_stop() -> None:
    span = Span(2, 4)
    assert [time for time in range(6) if time in span] == [2, 3]
    assert span.length == 2


@given(SPANS)
def test_a_span_is_true_when_something_is_in_it(span: Span) -> None:
    assert bool(span) == any(time in span for time in range(-9, 9)) == (span.length > 0)


@given(SPANS, SPANS, st.integers(-10, 10))
def test_the_intersection_holds_what_both_hold(a: Span, b: Span, time: int) -> None:
    assert (time in a.intersect(b)) == (time in a and time in b)
