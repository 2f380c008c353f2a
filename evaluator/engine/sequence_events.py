"""Reading and computing the buckets of a sequence in one session, from column blocks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final, assert_never

import numpy as np

from cube.columns import Block, Cuts, finals, states
from cube.columns.funnels import Counts, funnel_counts, funnel_windows
from cube.columns.key_events import Codes, KeyEventList, key_paths
from cube.columns.retentions import FirstEvents, Returns
from cube.columns.sessions import sessions
from cube.columns.values import Path
from cube.expression.nodes import Cohorts, Funnel, Reduction, SequenceExpression, SessionReduction
from cube.model import instant
from cube.model.grid import Grid
from cube.model.tier import HOUR, Span, Tier, group_key
from cube.settings import EvaluatorLimits
from cube.store.slices import Slices
from evaluator.engine import windows
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.reading import Reading, runs
from evaluator.engine.scan import KEPT_ROWS, Scan
from evaluator.engine.sequence_revisions import ReachRevisions, reaches
from evaluator.engine.series import Series, check_memory
from evaluator.engine.states import Encoded, States, weight
from evaluator.query.limits import LimitExceeded

_WINDOWS: Final = 8
_SHARES: Final = 16


@dataclass(frozen=True, slots=True)
class SequenceScan:
    """Computes buckets of a sequence; ``vouching``: the tier whose revisions are ``known``."""

    scan: Scan
    node: SequenceExpression
    grid: Grid
    vouching: Tier
    known: Sequence[ReachRevisions]

    async def contents(self, buckets: Sequence[int]) -> Encoded:
        """Return the contents of some buckets, ascending, as `sequence_series` reads them.

        Raises `LimitExceeded` where keys and events take too much memory, and what the store raises.
        """
        span = Span(buckets[0], self.grid.after(buckets[-1]))
        edges = bucket_edges(self.grid, span)
        match self.node:
            case Funnel(key, window, steps):
                events = KeyEventList(key, steps)
                await self._gather(events, span)
                counts = await self.scan.run(_funnel, events, len(steps), window, edges)
                return _rows(buckets, edges, counts)
            case Cohorts():
                return _rows(buckets, edges, await self._retention(self.node, span, edges))
            case SessionReduction(key, gap, joined, reduction):
                events = KeyEventList(key, (joined,))
                await self._gather(events, span)
                return await self.scan.run(_sessions, events, gap, span, reduction, self.grid, buckets)
            case _:
                assert_never(self.node)

    async def windows(self, starts: Codes, stops: Codes) -> Series:
        """Return the series of the sequence over intervals that may overlap, and whose ends both ascend.

        Raises as `contents` does.
        """
        span = Span(int(starts[0]), int(stops[-1]))
        match self.node:
            case Funnel(key, window, steps):
                events = KeyEventList(key, steps)
                await self._gather(events, span)
                counts = await self.scan.run(_funnel_windows, events, len(steps), window, starts, stops)
                return counted(self.node, counts)
            case Cohorts():
                edges = np.array([span.start, span.stop], dtype=np.int64)
                returns = await self._returns(self.node, span, edges)
                return counted(self.node, await self.scan.run(returns.counts_in, starts, stops))
            case SessionReduction(key, gap, joined, reduction):
                events = KeyEventList(key, (joined,))
                await self._gather(events, span)
                limits = self.scan.context.limits
                return await self.scan.run(_session_windows, events, gap, reduction, starts, stops, limits)
            case _:
                assert_never(self.node)

    async def _gather(self, events: KeyEventList, span: Span) -> None:
        for known in self.known:
            inside = known.reach.span(span)
            if inside is None:
                raise ValueError("a reach without a beginning is not gathered")
            take = partial(_add, events, known.reach.type, inside)
            await self._each(known, span, take, lambda: events.bytes)

    async def _retention(self, node: Cohorts, span: Span, edges: Codes) -> Counts:
        returns = await self._returns(node, span, edges)
        return await self.scan.run(returns.counts)

    async def _returns(self, node: Cohorts, span: Span, edges: Codes) -> Returns:
        first, back = self.known
        firsts = FirstEvents(node.key, node.first)
        await self._each(first, span, partial(firsts.add, stop=span.stop), lambda: firsts.bytes)
        returns = await self.scan.run(Returns, firsts, node.period, node.periods, edges)
        take = partial(returns.add, back.reach.selections[0])
        await self._each(back, span, take, lambda: firsts.bytes + returns.bytes)
        return returns

    async def _each(
        self, known: ReachRevisions, span: Span, take: Callable[[Block], None], held: Callable[[], int]
    ) -> None:
        """Have each block of a reach taken in, in time slices, and look at how much is held."""
        limit = self.scan.context.limits.memory_bytes
        slices = Slices(self.scan.time_slice, self.scan.context.executor, rows=KEPT_ROWS)
        async with aclosing(self._blocks(known, span)) as blocks:
            async for block in blocks:
                async for _ in slices.each(block, take):
                    if held() > limit:
                        raise _too_much(limit)

    async def _blocks(self, known: ReachRevisions, span: Span) -> AsyncGenerator[Block, None]:
        """Yield the events of a reach, of whole buckets of the vouching tier."""
        reach, scan = known.reach, self.scan
        paths = key_paths(self.node.key, reach.selections, reach.type)
        gaps = known.gaps(span)
        if scan.blocks is not None and not known.revisions.foreign:
            kept = scan.blocks.of(reach.type).blocks(
                Reading(scan.session, paths, scan.time_slice), self.vouching, gaps
            )
            async with aclosing(kept) as packed_blocks:
                async for packed in packed_blocks:
                    yield packed
            return
        spans = runs(gaps, gaps, self.vouching)
        if known.revisions.foreign:
            everything = reach.span(span) or Span(instant.EARLIEST, span.stop)
            spans = [self.vouching.cover(everything)]
        async for block in self._scanned(reach.type, spans, paths):
            yield block

    async def _scanned(
        self, type: str, spans: Sequence[Span], paths: frozenset[Path]
    ) -> AsyncGenerator[Block, None]:
        fields = sorted({str(path[0]) for path in paths})
        for span in spans:
            self.scan.context.counters.scanned()
            async with aclosing(self.scan.session.scan(type, span, fields)) as blocks:
                async for block in blocks:
                    self.scan.context.counters.read(len(block))
                    yield block


def parts(node: SequenceExpression, buckets: Sequence[int], grid: Grid) -> Iterator[Sequence[int]]:
    """Cut buckets into those that are computed at once: so that few events are read twice, or held.

    Each part reads as far around as the sequence reaches; a retention reads all that came before, once.
    """
    if isinstance(node, Cohorts):
        yield buckets
        return
    around = max((reach.before or 0) + reach.after for reach in reaches(node))
    length = max(_WINDOWS * around, (buckets[-1] - buckets[0]) // _SHARES, HOUR.step)
    part: list[int] = []
    for bucket in buckets:
        if part and grid.after(bucket) - part[0] > length:
            yield part
            part = []
        part.append(bucket)
    yield part


def bucket_edges(grid: Grid, span: Span) -> Codes:
    """Return the starts of an aligned span's buckets, and where the last one ends."""
    return np.array([*grid.buckets(span), span.stop], dtype=np.int64)


