"""Where an index of the user's leaves few of many events, a question reads those alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from cube.store.sqlite import open_store
from evaluator.engine import reading
from evaluator.engine.block_cache import BlockCache
from tests.evaluator_running import DAY, Bench, event

MINUTE, HOUR = 60_000, 3_600_000
RARE = '.eq(who, "w7")'


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """A pyramid that keeps blocks, over 2 000 events with an index on their field ``who``."""
    store = await open_store(tmp_path, "narrow")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, kept=BlockCache(10**7))
        await bench.save(
            *(event(DAY + n * 5_000, {"v": n, "who": f"w{n % 100}", "host": n % 2}) for n in range(2_000))
        )
        await store.field_indexes.make("test", ("who",), lambda done, events: None)
        yield bench
        await bench.pyramid.close()
    await store.close()


def _read(bench: Bench) -> int:
    """How many events were read so far."""
    return int(bench.context.counters.read.__self__._value.get())


@pytest.mark.parametrize(
    "text",
    ["sum(test(v)%s)", "median(test(v)%s)", "distinct(test(v)%s)", "first(test(v)%s)", "count(test%s)"],
)
@pytest.mark.parametrize("step", [MINUTE, HOUR, 24 * HOUR])
async def test_few_events_that_an_index_finds_are_read_alone(made: Bench, text: str, step: int) -> None:
    found = await made.values(text % RARE, step, DAY, DAY + 3 * HOUR)
    assert _read(made) == 20

    plain = await made.values(text % '.in(who, ["w7"])', step, DAY, DAY + 3 * HOUR)
    assert _read(made) >= 2_000
    assert found == plain


async def test_groups_are_found_so_too(made: Bench) -> None:
    texts = [f"sum(test(v).{filter}).group(host)" for filter in ('eq(who, "w7")', 'in(who, ["w7"])')]
    found, plain = [await made.series(text, MINUTE, DAY, DAY + 3 * HOUR) for text in texts]
    assert _read(made) == 2_020
    assert found.groups is not None
    np.testing.assert_equal(found.groups, plain.groups)


async def test_a_changed_event_is_seen(made: Bench) -> None:
    text = f"sum(test(v){RARE})"
    (before,) = await made.values(text, HOUR, DAY, DAY + HOUR)
    await made.save(
        event(DAY + 90 * MINUTE, {"v": 1_000_000, "who": "w7"}), event(DAY, {"v": 5, "who": ["w7"]})
    )
    assert await made.values(text, HOUR, DAY, DAY + HOUR) == [before + 5]
    assert (await made.values(text, HOUR, DAY + HOUR, DAY + 2 * HOUR))[0] > 1_000_000


@pytest.mark.parametrize("text", [f"sum(test(v){RARE})", f"count(test(v){RARE})"])
async def test_short_spans_events_in_memory_and_many_that_match_are_read_as_blocks(
    made: Bench, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made.values(text, MINUTE, DAY, DAY + 30 * MINUTE)
    assert _read(made) == 360
    await made.values("max(test(v).ge(who, 0))", MINUTE, DAY, DAY + 2 * HOUR)  # its field is there as well
    held = _read(made)
    made.seen.clear()
    await made.values(text, HOUR, DAY, DAY + 2 * HOUR)
    assert (_read(made), made.seen.scans) == (held, [])

    monkeypatch.setattr(reading, "MOST_ROWS", 2)
    await made.values(text, HOUR, DAY + 2 * HOUR, DAY + 3 * HOUR)
    assert _read(made) > held + 500
