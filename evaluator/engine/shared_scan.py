"""One shared scan: who takes part in it, and how what they need is computed in one pass over the columns."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeAlias

from cube.columns import Block, paths
from cube.columns.values import Path
from cube.model.tier import HOUR, Span, Tier
from cube.process.threads import run_in_thread
from cube.settings import EvaluatorLimits
from cube.store.equality import FieldPath, wanted_by
from cube.store.metric_ports import MetricStore
from cube.store.slices import FIRST_TOGETHER, MOST_TOGETHER, PIECE_SECONDS
from evaluator.engine.blocks import TypeBlocks
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.computation import Computation
from evaluator.engine.reading import MOST_ROWS, Reading
from evaluator.engine.scan import GatheredValues, Scan
from evaluator.engine.series import ReductionJob
from evaluator.engine.single_flight import Gaps
from evaluator.engine.store_blocks import SHARED_ROWS
from evaluator.scheduling.scheduler import QueryCost


class SharedScan:
    """Who takes part in one scan of some gaps: ``cost`` stands for whoever of them has had the least."""

    task: asyncio.Task[None]

    def __init__(self, gaps: Gaps, cost: QueryCost) -> None:
        self.gaps = gaps
        self.cost = QueryCost(cost.reach)
        self.cost.seconds = cost.seconds
        self.parts: list[Participant] = []
        self._paths: frozenset[Path] | None = None

    async def run(self, scan: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do the scan."""
        await scan()

    async def join(self, job: ReductionJob, cost: QueryCost) -> BucketValues | None:
        """Take part, and return the values; None where there are none."""
        part = Participant(job, cost)
        self.parts.append(part)
        self.cost.inherit(cost)
        try:
            return await self.until(part.found)
        finally:
            if part.found.cancelled() and not self.waiting():
                self.task.cancel()

    async def until(self, found: asyncio.Future[BucketValues | None]) -> BucketValues | None:
        """Wait for what the scan finds."""
        return await found

    def read(self) -> frozenset[Path]:
        """Begin to read; return the columns that are needed."""
        self._paths = frozenset[Path]().union(*(paths(part.job.reduction) for part in self.parts))
        return self._paths

    def reads_all(self, job: ReductionJob) -> bool:
        """Tell whether the columns of a job are read, or will be."""
        return self._paths is None or paths(job.reduction) <= self._paths

    def waiting(self) -> list[Participant]:
        """Return those that still wait for their values."""
        return [part for part in self.parts if not part.found.done()]

    def end(self, fault: BaseException | None) -> None:
        """Tell all who still wait that nothing comes, or of a fault."""
        for part in self.waiting():
            if fault is None:
                part.found.set_result(None)
            else:
                part.found.set_exception(fault)


class Participant:
    """One job of a shared scan: what is computed of it, for one who waits at a cost of its own."""

    def __init__(self, job: ReductionJob, cost: QueryCost) -> None:
        self.job = job
        self.cost = cost
        self.found: asyncio.Future[BucketValues | None] = asyncio.get_running_loop().create_future()
        self.failed = False
        self.values: BucketValues | None = None
        self._gathered: GatheredValues | None = None

    def take(self, block: Block, limits: EvaluatorLimits) -> None:
        """Reduce a block; in a thread."""
        if self._gathered is None:
            self._gathered = GatheredValues(self.job.reduction, limits)
        self._gathered.take(self.job.tier, block)

    def finish(self, gaps: Gaps) -> None:
        """Make the values of all gaps; in a thread."""
        if self._gathered is None:  # no block has any event
            self.values = BucketValues.of_finals(self.job.reduction, (), {}, gaps.buckets)
        else:
            self.values = self._gathered.values(gaps.buckets)


