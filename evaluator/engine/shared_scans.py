"""Shared scans: small reductions of many questions over the same buckets, in one pass over their columns.

A bucket closes, or a page is opened, and each chart needs a reduction of its own. To look after one (a
session, a place, hops between threads) takes longer than to compute it. Here that is there once for all who
come before the first block does (docs/decisions/0066-shared-scans.md, docs/decisions/0069-shared-reading.md).

The promise is single flight's: who has read the same revision of each bucket as the first has, whenever that
was, need not ask more of the events than that they were read after the first did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, TypeAlias

from cube.errors import CubeError
from cube.model.tier import Tier
from cube.store.metric_ports import MetricStore
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.scan import Scan
from evaluator.engine.series import ReductionJob
from evaluator.engine.shared_scan import SharedPass, SharedScan
from evaluator.engine.single_flight import Gaps
from evaluator.engine.store_blocks import StoreBlocks
from evaluator.scheduling.scheduler import QueryCost

MOST_BUCKETS: Final = 400
"""More are computed alone: that takes long enough."""

OpenScan: TypeAlias = Callable[[QueryCost], AbstractAsyncContextManager[Scan]]

_Key: TypeAlias = "tuple[str, Tier, Gaps]"


class SharedScans:
    """The shared scans of one store; safe for any number of concurrent callers.

    ``metrics``: where values are saved. ``open_scan``: begins a scan, at a cost; ``make``: who takes part.
    """

    def __init__(
        self,
        blocks: StoreBlocks,
        metrics: MetricStore,
        open_scan: OpenScan,
        make: Callable[[Gaps, QueryCost], SharedScan],
    ) -> None:
        self._blocks = blocks
        self._metrics = metrics
        self._open_scan = open_scan
        self._make = make
        self._joinable: dict[_Key, SharedScan] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def values(self, job: ReductionJob, gaps: Gaps, cost: QueryCost) -> BucketValues | None:
        """Compute some gaps of a tier below an hour, of not too many rows; keep and return their values.

        None where that fails, or is not for sharing: computed alone, a job meets its own bounds and errors.
        """
        if len(gaps) > MOST_BUCKETS or cost.is_long or not self._blocks.may_share(job, gaps):
            return None
        key = self._key(job, gaps)
        shared = self._joinable.get(key)
        if shared is None or not shared.reads_all(job):
            shared = self._joinable[key] = self._make(gaps, cost)
            shared.task = asyncio.create_task(shared.run(partial(self._scan, key, shared)))
            shared.task.add_done_callback(lambda task: self._end(key, shared, task))
            self._tasks.add(shared.task)
        return await shared.join(job, cost)

    async def close(self) -> None:
        """Return when all scans have ended, the cancelled ones included."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    @staticmethod
    def _key(job: ReductionJob, gaps: Gaps) -> _Key:
        """Return what all who share a scan have in common, the revisions among it."""
        return (job.reduction.type, job.tier, gaps)

    async def _scan(self, key: _Key, shared: SharedScan) -> None:
        async with self._open_scan(shared.cost) as scan:
            blocks = self._blocks.of(key[0])
            close = partial(self._close, key, shared)
            await SharedPass(scan, shared, self._metrics).run(blocks, key[1], close)

    def _close(self, key: _Key, shared: SharedScan) -> None:
        """Let nobody join any more."""
        if self._joinable.get(key) is shared:
            del self._joinable[key]

    def _end(self, key: _Key, shared: SharedScan, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._close(key, shared)
        failure = None if task.cancelled() else task.exception()
        # What the store or a bound refuses is met again, or not, by each who goes on alone; a fault is told.
        shared.end(None if isinstance(failure, CubeError) else failure)
