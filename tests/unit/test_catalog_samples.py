"""Samples of the catalog: how long they may take, and for how long they are kept."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cube.expression.nodes import EventExpression
from cube.model.environment import DEFAULT, Caller, Environment, Key
from evaluator.catalog import kept_samples
from evaluator.catalog.fields import FieldTally
from evaluator.catalog.kept_samples import Fields, KeptSamples, SampleScope
from evaluator.catalog.sample import EventSample, SampleLimits, sample
from tests.evaluator_running import DAY, Clock, bench, event

KEY = Key("acme", b"", DEFAULT, filter="eq(a,1)")
CALLER = Caller(Environment(DEFAULT, "test"), KEY)
SCOPE = SampleScope.of(CALLER, "request", None)


async def test_a_sample_of_events_that_take_long_ends_between_two_of_them(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.save(*(event(DAY - number) for number in range(200)))
        bounds = SampleLimits(events=200, bytes=10**9, seconds=0.05)

        def slow(_: Any) -> None:
            time.sleep(0.02)

        taken = await sample(made.pyramid.context, EventExpression("test", None, ()), None, bounds, slow)
    assert taken.looked_at == taken.events < 32  # which is the first slice
    assert not taken.is_whole


async def test_a_sample_that_ends_amid_a_block_has_the_bytes_that_it_was_decoded_from(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.save(*(event(DAY - number, {"a": "b" * 1000}) for number in range(20)))
        bounds = SampleLimits(events=10, bytes=10**9, seconds=60)
        taken = await sample(
            made.pyramid.context, EventExpression("test", None, ()), None, bounds, lambda _: None
        )
    assert taken.looked_at == 10
    assert taken.bytes >= 10 * 1000


class Reader:
    """Reads a sample, and counts how often."""

    def __init__(self, size: int = 1) -> None:
        self.reads = 0
        self._size = size

    async def __call__(self) -> tuple[Fields, EventSample]:
        self.reads += 1
        await asyncio.sleep(0)
        return {("a",): FieldTally(events=self.reads)}, EventSample(bytes=self._size)


async def test_a_sample_is_read_again_after_some_seconds() -> None:
    clock, read = Clock(0), Reader()
    kept = KeptSamples(clock)
    first = await kept.get(SCOPE, read)
    clock.now = 4
    assert await kept.get(SCOPE, read) == first
    assert read.reads == 1
    clock.now = 5
    fields, _ = await kept.get(SCOPE, read)
    assert fields[("a",)].events == 2


async def test_a_sample_that_many_ask_for_at_once_is_read_once() -> None:
    kept, read = KeptSamples(Clock(0)), Reader()
    await asyncio.gather(*(kept.get(SCOPE, read) for _ in range(5)))
    assert read.reads == 1


async def test_who_may_see_other_events_has_a_sample_of_their_own() -> None:
    others = [
        SampleScope.of(Caller(CALLER.environment), "request", None),
        SampleScope.of(Caller(Environment("other", "other"), KEY), "request", None),
        SampleScope.of(replace(CALLER, key=replace(KEY, filter="eq(a,true)")), "request", None),
        SampleScope.of(CALLER, "other", None),
        SampleScope.of(CALLER, "request", ("a",)),
    ]
    kept, read = KeptSamples(Clock(0)), Reader()
    for scope in (SCOPE, *others):
        await kept.get(scope, read)
    assert read.reads == 6
    await kept.get(SampleScope.of(replace(CALLER, key=replace(KEY, id="twin")), "request", None), read)
    assert read.reads == 6


async def test_what_is_kept_is_bounded_in_number_and_bytes() -> None:
    kept, read = KeptSamples(Clock(0)), Reader()
    for number in range(kept_samples.KEPT_SAMPLES + 1):
        await kept.get(replace(SCOPE, type=f"t{number}"), read)
    before = read.reads
    await kept.get(replace(SCOPE, type="t1"), read)
    assert read.reads == before
    await kept.get(replace(SCOPE, type="t0"), read)
    assert read.reads == before + 1
    large = Reader(kept_samples.KEPT_BYTES)
    for _ in range(2):
        await kept.get(replace(SCOPE, type="large"), large)
        await kept.get(replace(SCOPE, type="t2"), read)
    assert large.reads == 2
