"""Rows of events: many of them are written at once, and look as each alone. And texts that are kept."""

from __future__ import annotations

import tracemalloc

import numpy as np

from cube.model import instant
from cube.model.event import ABSENT
from cube.model.tier import MINUTE, Span
from cube.store.find import Found
from evaluator.answers.rows import FEW_TIMES, PART_ROWS, AnswerTexts, event_rows
from evaluator.engine.kept_series import bytes_of
from evaluator.engine.series import Series

EDGES = [instant.EARLIEST, -1, 0, 1, 999, 1_310_947_199_999, instant.LATEST]


def test_times_look_the_same_however_many_are_written() -> None:
    for count in (1, FEW_TIMES - 1, FEW_TIMES, PART_ROWS, PART_ROWS + 1):
        times = [EDGES[i % len(EDGES)] for i in range(count)]
        rows = list(event_rows(Found(time, i, ABSENT) for i, time in enumerate(times)))
        assert rows == [{"id": i, "time": instant.format(time)} for i, time in enumerate(times)]


def test_times_of_other_tools_beyond_the_years_are_written_as_ever() -> None:
    times = [instant.LATEST + 1, instant.EARLIEST - 1, *EDGES, 0, 0]
    rows = list(event_rows(Found(time, b"x" * 12, {"a": 1}) for time in times))
    assert rows == [{"time": instant.format(time), "data": {"a": 1}} for time in times]


def test_texts_are_kept_of_series_that_revisions_vouch_for_within_their_bound() -> None:
    span = Span(0, 60_000)
    series = [Series(np.zeros(1), vouched=number) for number in (1, 2, 3, 4, 5, 0)]
    size = 20 + bytes_of(series[0])
    texts = AnswerTexts(5 * size)
    for each in series:
        texts.put(each, MINUTE, span, (b"x" * 10, b"y" * 10))
    found = [texts.get(each, MINUTE, span) for each in series]
    assert texts.bytes == 5 * size
    assert [None if text is None else text.parts for text in found] == [None, *[(b"x" * 10, b"y" * 10)] * 5]
    assert all(text is None or text.is_silent for text in found)

    whoever, large = Series(np.ones(1)), Series(np.ones(1), vouched=1)
    texts.put(whoever, MINUTE, span, (b"x",))
    texts.put(large, MINUTE, span, (b"x" * 2 * size,))
    assert texts.get(whoever, MINUTE, span) is texts.get(large, MINUTE, span) is None
    assert texts.get(series[1], MINUTE, Span(60_000, 120_000)) is None
    assert texts.bytes == 5 * size


def test_short_texts_take_no_more_memory_than_their_bound() -> None:
    """Of a poll for one bucket the text is the least: the series that it is of, and its key, take more."""
    bound = 200_000
    texts = AnswerTexts(bound)
    tracemalloc.start()
    try:
        for start in range(0, 2_000 * 60_000, 60_000):
            series = Series(np.ones(1), vouched=1)
            texts.put(series, MINUTE, Span(start, start + 60_000), (bytes(45),))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0 < texts.bytes <= bound
    assert taken < 1.5 * bound
