"""The promise of the cache, under random interleavings of writers, readers, crashes and expiries."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from prometheus_client import CollectorRegistry
from pymongo import AsyncMongoClient

from cube import mongo, sqlite
from cube.errors import InvalidEvent
from cube.event import Event
from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.mongo import faults
from cube.span import Span
from cube.store.ports import Store
from cube.tier import TIERS, Tier
from evaluator.figures import Figures
from evaluator.pyramid import Pyramid
from evaluator.scan import ColumnScan
from evaluator.series import Bounds
from evaluator.turns import Effort, Turns
from tests.mongo_server import MongoServer, mongo_server
from tests.promise.actors import Actor
from tests.promise.driver import Gated
from tests.promise.gated import GatedStore
from tests.promise.model import MAX_VERSIONS, Model, Version, Window

__all__ = ["mongo_server"]

MONDAY = 1_704_067_200_000  # 2024-01-01T00:00Z
OFFSETS = (0, 4_000, 10_000, 61_000, 3_600_000, 86_400_000, 8 * 86_400_000)
TIMES = tuple(MONDAY + offset for offset in OFFSETS)
COLLECTORS = 3
IDS = ("a", "b", "c", "d")
PICKS = st.lists(st.tuples(st.sampled_from(IDS), st.sampled_from(TIMES)), min_size=1, max_size=3)
SUM = "sum(test(v))"


class SqlitePlace:
    """Where the stores of one run are: files."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()

    async def open(self, *, writes: bool) -> Store:
        """Open the database as one more process does; a save is one transaction, so its gate is in front."""
        store = await sqlite.open_store(self._folder.name, "promise")
        return GatedStore(store)

    async def open_sweeper(self) -> Store:
        """Open it as a process that takes all others for dead."""
        return await sqlite.open_store(self._folder.name, "promise")

    async def close(self) -> None:
        """Remove it."""
        self._folder.cleanup()


class MongoPlace:
    """Where the stores of one run are: a database on the tests' server."""

    def __init__(self, server: MongoServer) -> None:
        self._server = server
        self._name = server.database()
        self._clients: list[AsyncMongoClient[Any]] = []

    async def open(self, *, writes: bool) -> Store:
        """Open the database as one more process does: a writer with gates before each call to the server."""
        if not writes:
            return GatedStore(await mongo.open_store(self._server.url, self._name))
        client: AsyncMongoClient[Any] = AsyncMongoClient(self._server.url)
        self._clients.append(client)
        return await mongo.open_store(self._server.url, self._name, client=Gated(client))

    async def open_sweeper(self) -> Store:
        """Open it as a process that takes all others for dead."""
        return await mongo.open_store(self._server.url, self._name, lease_seconds=0.0)

    async def close(self) -> None:
        """Remove it."""
        for client in self._clients:
            await client.close()
        self._server.forget(self._name)


@dataclass
class Save:
    """A save in flight, or one whose writer was killed."""

    actor: Actor
    versions: list[Version]
    collector: int


@dataclass
class Query:
    """A query in flight."""

    actor: Actor
    window: Window
    tier: Tier
    evaluator: int


