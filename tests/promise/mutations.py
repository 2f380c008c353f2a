"""The rules of the promise, each broken in the way in which one would break it by accident.

A mutation changes one rule for as long as its `pytest.MonkeyPatch` lasts. What it breaks must be found
by random walks; see `tests/property/test_promise_mutations.py`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable, Hashable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from cube.model.grid import Grid
from cube.model.tier import TEN_SECONDS, Span, Tier
from cube.store.bucket_revisions import BucketRevisions
from cube.store.metric_ports import CachedBucket
from cube.store.mongo import layout
from cube.store.ports import EventStore, Revisions
from cube.store.sqlite import catalog, packs, parts, saving
from cube.store.sqlite.parts import SqliteParts
from cube.store.sqlite.readers import CommitWatch, Lease, ReaderPool
from cube.store.sqlite.removal import Removed, RowRemoval
from evaluator.engine import computation
from evaluator.engine.ahead import AheadBuckets
from evaluator.engine.blocks import Reading, TypeBlocks
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.computation import Computation
from evaluator.engine.grid_revisions import GridRevisions
from evaluator.engine.kept_series import Answered, SeriesCache
from evaluator.engine.pieces import Numbers, Pieces, Runs
from evaluator.engine.plain import PlainAnswers
from evaluator.engine.pyramid import Pyramid
from evaluator.engine.revision_reads import RevisionReads
from evaluator.engine.segments import Segment, SegmentMap
from evaluator.engine.series import ReductionJob, Series
from evaluator.engine.shared_scans import SharedScans
from evaluator.engine.shredding import Shredded, Shredder
from evaluator.engine.single_flight import Flight, FlightPart, Gaps, SingleFlight
from evaluator.engine.states import Encoded, States
from evaluator.scheduling.scheduler import QueryCost

_EVENTS: ContextVar[EventStore] = ContextVar("events")
_LATER: ContextVar[int | None] = ContextVar("later")
_EARLY: ContextVar[tuple[Tier | None, Revisions]] = ContextVar("early")


def revisions_are_read_after_the_scan(patch: pytest.MonkeyPatch) -> None:
    """A value is kept with the revisions that its buckets have when it is ready."""
    compute, save = Pyramid._compute, Computation._save

    async def _compute(
        self: Pyramid, *arguments: Any, **options: Any
    ) -> AsyncGenerator[FlightPart[Any], None]:
        _EVENTS.set(self.context.store.events)
        async for part in compute(self, *arguments, **options):
            yield part

    async def _save(self: Computation, job: ReductionJob, gaps: Gaps, states: States) -> BucketValues:
        span = gaps.span(job.tier.step)
        async with _EVENTS.get().read() as session:
            fresh = await session.revisions(job.reduction.type, job.tier, span)
        later = BucketRevisions(gaps.buckets, fresh.numbers.at(gaps.buckets))
        return await save(self, job, later, states)

    patch.setattr(Pyramid, "_compute", _compute)
    patch.setattr(Computation, "_save", _save)


def finer_revisions_are_read_before_the_coarse_ones(patch: pytest.MonkeyPatch) -> None:
    """A coarse bucket is merged from finer ones that are believed at revisions older than its own."""
    read, merge = Pyramid.read, Computation._merge

    async def _read(self: Pyramid, type: str, grid: Grid, span: Span) -> GridRevisions:
        finer = grid.finer if isinstance(grid, Tier) else None
        early = Revisions() if finer is None else (await read(self, type, finer, span)).revisions
        _EARLY.set((finer, early))
        return await read(self, type, grid, span)

    async def _merge(self: Computation, job: ReductionJob, finer: ReductionJob, gaps: Gaps) -> States:
        if not isinstance(self._session, _Early):
            self._session = _Early(self._session)
        return await merge(self, job, finer, gaps)

    patch.setattr(Pyramid, "read", _read)
    patch.setattr(Computation, "_merge", _merge)


class _Early:
    def __init__(self, session: Any) -> None:
        self._session = session
        self.scan = session.scan

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        early = _EARLY.get()
        found: Revisions = await self._session.revisions(type, tier, span)
        return early[1] if tier is early[0] else found


def values_are_believed_at_any_revision(patch: pytest.MonkeyPatch) -> None:
    """What is cached counts for as long as its bucket has events."""

    def believed(self: ReductionJob, found: Mapping[int, CachedBucket], numbers: BucketRevisions) -> Encoded:
        return {bucket: cell.content for bucket, cell in found.items() if bucket in numbers}

    patch.setattr(ReductionJob, "believed", believed)


def revisions_are_remembered(patch: pytest.MonkeyPatch) -> None:
    """A question uses the revisions that another one has read."""
    read = Pyramid.read
    known: dict[tuple[object, ...], GridRevisions] = {}

    async def _read(self: Pyramid, type: str, grid: Grid, span: Span) -> GridRevisions:
        name = (self, type, grid.text, span)
        if name not in known:
            known[name] = await read(self, type, grid, span)
        return known[name]

    patch.setattr(Pyramid, "read", _read)


def answers_count_at_any_version_of_the_store(patch: pytest.MonkeyPatch) -> None:
    """What was answered once is the answer, whatever was committed since."""
    patch.setattr(CommitWatch, "version", lambda self: 1)


def answers_are_kept_with_the_version_that_follows_them(patch: pytest.MonkeyPatch) -> None:
    """The version of the store is read when an answer is ready, not before its revisions are."""
    computed = PlainAnswers._computed

    async def _computed(self: PlainAnswers, *arguments: Any) -> Series:
        series = await computed(self, *arguments)
        _LATER.set(self._context.store.events.version())
        return series

    def keep_answer(self: SeriesCache, key: Hashable, newer: Answered) -> None:
        keep(self, key, Answered(_LATER.get() or 0, newer.series))

    keep = SeriesCache.keep_answer
    patch.setattr(PlainAnswers, "_computed", _computed)
    patch.setattr(SeriesCache, "keep_answer", keep_answer)


def reads_are_joined_after_they_began(patch: pytest.MonkeyPatch) -> None:
    """Who asks while revisions are read takes what is found, as long as it is of the same buckets."""

    def _begin(self: RevisionReads, key: tuple[str, int], read: Any) -> None:
        span = read.span
        read.take_in = lambda other: span.intersect(other) == other
        self._latest[key] = read

    patch.setattr(RevisionReads, "_begin", _begin)


def revisions_are_kept_with_the_version_that_follows_them(patch: pytest.MonkeyPatch) -> None:
    """The version of the store is read when revisions have been, not before."""
    keep = RevisionReads._keep

    def _keep(self: RevisionReads, key: tuple[str, int], kept: Any) -> None:
        keep(self, key, kept._replace(version=self._version()))

    patch.setattr(RevisionReads, "_keep", _keep)


def flights_give_all_that_they_have(patch: pytest.MonkeyPatch) -> None:
    """Who joins for one bucket takes the others too, as it did until November 2026."""
    parts, take = SingleFlight.parts, Flight.take

    async def _parts(self: SingleFlight, key: Hashable, gaps: Gaps, *arguments: Any) -> list[FlightPart[Any]]:
        found = await parts(self, key, gaps, *arguments)
        return [FlightPart(part.gaps.only(gaps.buckets), part.contents) for part in found]

    async def _take(self: Flight, gaps: Gaps, found: list[FlightPart[Any]]) -> Gaps:
        left = await take(self, gaps, found)
        found += self._parts
        return left

    patch.setattr(SingleFlight, "parts", _parts)
    patch.setattr(Flight, "take", _take)


def flights_are_joined_at_any_revision(patch: pytest.MonkeyPatch) -> None:
    """A question waits for whatever computation of its buckets is under way."""

    def _joined(self: SingleFlight, key: Hashable, gaps: Gaps, cost: QueryCost) -> dict[Flight, Gaps]:
        joined: dict[Flight, Gaps] = {}
        for flight in reversed(self._flights.get(key, ())):
            wanted = gaps.only(flight.gaps.buckets)
            gaps = gaps.without(wanted.buckets)
            if wanted:
                joined[flight] = wanted
        return joined

    patch.setattr(SingleFlight, "_joined", _joined)


def scans_are_shared_at_any_revision(patch: pytest.MonkeyPatch) -> None:
    """A question takes part in whatever shared scan of its buckets has not begun."""

    def _key(job: ReductionJob, gaps: Gaps) -> tuple[str, Tier, Gaps]:
        return (job.reduction.type, job.tier, BucketRevisions(gaps.buckets, 0 * gaps.revisions))

    patch.setattr(SharedScans, "_key", staticmethod(_key))


def connections_keep_their_snapshot(patch: pytest.MonkeyPatch) -> None:
    """A question reads what was there when its connection's last question began."""

    def give_back(self: ReaderPool, connection: sqlite3.Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def _begun(self: Lease) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._readers.take()
            if not self._connection.in_transaction:
                self._connection.execute("BEGIN")
        return self._connection

    patch.setattr(ReaderPool, "give_back", give_back)
    patch.setattr(Lease, "_begun", _begun)


def expired_buckets_are_scanned(patch: pytest.MonkeyPatch) -> None:
    """What is left of a bucket's events is taken for all of them."""
    patch.setattr(ReductionJob, "_horizon", -(2**63))


def expired_buckets_without_a_value_are_empty(patch: pytest.MonkeyPatch) -> None:
    """What nobody knows any more is nothing."""
    patch.setattr(ReductionJob, "lost", lambda self, numbers, known, span: known[:0])


def forgotten_buckets_are_empty(patch: pytest.MonkeyPatch) -> None:
    """A finer bucket whose revision was deleted had no events."""
    patch.setattr(computation, "is_forgotten", lambda bucket, revisions: False)


def blocks_are_taken_at_any_revision(patch: pytest.MonkeyPatch) -> None:
    """What was read once of a bucket is taken for what it has."""
    patch.setattr(Segment, "agrees", lambda self, span, numbers: min(self.span.stop, span.stop))


def blocks_are_vouched_for_at_any_revision(patch: pytest.MonkeyPatch) -> None:
    """A coarse bucket that was read whole is taken for whole whatever has come since."""

    def is_vouched(self: SegmentMap, tier: Tier, piece: Gaps, *arguments: Any) -> bool:
        return self._vouched.get(tier.step, {}).keys() >= piece.keys()

    patch.setattr(SegmentMap, "is_vouched", is_vouched)


def blocks_keep_the_revisions_that_follow_their_events(patch: pytest.MonkeyPatch) -> None:
    """Events are kept with the revisions that their buckets have when they have been read."""
    refreshed = TypeBlocks._refreshed

    async def _refreshed(self: TypeBlocks, reading: Reading, span: Span, numbers: Gaps) -> Segment:
        segment = await refreshed(self, reading, span, numbers)
        async with _EVENTS.get().read() as session:
            fresh = (await session.revisions(self.type, TEN_SECONDS, segment.span)).numbers
        later = Segment.of(segment.span, fresh, segment.block)
        self._segments.put(later)
        return later

    compute = Pyramid._compute

    async def _compute(
        self: Pyramid, *arguments: Any, **options: Any
    ) -> AsyncGenerator[FlightPart[Any], None]:
        _EVENTS.set(self.context.store.events)
        async for part in compute(self, *arguments, **options):
            yield part

    patch.setattr(Pyramid, "_compute", _compute)
    patch.setattr(TypeBlocks, "_refreshed", _refreshed)


def files_are_believed_at_any_revision(patch: pytest.MonkeyPatch) -> None:
    """What a file holds of a bucket is taken for what it has."""
    patch.setattr(Segment, "agreeing", lambda self, span, numbers: [self.span.intersect(span)])


def files_keep_the_revisions_that_follow_their_events(patch: pytest.MonkeyPatch) -> None:
    """A file's events are kept with the revisions that their buckets have when they have been read."""
    following = Shredder._next

    async def _next(self: Shredder, session: Any, type: str, span: Span) -> Shredded | None:
        found = await following(self, session, type, span)
        if found is None:
            return None
        async with self._context.idle_session() as later:
            fresh = (await later.revisions(type, TEN_SECONDS, found.segment.span)).numbers
        return Shredded(found.revision, Segment.of(found.segment.span, fresh, found.segment.block))

    patch.setattr(Shredder, "_next", _next)


def a_cluster_is_read_without_a_majority(patch: pytest.MonkeyPatch) -> None:
    """Events are read from whatever takes itself for the primary, as they were until November 2026."""
    patch.setattr(layout, "_MAJORITY", layout.ReadConcern("local"))


def deletions_raise_nothing(patch: pytest.MonkeyPatch) -> None:
    """What was deleted goes on being counted where it was."""
    write = RowRemoval.write

    def _write(self: RowRemoval, connection: sqlite3.Connection) -> Any:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(saving, "raise_buckets", lambda connection, entry, raised: None)
            return write(self, connection)

    patch.setattr(RowRemoval, "write", _write)


def deletions_raise_before_they_delete(patch: pytest.MonkeyPatch) -> None:
    """Who reads a revision between the two keeps what is then deleted."""
    write = RowRemoval.write
    raised: dict[tuple[object, ...], bool] = {}

    def _write(self: RowRemoval, connection: sqlite3.Connection) -> Any:
        key = (self.expression, *self.places)
        with pytest.MonkeyPatch.context() as inner:
            if not raised.pop(key, False):
                raised[key] = True
                entry = catalog.find(connection, self.expression.type)
                assert entry is not None
                times = {time for time, _ in self.places}
                saving.raise_buckets(connection, entry, saving.buckets(times))
                return Removed(0, 0)
            inner.setattr(saving, "raise_buckets", lambda connection, entry, raised: None)
            return write(self, connection)

    patch.setattr(RowRemoval, "write", _write)


def deletions_judge_what_they_found(patch: pytest.MonkeyPatch) -> None:
    """What has been replaced meanwhile is deleted as well."""
    patch.setattr(RowRemoval, "_selected", lambda self, rows: rows)


def parts_are_known_by_their_numbers(patch: pytest.MonkeyPatch) -> None:
    """A part that has the number of one that was read ahead is taken for that one; and numbers come again."""
    patch.setattr(packs, "_JUMP_BITS", 0)
    find = parts.find

    def _find(*arguments: Any) -> SqliteParts | None:
        found = find(*arguments)
        return None if found is None else replace(found, keys=dict.fromkeys(found.keys, 0))

    patch.setattr(parts, "find", _find)


def parts_that_have_gone_are_counted(patch: pytest.MonkeyPatch) -> None:
    """What was read ahead is in the bucket, whatever has become of it since."""
    patch.setattr(AheadBuckets, "_useful", lambda self, bucket, *_: self._held.get(bucket))


def what_is_in_no_part_is_not_read(patch: pytest.MonkeyPatch) -> None:
    """A bucket of which something was read ahead has nothing but parts."""
    find = parts.find

    def _find(*arguments: Any) -> SqliteParts | None:
        found = find(*arguments)
        return None if found is None else replace(found, has_rest=False)

    patch.setattr(parts, "find", _find)


OF_READING_AHEAD: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    parts_are_known_by_their_numbers,
    parts_that_have_gone_are_counted,
    what_is_in_no_part_is_not_read,
)
"""Those that walks with reading ahead find."""

