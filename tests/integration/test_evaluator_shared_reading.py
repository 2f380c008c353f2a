"""Many questions over events that nobody has read: one scan reads them for all, and each is as if alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from cube.expression import parse_metric
from cube.model.event import Event
from cube.model.tier import HOUR, MINUTE, Span
from cube.settings import EvaluatorLimits
from cube.store.sqlite import open_store
from evaluator.engine import scan, shared_scan
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.kept_series import SeriesCache
from evaluator.query.limits import LimitExceeded
from tests.evaluator_running import DAY, Bench, event
from tests.golden.reference import ALL, Reference

STOP = DAY + 3 * HOUR.step
ASKED = [
    text % number
    for text in ('sum(test(v).eq(who,"w%d"))', 'median(test(v).eq(who,"w%d"))', "max(test(v).ge(v,%d))")
    for number in range(6)
]


def events() -> list[Event]:
    return [event(DAY + n * 5_000, {"v": n, "who": f"w{n % 100}"}) for n in range(2_000)]


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """An evaluator that has read none of 2 000 events of three hours."""
    store = await open_store(tmp_path, "shared")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, kept=BlockCache(10**7), series=SeriesCache(10**6))
        await bench.save(*events())
        yield bench
        await bench.pyramid.close()
    await store.close()


async def ask(made: Bench, texts: list[str]) -> list[list[float | None]]:
    return await asyncio.gather(*(made.values(text, MINUTE, DAY, STOP) for text in texts))


def right(texts: list[str]) -> list[list[float | None]]:
    reference = Reference()
    reference.save(events())
    return [reference.evaluate(parse_metric(text), MINUTE, Span(DAY, STOP))[ALL] for text in texts]


def read(made: Bench) -> int:
    """How many events were read so far."""
    return int(made.context.counters.read.__self__._value.get())


async def test_one_scan_reads_for_all(made: Bench) -> None:
    assert await ask(made, ASKED) == right(ASKED)
    assert read(made) == 2_000
    # Each asks the cache for its own; its revisions the first reads at once, and all others together.
    assert made.seen.finds.count("revisions of 10 seconds") == 1
    assert made.seen.finds.count("revisions of minute") <= 2


async def test_of_too_many_rows_each_is_computed_alone(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_scan, "SHARED_ROWS", 1_000)
    assert await ask(made, ASKED) == right(ASKED)
    assert read(made) == 2_000


async def test_who_needs_few_events_that_an_index_finds_reads_them_alone(made: Bench) -> None:
    await made.store.field_indexes.make("test", ("who",), lambda done, events: None)
    few, all_of_them = ASKED[:12], ASKED[12:]
    assert await ask(made, few) == right(few)
    assert read(made) == 12 * 20
    assert await ask(made, [*all_of_them, *few[:1]]) == right([*all_of_them, *few[:1]])
    assert read(made) <= 12 * 20 + 2_000


async def test_what_is_refused_has_not_read_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (shared_scan, scan):  # once it has been refused it goes on alone
        monkeypatch.setattr(module, "FIRST_TOGETHER", 100)
    store = await open_store(tmp_path, "refused")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, EvaluatorLimits(groups=50), kept=BlockCache(10**7))
        await bench.save(*events())
        with pytest.raises(LimitExceeded):
            await bench.values("sum(test(v)).group(who)", MINUTE, DAY, STOP)
        assert read(bench) < 2_000
        await bench.pyramid.close()
    await store.close()
