"""Questions share a read of revisions that begins after they came, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cube.errors import Unavailable
from cube.model.event import Event
from cube.model.tier import MINUTE, TEN_SECONDS, Span
from cube.settings import EvaluatorLimits, EvaluatorSettings
from cube.store.ports import Revisions, Store
from cube.store.sqlite import open_store
from evaluator.context import QueryContext, QueryCounters
from evaluator.engine.revision_reads import MOST_KEPT_BUCKETS, MOST_SHARED, RevisionReads
from evaluator.scheduling.scheduler import Scheduler
from tests.stores import StoreProxy

T0 = 1_699_999_200_000
SECONDS = 1000
SPAN = Span(T0, T0 + 60 * SECONDS)


class Held(StoreProxy):
    """A store whose reads of revisions wait, once made, while ``gate`` is clear; ``spans``: theirs."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.spans: list[Span] = []
        self.made = 0
        self._read = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def before(self, call: str, *arguments: Any) -> None:
        if call == "session.revisions":
            self.spans.append(arguments[2])

    async def after(self, call: str) -> None:
        if call == "session.revisions":
            self.made += 1
            self._read.set()
            await self.gate.wait()
            if self.error is not None:
                raise self.error

    async def until_reads(self, count: int) -> None:
        """Return when so many reads have been made, whether or not they are answered."""
        while self.made < count:
            self._read.clear()
            await self._read.wait()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Held]:
    opened = await open_store(str(tmp_path), "test")
    held = Held(opened)
    await _save(held, T0)
    yield held
    await opened.close()


@pytest.fixture
def reads(store: Held) -> RevisionReads:
    limits = EvaluatorLimits()
    counters = QueryCounters(CollectorRegistry())
    context = QueryContext(
        store, EvaluatorSettings(limits=limits), Scheduler(limits), counters, ThreadPoolExecutor(1), lambda: 0
    )
    return RevisionReads(context, gather_seconds=1e6)


async def _save(store: Held, *times: int) -> None:
    await _save_type(store, "test", *times)


async def _save_type(store: Held, type: str, *times: int) -> None:
    await store.store.events.save(type, [Event(type, time, str(time), {}) for time in times])


async def _begin(ask: Callable[[], Any]) -> asyncio.Task[Revisions]:
    task = asyncio.create_task(ask())
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_those_who_ask_while_one_reads_share_the_next_read(store: Held, reads: RevisionReads) -> None:
    store.gate.clear()
    first = await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN))
    await asyncio.wait_for(store.until_reads(1), 30)
    others = [await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN)) for _ in range(60)]
    store.gate.set()
    found = await asyncio.gather(first, *others)

    assert store.spans == [SPAN, SPAN]
    assert all(each == found[0] and each.numbers for each in found)


async def test_one_who_comes_after_an_event_reads_what_that_has_raised(
    store: Held, reads: RevisionReads
) -> None:
    store.gate.clear()
    first = await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN))
    await asyncio.wait_for(store.until_reads(1), 30)
    await _save(store, T0 + 10 * SECONDS)
    second = await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN))
    store.gate.set()

    assert list((await first).numbers) == [T0]
    assert list((await second).numbers) == [T0, T0 + 10 * SECONDS]


@pytest.fixture
def keeping(reads: RevisionReads) -> RevisionReads:
    return RevisionReads(reads._context, gather_seconds=1e6, keeps=True)


async def test_an_unchanged_store_is_read_once_whatever_part_is_asked_for(
    store: Held, keeping: RevisionReads
) -> None:
    found = await keeping.read("test", TEN_SECONDS, SPAN)

    assert await keeping.read("test", TEN_SECONDS, SPAN) == found
    assert list((await keeping.read("test", TEN_SECONDS, Span(T0 + 10 * SECONDS, SPAN.stop))).numbers) == []
    assert store.spans == [SPAN]
    await keeping.read("test", TEN_SECONDS, Span(T0, SPAN.stop + 10 * SECONDS))
    await keeping.read("test", MINUTE, SPAN)
    assert len(store.spans) == 3


async def test_any_commit_has_revisions_read_again(store: Held, keeping: RevisionReads) -> None:
    await keeping.read("test", TEN_SECONDS, SPAN)
    await _save(store, T0 + 10 * SECONDS)

    assert list((await keeping.read("test", TEN_SECONDS, SPAN)).numbers) == [T0, T0 + 10 * SECONDS]
    await store.store.events.save("other", [Event("other", T0, "1", {})])
    await keeping.read("test", TEN_SECONDS, SPAN)
    assert len(store.spans) == 3


