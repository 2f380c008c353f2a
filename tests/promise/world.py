"""The world of one run: three collectors' stores, two evaluators, the clients of both, and the model.

Where ``files`` are kept, the first evaluator makes column files, and may be restarted.

Each method is one step that a scheduler may choose. It ends when everybody stands still again: at a
gate, blocked by another one, or done.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prometheus_client import CollectorRegistry

from cube.errors import InvalidEvent
from cube.expression import parse_event
from cube.model.event import Event, EventId
from cube.model.event_run import joined
from cube.model.tier import HOUR, Span
from cube.settings import EvaluatorLimits, EvaluatorSettings
from cube.store.ports import Store
from evaluator.context import QueryContext, QueryCounters
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.deferred_metrics import DeferredMetrics
from evaluator.engine.kept_series import SeriesCache
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.read_ahead import ReadAhead
from evaluator.engine.single_flight import SingleFlight
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.scheduling.scheduler import QueryCost, Scheduler
from tests.promise.actors import Actor
from tests.promise.asked import IDS, STEPS, Asked
from tests.promise.filing import Filing
from tests.promise.flights import Flights, KeptBlocks, SharedReads
from tests.promise.gated import deleting
from tests.promise.model import MAX_VERSIONS, Model, Removal, Window
from tests.promise.packed import as_sent, made_id
from tests.promise.places import Place
from tests.promise.under_way import Question, Save

COLLECTORS, EVALUATORS = 3, 2

KEPT_BYTES = (10**7, None)
"""What each evaluator keeps of blocks, and of answers: all, and none."""
SHREDDING = 2  # hours whose files are being made at once, or buckets that are read ahead
QUESTIONS = 4  # in flight at once, of one evaluator
PASSES = 6  # of the event loop: who is told something has heard of it after three or four


class World:
    """Collectors, evaluators, and who uses them.

    A collector has one save in flight: a second one could wait for a lock that the first holds at its gate,
    and would never come to a gate of its own. One that is killed is replaced. An evaluator is one process:
    its questions share their computations.
    """

    def __init__(
        self,
        make: Callable[[], Place],
        kept_bytes: Sequence[int | None] = KEPT_BYTES,
        *,
        files: bool = False,
        made_ids: bool = False,
    ) -> None:
        self.runner = asyncio.Runner()
        self.place = make()
        self.model = Model()
        self.expired_before: int | None = None
        self.saves: list[Save] = []
        self.killed: list[Save] = []
        self.questions: list[Question] = []
        self.flights = [Flights() for _ in range(EVALUATORS)]
        self._threads = ThreadPoolExecutor(1)
        self.shredding: list[Actor] = []
        self._kept_bytes = kept_bytes
        self._id: Callable[[str], EventId] = made_id if made_ids else str
        self._filing = Filing() if files else None
        self.runner.run(self._open())

    @property
    def is_quiet(self) -> bool:
        """Whether nobody is at work."""
        asking = self.questions or any(each.actors for each in self.flights)
        return not self.saves and not asking and not self.shredding

    @property
    def readers(self) -> list[Actor]:
        """All questions and flights that can be let on."""
        actors = [question.actor for question in self.questions]
        actors += itertools.chain.from_iterable(each.actors for each in self.flights)
        actors += self.shredding
        return [actor for actor in actors if actor.stands]

    # Writers.

    def begin_save(self, collector: int, picks: Iterable[tuple[str, int]]) -> Save | None:
        """Begin to save an event for each id; None where the collector is busy, or all values are used up."""
        busy = {save.collector for save in self.saves}
        if collector in busy or self.model.versions > MAX_VERSIONS - len(IDS):
            return None
        versions = [self.model.version(id, time) for id, time in dict(picks).items()]
        self.model.begin(versions)
        for question in self.questions:
            question.window.widen(versions)
        events = [
            Event("test", version.time, self._id(version.id), {"v": version.value, "kind": version.kind})
            for version in versions
        ]
        sent = joined([as_sent(event) for event in events])
        save = Save(self._begin(self.collectors[collector].events.save("test", sent)), versions, collector)
        self.saves.append(save)
        return save

    def begin_removal(self, collector: int, kind: int | None, start: int, stop: int) -> Save | None:
        """Begin to delete the events of one kind, or all, in a span; None where the collector is busy."""
        if collector in {save.collector for save in self.saves}:
            return None
        removal = Removal(kind, max(start, self.expired_before or start), stop)
        self.model.begin_removal(removal)
        for question in self.questions:
            question.window.loosen(removal)
        deleting = self._delete(self.collectors[collector], kind, Span(start, stop))
        save = Save(self._begin(deleting), [], collector, removal)
        self.saves.append(save)
        return save

    def drive(self, save: Save, steps: int = 10_000) -> None:
        """Let a writer on, for so many steps."""

        async def go() -> None:
            for _ in range(steps):
                if save.actor.done:
                    break
                await save.actor.step()

        self.runner.run(go())
        if save.actor.done:
            self.saves.remove(save)
            self._settle_save(save)

    def kill(self, save: Save) -> None:
        """Let a collector die in the middle of its save; another begins in its place."""
        self.saves.remove(save)
        self.killed.append(save)
        self.model.kill(save.versions)
        if save.removal is not None:
            self.model.kill_removal(save.removal)
        self.dead.append(self.collectors[save.collector])
        self.collectors[save.collector] = self.runner.run(self.place.open(writes=True))

    def sweep(self) -> None:
        """Settle what dead writers have left behind; every living one counts as dead here."""
        if not self.saves:
            self.runner.run(self.sweeper.events.sweep())
            self.model.sweep()

    def expire(self, before: int) -> None:
        """Declare what is older expired."""
        self.runner.run(self.sweeper.events.expire("test", before))
        self.expired_before = max(before, self.expired_before or before)

    def delete_events(self, before: int) -> None:
        """Delete what has expired, when nobody is at work who began before it had."""
        self.runner.run(self.sweeper.events.delete_events("test", before))
        self.model.delete(min(before, self.expired_before or before))

    def forget(self, before: int, *, with_metrics: bool) -> None:
        """Delete revisions, whether or not the metrics that they vouched for were deleted before."""

        async def forget() -> None:
            if with_metrics:
                await self.sweeper.metrics.delete(before)
            await self.sweeper.events.forget("test", before)
            await self.sweeper.events.delete_revisions("test", before)

        self.runner.run(forget())

    # Readers.

    def begin_question(self, evaluator: int, asked: Asked) -> Question | None:
        """Ask, where not too many are asking already; it stands in front of its first read."""
        if sum(question.evaluator == evaluator for question in self.questions) >= QUESTIONS:
            return None
        window = Window(self.model)
        actor = self._begin(self._measure(self.pyramids[evaluator], asked))
        question = Question(actor, window, asked, evaluator)
        self.questions.append(question)
        return question

    def let_on(self, reader: Actor, steps: int = 1) -> None:
        """Let a question or a flight on, and check the answers of those that are done by it."""
        self.runner.run(self._let_on(reader, steps))
        for question in [question for question in self.questions if question.actor.done]:
            self.questions.remove(question)
            sums = question.actor.task.result()
            question.asked.check(question.window, sums, self.expired_before)
        for actor in [actor for actor in self.shredding if actor.done]:
            self.shredding.remove(actor)
            actor.task.result()

    def shred(self, time: int) -> None:
        """Have the first evaluator begin to make the column files of an hour."""
        if self._filing is not None and len(self.shredding) < SHREDDING:
            self.shredding.append(self._begin(self._filing.make(HOUR.floor(time))))

    def read_ahead(self, time: int) -> None:
        """Have the first evaluator begin to read ahead, as if it were a time."""
        blocks = self._read_ahead.blocks.of("test")
        if blocks.wanted and len(self.shredding) < SHREDDING:
            self.shredding.append(self._begin(self._read_ahead.read(blocks, time)))

    def flush(self) -> None:
        """Have the first evaluator write the metrics that it has computed; the other one does at once."""
        self.runner.run(self._deferred.flush())

    def restart(self, kept_bytes: int) -> None:
        """Let the first evaluator die, with all that it does, and another begin with this much memory."""
        dying = [question for question in self.questions if question.evaluator == 0]
        self.questions = [question for question in self.questions if question.evaluator != 0]
        self.dead_readers += [*(each.actor for each in dying), *self.flights[0].actors, *self.shredding]
        self.shredding, self.flights[0] = [], Flights()
        self.dead_pyramids.append(self.pyramids[0])
        self.pyramids[0] = self._pyramid(self.stores[0], self.flights[0], kept_bytes)

    def cancel(self, question: Question) -> None:
        """Let a client go away."""
        self.questions.remove(question)
        question.actor.task.cancel()
        self.runner.run(self._until_still())

    def finish(self, question: Question) -> dict[int, float | None]:
        """Let a question on until it is answered, and whatever flights it waits for."""
        while not question.actor.done:
            others = [*self.flights[question.evaluator].actors, *(each.actor for each in self.questions)]
            for actor in [question.actor] if question.actor.stands else others:
                if actor.stands:
                    self.let_on(actor)
        sums: dict[int, float | None] = question.actor.task.result()
        return sums

    def ask(self, evaluator: int, asked: Asked) -> dict[int, float | None] | None:
        """Ask and wait for the answer; None where too many are asking already."""
        if self._is_idle(evaluator):  # nobody comes between, so there is no need of gates
            window = Window(self.model)
            sums = self.runner.run(self._measure(self.pyramids[evaluator], asked))
            asked.check(window, sums, self.expired_before)
            return sums
        question = self.begin_question(evaluator, asked)
        return None if question is None else self.finish(question)

    # The end.

    def end(self, times: Sequence[int]) -> None:
        """Let all who live finish and the dead be swept; then answers about some times are what is stored."""
        try:
            self.settle()
            self.compare(times)
        finally:
            self.close()

    def settle(self) -> None:
        """Let all who live finish, and the dead be swept."""
        for save in list(self.saves):
            self.drive(save)
        while self.readers:
            self.let_on(self.readers[0])
        assert self.is_quiet, "somebody waits for nobody"
        self.sweep()

    def compare(self, times: Sequence[int]) -> None:
        """Check the answers about some times, at all tiers, against what is stored."""
        for step, anchor, evaluator in itertools.product(STEPS, times, range(EVALUATORS)):
            self._compare_with_the_events(evaluator, Asked(step, anchor))

    def close(self) -> None:
        """Release everything."""
        self.runner.run(self._close())
        self.runner.close()
        self._threads.shutdown()

    # Private.

    async def _open(self) -> None:
        self.collectors = [await self.place.open(writes=True) for _ in range(COLLECTORS)]
        self.dead: list[Store] = []
        self.dead_readers: list[Actor] = []
        self.dead_pyramids: list[Pyramid] = []
        self.stores = [await self.place.open(writes=False) for _ in range(EVALUATORS)]
        self.pyramids = [
            self._pyramid(*each) for each in zip(self.stores, self.flights, self._kept_bytes, strict=True)
        ]
        self.sweeper = await self.place.open_sweeper()

    def _pyramid(self, store: Store, flights: Flights, kept_bytes: int | None) -> Pyramid:
        settings = EvaluatorSettings(limits=EvaluatorLimits(query_seconds=100_000))
        scheduler, counters = Scheduler(settings.limits), QueryCounters(CollectorRegistry())
        context = QueryContext(store, settings, scheduler, counters, self._threads, lambda: 0)
        blocks = None
        if kept_bytes is not None and self._filing is not None:
            blocks = self._filing.blocks(context, kept_bytes)
        elif kept_bytes is not None:
            blocks = StoreBlocks(BlockCache(kept_bytes), counters.read, KeptBlocks)
        if blocks is not None:
            self._read_ahead = ReadAhead(context, blocks)
        series = None if kept_bytes is None else SeriesCache(kept_bytes)
        metrics = DeferredMetrics(store.metrics, delay_seconds=None)
        if kept_bytes is not None:
            self._deferred = metrics
        return Pyramid(
            context,
            blocks,
            flights=SingleFlight(flights.make),
            series=series,
            metrics=None if kept_bytes is None else metrics,
            reads=SharedReads(context, keeps=series is not None),
            share=flights.share,
        )

    def _begin(self, coroutine: Coroutine[Any, Any, Any]) -> Actor:
        async def begin() -> Actor:
            actor = Actor(coroutine)
            await actor.arrive()
            return actor

        return self.runner.run(begin())

    async def _delete(self, store: Store, kind: int | None, span: Span) -> None:
        expression = parse_event("test" if kind is None else f"test.eq(kind, {kind})")
        start: int | None = span.start
        with deleting():
            while start is not None:
                start = (await store.events.delete(expression, Span(start, span.stop))).following

    def _settle_save(self, save: Save) -> None:
        error = save.actor.task.exception()
        if save.removal is not None:
            assert error is None, error
            self.model.end_removal(save.removal)
            return
        if error is None:
            self.model.acknowledge(save.versions)
            return
        assert isinstance(error, InvalidEvent), error
        assert self.expired_before is not None
        assert any(version.time < self.expired_before for version in save.versions)
        self.model.pending.difference_update(save.versions)

    def _is_idle(self, evaluator: int) -> bool:
        asking = any(question.evaluator == evaluator for question in self.questions)
        return not asking and not self.flights[evaluator].actors

    async def _let_on(self, reader: Actor, steps: int) -> None:
        for _ in range(steps):
            if not reader.stands:
                break
            await reader.step()
            await self._until_still()

    async def _until_still(self) -> None:
        """Wait until what one reader did has reached all others, and none of them runs any more."""
        for _ in range(2):  # who goes on may in turn let another one go on
            for _ in range(PASSES):
                await asyncio.sleep(0)
            for question in self.questions:
                await question.actor.arrive()
            for actor in [
                *itertools.chain.from_iterable(each.actors for each in self.flights),
                *self.shredding,
            ]:
                await actor.arrive()

    async def _measure(self, pyramid: Pyramid, asked: Asked) -> dict[int, float | None]:
        """Ask for sums; those of groups are added up."""
        expression = asked.reduction if asked.moved is None else asked.moved
        series = await pyramid.evaluate(expression, asked.tier, asked.span, QueryCost())
        totals = sum((series.groups or {}).values(), start=series.default)
        values = (None if value != value else float(value) for value in totals)
        return dict(zip(asked.tier.buckets(asked.span), values, strict=True))

    def _compare_with_the_events(self, evaluator: int, asked: Asked) -> None:
        sums = self.ask(evaluator, asked)
        assert sums is not None
        expected = dict.fromkeys(sums, 0)
        for time, value in self.runner.run(self._stored(asked.span)):
            expected[asked.tier.floor(time)] += value
        for bucket, total in sums.items():
            if self.expired_before is None or bucket >= self.expired_before:
                assert int(total or 0) == expected[bucket], (asked.tier.text, bucket)

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
        for question in self.questions:
            await question.actor.bury()
        flights = itertools.chain.from_iterable(each.actors for each in self.flights)
        for actor in [*flights, *self.shredding, *self.dead_readers]:
            await actor.bury()
        for pyramid in [*self.pyramids, *self.dead_pyramids]:
            await pyramid.close()
        for store in [*self.collectors, *self.dead, *self.stores, self.sweeper]:
            await store.close()
        await self.place.close()
        if self._filing is not None:
            self._filing.close()