OF_DELETIONS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    deletions_raise_nothing,
    deletions_raise_before_they_delete,
    deletions_judge_what_they_found,
)
"""Those that walks with deletions find."""


def rests_are_vouched_for_by_nothing(patch: pytest.MonkeyPatch) -> None:
    """Of a bucket that is merged of pieces, what is read at its edges is taken for what it was."""

    def covers(self: Pieces) -> tuple[Runs, Runs]:
        nothing = Runs(self.rests[0].starts, self.rests[0].starts)
        return nothing, nothing

    revisions = Pieces.revisions

    def _revisions(self: Pieces, numbers: Numbers) -> list[int]:
        exact = revisions(self, numbers)
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Pieces, "covers", covers)
            some = revisions(self, numbers)
        return [one or int(other > 0) for one, other in zip(some, exact, strict=True)]

    patch.setattr(Pieces, "revisions", _revisions)


OF_GRIDS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    rests_are_vouched_for_by_nothing,
    values_are_believed_at_any_revision,
    revisions_are_remembered,
)
"""Those that walks over grids find."""

MUTATIONS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    revisions_are_read_after_the_scan,
    finer_revisions_are_read_before_the_coarse_ones,
    values_are_believed_at_any_revision,
    revisions_are_remembered,
    answers_count_at_any_version_of_the_store,
    answers_are_kept_with_the_version_that_follows_them,
    reads_are_joined_after_they_began,
    revisions_are_kept_with_the_version_that_follows_them,
    flights_give_all_that_they_have,
    flights_are_joined_at_any_revision,
    connections_keep_their_snapshot,
    expired_buckets_are_scanned,
    expired_buckets_without_a_value_are_empty,
    forgotten_buckets_are_empty,
    blocks_are_taken_at_any_revision,
    blocks_are_vouched_for_at_any_revision,
    blocks_keep_the_revisions_that_follow_their_events,
)

WITH_FILES: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    files_are_believed_at_any_revision,
    files_keep_the_revisions_that_follow_their_events,
)
"""Those that only walks with column files find."""

OF_SHARED_SCANS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (scans_are_shared_at_any_revision,)
"""That only walks with charts find."""
