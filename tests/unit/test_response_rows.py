"""Rows of events: many of them are written at once, and look as each alone."""

from __future__ import annotations

from cube.model import instant
from cube.model.event import ABSENT
from cube.store.find import Found
from evaluator.api.rows import FEW_TIMES, PART_ROWS, event_rows

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
