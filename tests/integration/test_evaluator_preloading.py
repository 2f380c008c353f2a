"""Preloading: what an evaluator reads of column files before it serves; nothing stale is believed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cube.model.event import Event
from evaluator.engine.preloading import preload
from tests.integration.test_evaluator_column_files import HOUR, SUMS, Evaluator, Evaluators, _event, started

__all__ = ["started"]


def preloaded(evaluator: Evaluator, most_bytes: float = 10**7, seconds: float = 60.0) -> int:
    """Preload, and return how many bytes of columns are in memory."""
    assert evaluator.blocks is not None
    preload([evaluator.blocks], most_bytes, seconds)
    return evaluator.blocks._cache.bytes


def without_files(evaluator: Evaluator) -> None:
    """Remove the files: whoever would read one reads events."""
    for path in evaluator.paths():
        path.unlink()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


async def test_what_was_preloaded_is_read_from_no_file_and_no_store(started: Evaluators) -> None:
    assert await started().idle.look()
    again = started()
    assert preloaded(again)
    without_files(again)

    assert await again.asked("sum(test(v))") == SUMS
    assert await again.asked('count(test.eq(w.x, "1"))', HOUR) == [120, 120]
    assert again.seen.scans == []


async def test_an_event_that_comes_after_it_counts(started: Evaluators) -> None:
    assert await started().idle.look()
    again = started()
    assert preloaded(again)
    await again.save(_event(7, 1007))

    assert await again.asked("sum(test(v))") == [SUMS[0], SUMS[1] + 1000, *SUMS[2:]]
    assert len(again.seen.scans) == 1


@pytest.mark.parametrize(("most_bytes", "seconds"), [(0, 60.0), (10**7, 0.0)])
async def test_bounds_of_none_read_none(started: Evaluators, most_bytes: int, seconds: float) -> None:
    assert await started().idle.look()

    assert preloaded(started(), most_bytes, seconds) == 0


async def test_those_used_last_are_read_first_until_they_are_enough(started: Evaluators) -> None:
    assert await started().idle.look()
    again = started()
    os.utime(again.paths()[1], (1, 1))
    assert 0 < preloaded(again, most_bytes=1) < preloaded(started())
    without_files(again)

    assert (await again.asked("sum(test(v))", hours=1)) == SUMS[:60]
    assert again.seen.scans == []
    assert await again.asked("sum(test(v))") == SUMS
    assert len(again.seen.scans) == 1  # of the other hour


async def test_types_whose_names_have_capitals_are_preloaded_too(started: Evaluators) -> None:
    first = started()
    await first.store.events.save("aTest", [_named("aTest", number) for number in range(720)])
    assert await first.idle.look()
    while len(first.paths()) < 4:
        assert await first.idle.look()
    again = started()
    preloaded(again)
    without_files(again)

    assert await again.asked("sum(aTest(v))") == SUMS
    assert again.seen.scans == []


async def test_a_damaged_file_costs_no_other(started: Evaluators, caplog: pytest.LogCaptureFixture) -> None:
    assert await started().idle.look()
    again = started()
    cut_short(again.paths()[0])

    assert preloaded(again)
    assert len(again.paths()) == 1
    assert "is removed" in caplog.text
    assert await again.asked("sum(test(v))") == SUMS


def _named(type: str, number: int) -> Event:
    made = _event(number)
    return Event(type, made.time, made.id, made.data)