async def test_no_more_buckets_are_kept_than_there_is_room_for(store: Held, keeping: RevisionReads) -> None:
    step, few = 10 * SECONDS, MOST_KEPT_BUCKETS // 2 + 1
    await _save(store, *range(T0, T0 + (MOST_KEPT_BUCKETS + 1) * step, step))
    half, all_of_it = Span(T0, T0 + few * step), Span(T0, T0 + (MOST_KEPT_BUCKETS + 1) * step)
    await _save_type(store, "other", *range(T0, half.stop, step))
    asked = [("test", half), ("test", half), ("test", all_of_it), ("test", all_of_it), ("test", half)]
    for type, span in [*asked, ("other", half), ("other", half), ("test", half)]:
        await keeping.read(type, TEN_SECONDS, span)

    assert store.spans == [half, all_of_it, all_of_it, half, half], "the larger ones are read each time"


async def test_what_is_committed_while_a_read_is_under_way_is_not_missed_by_the_next(
    store: Held, keeping: RevisionReads
) -> None:
    store.gate.clear()
    first = await _begin(lambda: keeping.read("test", TEN_SECONDS, SPAN))
    await asyncio.wait_for(store.until_reads(1), 30)
    await _save(store, T0 + 10 * SECONDS)
    store.gate.set()

    assert list((await first).numbers) == [T0]
    assert list((await keeping.read("test", TEN_SECONDS, SPAN)).numbers) == [T0, T0 + 10 * SECONDS]


async def test_revisions_of_a_type_that_is_not_complete_are_not_kept(
    store: Held, keeping: RevisionReads
) -> None:
    """Nor are those that depend on the time: `test_evaluator_expiry` has them."""
    await keeping.read("unknown", TEN_SECONDS, SPAN)
    await keeping.read("unknown", TEN_SECONDS, SPAN)

    assert len(store.spans) == 2


async def test_a_read_that_has_not_begun_grows_for_who_joins_and_each_gets_its_own_part(
    store: Held, reads: RevisionReads
) -> None:
    await _save(store, *range(T0, SPAN.stop, 10 * SECONDS))
    store.gate.clear()
    first = await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN))
    await asyncio.wait_for(store.until_reads(1), 30)
    early, late = Span(T0, T0 + 20 * SECONDS), Span(T0 + 40 * SECONDS, T0 + 50 * SECONDS)
    others = [await _begin(lambda span=span: reads.read("test", TEN_SECONDS, span)) for span in (early, late)]
    store.gate.set()
    await first

    assert [list((await each).numbers) for each in others] == [
        [T0, T0 + 10 * SECONDS],
        [T0 + 40 * SECONDS],
    ]
    assert store.spans == [SPAN, Span(T0, T0 + 50 * SECONDS)]


async def test_other_types_tiers_and_far_away_spans_are_read_alone(store: Held, reads: RevisionReads) -> None:
    store.gate.clear()
    far = Span(T0 + MOST_SHARED * TEN_SECONDS.step, T0 + (MOST_SHARED + 1) * TEN_SECONDS.step)
    tasks = [
        await _begin(lambda each=each: reads.read(*each))
        for each in (
            ("test", TEN_SECONDS, SPAN),
            ("other", TEN_SECONDS, SPAN),
            ("test", MINUTE, SPAN),
            ("test", TEN_SECONDS, SPAN),
            ("test", TEN_SECONDS, far),
        )
    ]
    await asyncio.wait_for(store.until_reads(4), 30)
    store.gate.set()
    await asyncio.gather(*tasks)

    assert sorted(store.spans, key=lambda span: span.start) == [SPAN, SPAN, SPAN, SPAN, far]


async def test_when_the_one_who_reads_for_others_goes_away_another_reads(
    store: Held, reads: RevisionReads
) -> None:
    store.gate.clear()
    first = await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN))
    await asyncio.wait_for(store.until_reads(1), 30)
    leader, follower = [await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN)) for _ in range(2)]
    leader.cancel()
    store.gate.set()

    assert list((await follower).numbers) == list((await first).numbers) == [T0]
    assert leader.cancelled()


async def test_a_failed_read_is_the_failure_of_who_made_it_alone(store: Held, reads: RevisionReads) -> None:
    store.gate.clear()
    first = await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN))
    await asyncio.wait_for(store.until_reads(1), 30)
    leader, *followers = [await _begin(lambda: reads.read("test", TEN_SECONDS, SPAN)) for _ in range(4)]
    store.gate.set()
    await first
    store.gate.clear()
    await asyncio.wait_for(store.until_reads(2), 30)
    store.error = Unavailable("The store is away.")
    store.gate.set()
    with pytest.raises(Unavailable):
        await leader
    failures = await asyncio.gather(*followers, return_exceptions=True)

    assert [type(each) for each in failures] == [Unavailable] * 3
    assert len(store.spans) == 5  # each by itself


async def test_a_read_that_lasts_is_not_waited_for_long(store: Held, reads: RevisionReads) -> None:
    impatient = RevisionReads(reads._context, gather_seconds=0.0)
    store.gate.clear()
    first = await _begin(lambda: impatient.read("test", TEN_SECONDS, SPAN))
    second = await _begin(lambda: impatient.read("test", TEN_SECONDS, SPAN))
    await asyncio.wait_for(store.until_reads(2), 30)
    store.gate.set()

    assert await first == await second