class SharedPass:
    """Computes what the parts of a shared scan need, block by block, and hands each its values."""

    def __init__(self, scan: Scan, shared: SharedScan, metrics: MetricStore) -> None:
        self._scan = scan
        self._shared = shared
        self._computing = Computation(scan, metrics)
        self._without_index: set[FieldPath] = set()
        self._looked_up = 0

    async def run(self, blocks: TypeBlocks, tier: Tier, close: Callable[[], None]) -> None:
        """Take all blocks, finish, save and hand on; lets nobody join from the first block on.

        Of too many rows nothing is handed on: then each goes on alone, with what has been read.
        """
        shared, gaps = self._shared, self._shared.gaps
        reading = Reading(self._scan.session, shared.read(), self._scan.time_slice)
        span = gaps.span(tier.step)
        may_be_narrow = span.length >= HOUR.step and not blocks.reaches_over(span, reading.paths)
        if may_be_narrow and not await self._others_wait(span):
            return
        is_held = blocks.holds(tier, gaps, reading.paths) is not None
        most = MOST_TOGETHER if is_held else FIRST_TOGETHER  # so that what is refused has not read far
        ready, rows = list[Block](), 0
        async with aclosing(blocks.blocks(reading, tier, gaps)) as found:
            had = shared.cost.seconds
            async for block in found:
                if not rows:
                    close()
                    if may_be_narrow and not await self._others_wait(span):
                        return
                rows += len(block)
                if rows > SHARED_ROWS:
                    return
                self._count(shared.cost.seconds - had)
                if ready and sum(map(len, ready)) + len(block) > most:
                    await self._take(ready)
                    if not shared.waiting():  # all have gone away, or are over a bound
                        return
                    ready, most = [], MOST_TOGETHER
                ready.append(block)
                had = shared.cost.seconds
        close()
        await self._take(ready, hand_on=True)

    async def _others_wait(self, span: Span) -> bool:
        """Have those go on alone of whose events an index finds few; tell whether anybody else waits."""
        parts = self._shared.parts
        while self._looked_up < len(parts):  # others join meanwhile
            part = parts[self._looked_up]
            self._looked_up += 1
            type, wanted = part.job.reduction.type, wanted_by(part.job.reduction.filters)
            if part.found.done() or wanted.keys() <= self._without_index:
                continue
            found = await self._scan.session.indexed(type, span, wanted, MOST_ROWS + 1)
            if found is None:
                self._without_index.update(wanted)
            elif found <= MOST_ROWS and not part.found.done():
                part.found.set_result(None)
        return bool(self._shared.waiting())

    def _count(self, seconds: float) -> None:
        """Count on each who waits its share of what reading took."""
        waiting = self._shared.waiting()
        for part in waiting:
            part.cost.seconds += seconds / len(waiting)

    async def _take(self, blocks: Sequence[Block], *, hand_on: bool = False) -> None:
        """Reduce some blocks for each who waits, as much in a time slice as fits; then, or not, hand on."""
        shared, gaps, limits = self._shared, self._shared.gaps, self._scan.limits
        waiting = shared.waiting()
        left = deque[_Step]((part, partial(part.take, block, limits)) for block in blocks for part in waiting)
        if hand_on:
            left.extend((part, partial(part.finish, gaps)) for part in waiting)
        while left:
            shared.cost.seconds = min(part.cost.seconds for part, _ in left)
            async with self._scan.time_slice():
                await run_in_thread(_piece, left, executor=self._scan.context.executor)
            for part in waiting:
                if hand_on or part.failed:
                    await self._hand_on(part)
        shared.cost.seconds = min((part.cost.seconds for part in waiting), default=0.0)

    async def _hand_on(self, part: Participant) -> None:
        """Save and tell what has been computed for one who waits; nothing, where that has failed."""
        if part.found.done() or not (part.failed or part.values is not None):
            return
        if part.values is not None:
            await self._computing.keep_values(part.job, self._shared.gaps, part.values)
        if not part.found.done():
            part.found.set_result(part.values)


_Step: TypeAlias = "tuple[Participant, Callable[[], None]]"
"""Some work for one who takes part."""


def _piece(left: deque[_Step]) -> int:
    """Do what is left, step by step, until a piece is as long as it should be; return how much was done.

    Nothing is done for who has gone away, or has failed.
    """
    done, began = 0, time.perf_counter()
    while left and (not done or time.perf_counter() < began + PIECE_SECONDS):
        part, work = left.popleft()
        if part.failed or part.found.done():
            continue
        done += 1
        start = time.perf_counter()
        try:
            work()
        except Exception:  # alone it meets the same, and tells of it
            part.failed = True
        part.cost.seconds += time.perf_counter() - start
    return done
