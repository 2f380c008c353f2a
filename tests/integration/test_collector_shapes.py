"""Batches of one shape over HTTP: kept as text from the third on, and nobody sees a difference."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from collector.ingest.shapes import LEAST_EVENTS
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import Answer, ask

COUNT = LEAST_EVENTS + 8
BATCH = [{"type": "a", "time": NOW + n, "data": {"n": n, "s": "é"}} for n in range(COUNT)]


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


async def put(stage: Stage, value: Any) -> Answer:
    return await ask(stage.port, "POST", "/1.0/event", json.dumps(value, ensure_ascii=False).encode())


async def test_batches_of_one_shape_are_stored_like_others(stage: Stage) -> None:
    for _ in range(4):
        assert (await put(stage, BATCH)).status == 200
    assert (await put(stage, [*BATCH, {"type": "a", "time": NOW, "id": "odd"}])).status == 200
    answer = await put(stage, [*BATCH, {"type": "a", "time": "never"}])

    assert (answer.status, answer.json["index"]) == (400, COUNT)
    stored = [(time, data) for time, id, data in await stage.stored("a") if id != "odd"]
    assert stored == [(NOW + n, {"n": n, "s": "é"}) for n in range(COUNT) for _ in range(5)]


async def test_batches_and_single_events_that_come_together_share_writes(stage: Stage) -> None:
    for _ in range(2):
        await put(stage, BATCH)
    singles = [{"type": "a", "time": NOW + n, "data": {"n": -n}} for n in range(10)]
    answers = await asyncio.gather(*(put(stage, value) for one in singles for value in (BATCH, one)))

    assert {answer.status for answer in answers} == {200}
    stored = sorted(data["n"] for _, _, data in await stage.stored("a"))
    assert stored == sorted([*list(range(COUNT)) * 12, *(-n for n in range(10))])


async def test_a_batch_over_its_limit_is_a_413_even_if_its_shape_is_known(stage: Stage) -> None:
    for _ in range(3):
        assert (await put(stage, BATCH)).status == 200
    long = [*BATCH, {**BATCH[0], "data": {"n": 1, "s": "x" * 2**20}}]
    answer = await put(stage, long)

    assert (answer.status, answer.json["index"]) == (413, COUNT)