class PromiseMachine(RuleBasedStateMachine):
    """Three collectors' stores, two evaluators' pyramids, and a model; each step of each is a choice.

    A collector has one save in flight: a second one could wait for a lock that the first holds at its gate,
    and would never come to a gate of its own. One that is killed is replaced.
    """

    def __init__(self, make: Callable[[], SqlitePlace | MongoPlace]) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.place = make()
        self.model = Model()
        self.expired_before: int | None = None
        self.saves: list[Save] = []
        self.killed: list[Save] = []
        self.queries: list[Query] = []
        self.threads = ThreadPoolExecutor(1)
        self.runner.run(self._open())

    async def _open(self) -> None:
        self.collectors = [await self.place.open(writes=True) for _ in range(COLLECTORS)]
        self.dead: list[Store] = []
        self.stores = [await self.place.open(writes=False) for _ in range(2)]
        self.pyramids = [self._pyramid(store) for store in self.stores]
        self.sweeper = await self.place.open_sweeper()

    def _pyramid(self, store: Store) -> Pyramid:
        bounds, figures = Bounds(), Figures(CollectorRegistry())
        scan = ColumnScan(self.threads, bounds, figures)
        return Pyramid(store, scan, turns=Turns(), bounds=bounds, figures=figures)

    @initialize(batches=st.lists(st.tuples(PICKS, st.sampled_from(sorted(TIERS))), min_size=2, max_size=5))
    def begin_with_some_history(self, batches: list[tuple[list[tuple[str, int]], int]]) -> None:
        for picks, step in batches:
            self.save_and_ask(picks, step)

    # Writers.

    @rule(collector=st.integers(0, COLLECTORS - 1), picks=PICKS)
    def begin_a_save(self, collector: int, picks: list[tuple[str, int]]) -> None:
        busy = {save.collector for save in self.saves}
        if collector in busy or self.model.versions > MAX_VERSIONS - 4:
            return
        versions = [self.model.version(id, time) for id, time in dict(picks).items()]
        self.model.begin(versions)
        for query in self.queries:
            query.window.widen(versions)
        events = [Event("test", version.time, version.id, {"v": version.value}) for version in versions]

        async def begin() -> Actor:
            actor = Actor(self.collectors[collector].events.save("test", events))
            await actor.arrive()
            return actor

        self.saves.append(Save(self.runner.run(begin()), versions, collector))

    @precondition(lambda self: self.saves)
    @rule(data=st.data(), steps=st.one_of(st.integers(1, 8), st.just(10_000)))
    def let_a_writer_on(self, data: st.DataObject, steps: int) -> None:
        self._drive(self.saves[data.draw(st.integers(0, len(self.saves) - 1))], steps)

    @rule(picks=PICKS, step=st.sampled_from(sorted(TIERS)))
    def save_and_ask(self, picks: list[tuple[str, int]], step: int) -> None:
        before = len(self.saves)
        self.begin_a_save(self.model.versions % COLLECTORS, picks)
        if len(self.saves) > before:
            self._drive(self.saves[-1], 10_000)
            self.ask_at_once(self.model.versions % 3 % 2, step, picks[0][1])

    @rule(picks=PICKS, step=st.sampled_from(sorted(TIERS)), fatal_step=st.integers(1, 30))
    def save_and_ask_between_its_steps(
        self, picks: list[tuple[str, int]], step: int, fatal_step: int
    ) -> None:
        """Ask before, after and between all steps of a save, whose writer may die at one of them."""
        before = len(self.saves)
        self.begin_a_save(self.model.versions % COLLECTORS, picks)
        if len(self.saves) == before:
            return
        save = self.saves[-1]
        for number in range(1, 100):
            self.ask_at_once(number % 2, step, picks[0][1])
            if number == fatal_step:
                self._kill(len(self.saves) - 1)
                break
            self._drive(save, 1)
            if save not in self.saves:
                break
        self.sweep_if_nobody_writes()
        self.ask_at_once(0, step, picks[0][1])

    @precondition(lambda self: self.saves)
    @rule(data=st.data())
    def kill_a_writer(self, data: st.DataObject) -> None:
        self._kill(data.draw(st.integers(0, len(self.saves) - 1)))

    @rule()
    def sweep_if_nobody_writes(self) -> None:
        if not self.saves:
            self.runner.run(self.sweeper.events.sweep())

    @precondition(
        lambda self: not self.saves and not self.queries and self.model.versions > MAX_VERSIONS // 3
    )
    @rule(before=st.sampled_from(TIMES))
    def expire(self, before: int) -> None:
        self.runner.run(self.sweeper.events.expire("test", before))
        self.expired_before = max(before, self.expired_before or before)

    @precondition(lambda self: not self.saves and not self.queries and self.expired_before is not None)
    @rule(before=st.sampled_from(TIMES))
    def delete_events(self, before: int) -> None:
        """Delete what has expired, when nobody is at work who began before it had."""
        self.runner.run(self.sweeper.events.delete_events("test", before))
        self.model.delete(min(before, self.expired_before or before))

    @precondition(lambda self: not self.saves and not self.queries and self.expired_before is not None)
    @rule(before=st.sampled_from(TIMES), with_metrics=st.booleans())
    def forget(self, before: int, with_metrics: bool) -> None:
        """Delete revisions, whether or not the metrics that they vouched for were deleted before."""
        self.runner.run(self._forget(before, with_metrics))

    # Readers.

    @rule(evaluator=st.integers(0, 1), step=st.sampled_from(sorted(TIERS)), anchor=st.sampled_from(TIMES))
    def begin_a_query(self, evaluator: int, step: int, anchor: int) -> None:
        if any(query.evaluator == evaluator for query in self.queries):
            return
        tier = TIERS[step]

        async def begin() -> Actor:
            actor = Actor(self._measure(self.pyramids[evaluator], tier, anchor))
            await actor.arrive()
            return actor

        window = Window(self.model)
        self.queries.append(Query(self.runner.run(begin()), window, tier, evaluator))

    @precondition(lambda self: self.queries)
    @rule(data=st.data(), steps=st.one_of(st.integers(1, 8), st.just(10_000)))
    def let_a_reader_on(self, data: st.DataObject, steps: int) -> None:
        query = self.queries[data.draw(st.integers(0, len(self.queries) - 1))]

        async def go() -> None:
            for _ in range(steps):
                if not query.actor.done:
                    await query.actor.step()

        self.runner.run(go())
        if query.actor.done:
            self.queries.remove(query)
            query.window.check(query.actor.task.result(), query.tier, self.expired_before)

    @rule(evaluator=st.integers(0, 1), step=st.sampled_from(sorted(TIERS)), anchor=st.sampled_from(TIMES))
    def ask_at_once(self, evaluator: int, step: int, anchor: int) -> None:
        if any(query.evaluator == evaluator for query in self.queries):
            return
        self._ask(evaluator, TIERS[step], anchor)

    # The end: everybody living finishes, the dead are swept, and every answer is what is stored.

    def teardown(self) -> None:
        try:
            for save in list(self.saves):
                self._drive(save, 10_000)
            for query in self.queries:
                self.runner.run(query.actor.finish())
            self.queries.clear()
            self.runner.run(self.sweeper.events.sweep())
            for evaluator in (0, 1):
                for tier, anchor in itertools.product(TIERS.values(), TIMES):
                    self._compare_with_the_events(self._ask(evaluator, tier, anchor), tier)
        finally:
            self.runner.run(self._close())
            self.runner.close()
            self.threads.shutdown()

    # Private.

    def _kill(self, place: int) -> None:
        """Let a collector die in the middle of its save; another begins in its place."""
        save = self.saves.pop(place)
        self.killed.append(save)
        self.dead.append(self.collectors[save.collector])
        self.collectors[save.collector] = self.runner.run(self.place.open(writes=True))

    def _drive(self, save: Save, steps: int) -> None:
        async def go() -> None:
            for _ in range(steps):
                if not save.actor.done:
                    await save.actor.step()

        self.runner.run(go())
        if save.actor.done:
            self.saves.remove(save)
            self._settle(save)

    def _settle(self, save: Save) -> None:
        error = save.actor.task.exception()
        if error is None:
            self.model.acknowledge(save.versions)
            return
        assert isinstance(error, InvalidEvent), error
        assert self.expired_before is not None
        assert any(version.time < self.expired_before for version in save.versions)
        self.model.pending.difference_update(save.versions)

    def _ask(self, evaluator: int, tier: Tier, anchor: int) -> dict[int, float | None]:
        window = Window(self.model)
        sums = self.runner.run(self._measure(self.pyramids[evaluator], tier, anchor))
        window.check(sums, tier, self.expired_before)
        return sums

    async def _forget(self, before: int, with_metrics: bool) -> None:
        if with_metrics:
            await self.sweeper.metrics.delete(before)
        await self.sweeper.events.forget("test", before)
        await self.sweeper.events.delete_revisions("test", before)

    async def _measure(self, pyramid: Pyramid, tier: Tier, anchor: int) -> dict[int, float | None]:
        reduction = parse_metric(SUM)
        assert isinstance(reduction, Reduction)
        span = tier.cover(Span(anchor - 1, anchor + 2 * tier.step))
        series = await pyramid.measure(reduction, tier, span, Effort())
        values = (None if value != value else float(value) for value in series.default)
        return dict(zip(tier.buckets(span), values, strict=True))

    def _compare_with_the_events(self, sums: dict[int, float | None], tier: Tier) -> None:
        stored = self.runner.run(self._stored(Span(min(sums), max(sums) + tier.step)))
        expected = dict.fromkeys(sums, 0)
        for time, value in stored:
            expected[tier.floor(time)] += value
        for bucket, total in sums.items():
            if self.expired_before is None or bucket >= self.expired_before:
                assert int(total or 0) == expected[bucket], (tier.name, bucket)

    async def _stored(self, span: Span) -> list[tuple[int, int]]:
        async with self.sweeper.events.read() as session:
            return [
                (int(time), data["v"])
                async for block in session.scan("test", span, None)
                for time, data in zip(block.times, block.data, strict=True)
            ]

    async def _close(self) -> None:
        for save in [*self.saves, *self.killed]:
            await save.actor.bury()
        for query in self.queries:
            await query.actor.bury()
        for store in [*self.collectors, *self.dead, *self.stores, self.sweeper]:
            await store.close()
        await self.place.close()


def _run(make: Callable[[], SqlitePlace | MongoPlace], *, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: PromiseMachine(make),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(300)
def test_no_interleaving_on_sqlite_yields_a_stale_metric() -> None:
    _run(SqlitePlace, examples=40, steps=40)


@pytest.mark.timeout(300)
def test_no_interleaving_on_mongodb_yields_a_stale_metric(
    mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A killed actor stands at its gate for good: no timeout of the store's may wake it.
    monkeypatch.setattr(faults, "OPERATION_SECONDS", 1e6)
    _run(lambda: MongoPlace(mongo_server), examples=8, steps=15)