def _add(events: KeyEventList, type: str, span: Span, block: Block) -> None:
    events.add(type, block, span)


def _funnel(events: KeyEventList, steps: int, window: int, edges: Codes) -> Counts:
    return funnel_counts(events.joined(), steps, window, edges)


def _funnel_windows(events: KeyEventList, steps: int, window: int, starts: Codes, stops: Codes) -> Counts:
    return funnel_windows(events.joined(), steps, window, starts, stops)


def _session_windows(
    events: KeyEventList, gap: int, reduction: Reduction, starts: Codes, stops: Codes, limits: EvaluatorLimits
) -> Series:
    """Reduce the sessions of what lies between two neighbouring edges, and slide the windows over that."""
    block = sessions(events.joined(), gap, Span(int(starts[0]), int(stops[-1])))
    known: States = dict(states(reduction, Cuts.of([*windows.stretches(starts, stops)]), block))
    check_memory(limits, sum(weight(state) for state in known.values() if state))
    return windows.series(reduction, starts, stops, known, limits)


def _sessions(
    events: KeyEventList, gap: int, span: Span, reduction: Reduction, grid: Grid, some: Sequence[int]
) -> Encoded:
    buckets = grid if isinstance(grid, Tier) else Cuts.of(grid.intervals(span))
    found = finals(reduction, buckets, sessions(events.joined(), gap, span))
    wanted = np.array(some, dtype=np.int64)
    return BucketValues.of_finals(reduction, [found], found.shared, wanted).contents()


def counted(node: Funnel | Cohorts, counts: Counts) -> Series:
    """Return counts, of shape (buckets, groups), as a series: groups from 1 of a funnel, else from 0."""
    first = 0 if isinstance(node, Cohorts) else 1
    groups = {group_key(first + place): counts[:, place].copy() for place in range(counts.shape[1])}
    return Series(np.zeros(len(counts)), groups)


def _rows(buckets: Sequence[int], edges: Codes, counts: Counts) -> Encoded:
    places = np.searchsorted(edges, np.array(buckets, dtype=np.int64)).tolist()
    return {
        bucket: counts[place].astype("<f8").tobytes() for bucket, place in zip(buckets, places, strict=True)
    }


def _too_much(limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"The query would hold more than {limit} bytes of keys and their events, which is the limit:"
        " take a shorter span, a shorter window or gap, or filter the events.",
        reason="memory",
        field="expression",
    )
