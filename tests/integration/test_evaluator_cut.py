"""An expensive reduction that is cut gets further each time that it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from cube.columns import Block, Buckets, Finals, finals
from cube.expression.nodes import Reduction
from cube.store import slices
from cube.store.sqlite import open_store
from evaluator.engine import scan
from evaluator.engine.block_cache import BlockCache
from evaluator.query.limits import DeadlineExceeded
from tests.evaluator_running import DAY, Bench, event

TEN, MINUTE, HOUR = 10_000, 60_000, 3_600_000
ROWS = 360
PATIENCE = 100
"""So many rows are reduced before a question is cut."""


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Bench]:
    """A store and a pyramid that keeps blocks; every sixth minute has no event that counts."""
    store = await open_store(tmp_path, "cut")
    with ThreadPoolExecutor(2) as executor:
        bench = Bench(store, executor, kept=BlockCache(10**7))
        await bench.save(*(event(DAY + n * TEN, {"v": n, "w": f"w{n // 6 % 6}"}) for n in range(ROWS)))
        yield bench
        await bench.pyramid.close()
    await store.close()


class Reduced:
    """Counts the rows that are reduced, and cuts whoever reduces more than `PATIENCE` in one go."""

    def __init__(self) -> None:
        self.rows = 0
        self.patient = False

    def __call__(self, reduction: Reduction, buckets: Buckets, block: Block) -> Finals:
        self.rows += len(block)
        if self.rows > PATIENCE and not self.patient:
            raise DeadlineExceeded(1.0)
        return finals(reduction, buckets, block)


@pytest.fixture
def reduced(monkeypatch: pytest.MonkeyPatch) -> Reduced:
    """Slices stay small, as where a row is expensive, and what is complete is kept after each."""
    found = Reduced()
    monkeypatch.setattr(scan, "finals", found)
    monkeypatch.setattr(scan, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(slices, "MOST_ROWS", 7)
    return found


@pytest.mark.parametrize(
    "expression",
    [
        'sum(test(v).re(w, "w[0-4]"))',
        'median(test(v).re(w, "w[0-4]"))',
        'sum(test(v).re(w, "w[0-4]")).group(w)',
    ],
)
async def test_what_was_computed_before_the_cut_is_not_computed_again(
    made: Bench, reduced: Reduced, expression: str
) -> None:
    reached = []
    for _ in range(ROWS // PATIENCE):
        reduced.rows = 0
        with pytest.raises(DeadlineExceeded):
            await made.series(expression, MINUTE, DAY, DAY + HOUR)
        reached.append(max((bucket for _, some in made.seen.saved for bucket in some), default=0))
    assert reached == sorted(set(reached))

    reduced.rows, reduced.patient = 0, True
    found = await made.series(expression, MINUTE, DAY, DAY + HOUR)
    assert reduced.rows < ROWS - 2 * PATIENCE

    kept = [bucket for _, some in made.seen.saved for bucket in some]
    assert len(kept) == len(set(kept)) == HOUR // MINUTE
    await made.store.metrics.delete(DAY + HOUR)
    with ThreadPoolExecutor(1) as executor:
        expected = await Bench(made.store, executor).series(expression, MINUTE, DAY, DAY + HOUR)
    assert found.default.tolist() == pytest.approx(expected.default.tolist(), nan_ok=True)
    assert {key: each.tolist() for key, each in (found.groups or {}).items()} == {
        key: pytest.approx(each.tolist(), nan_ok=True) for key, each in (expected.groups or {}).items()
    }
