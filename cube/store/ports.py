"""What a store must do.

The consistency promise that these ports carry together: a query whose `ReadSession` begins after
`EventStore.save` has returned counts every event saved. What the ports leave to their callers:

* a metric is saved with the revision that was read **before** the scan that made it;
* a coarse tier's revisions are read before the finer one's, in separate calls;
* revisions and cached metrics are both read after the query began, and never remembered from one
  query to the next.

All methods raise `Unavailable` when the store does not answer (connection refused, timed out, no
writable primary, disk full), and leave every other unexpected error as it is. Times are
milliseconds since 1970; spans given with a tier are aligned to it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cube.columns import PackedBlock
from cube.columns.block import Block
from cube.columns.values import Path
from cube.expression.nodes import EventExpression
from cube.model.event import Event, EventId
from cube.model.place import EventPlace
from cube.model.tier import Span, Tier
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions
from cube.store.equality import NOTHING_WANTED, FieldIndexes, Wanted
from cube.store.metric_ports import MetricStore
from cube.store.read_options import UNBOUNDED, ReadOptions
from cube.store.record_ports import BoardStore, DefinitionStore, DeletionStore, Names, ReportStore


@dataclass(frozen=True, slots=True)
class Revisions:
    """The revisions of one type, tier and span, as one read found them.

    ``numbers``: bucket start -> revision (never 0), for the buckets that have one.
    ``complete``: the marker: a bucket without a revision has no events, unless it is expired.
    ``expired_before``: buckets that start before it are not scanned; None if nothing expired.
    ``known``: whether the store holds a collection of events of this type at all.
    ``foreign``: other tools write events of this type beside Cube: nothing is skipped or cached.
    ``forgotten_before``: a bucket that starts before it may have no revision though it had events; never
    after ``expired_before``, None if nothing is forgotten.
    """

    numbers: BucketRevisions = NO_REVISIONS
    complete: bool = False
    expired_before: int | None = None
    known: bool = False
    foreign: bool = False
    forgotten_before: int | None = None


class PartEvents(NamedTuple):
    """Events in no order; ``ids``: those that Cube made, 12 bytes each, one behind the other."""

    block: Block
    ids: bytes


class StoredParts(Protocol):
    """The events of a span as one session sees them: in parts that never change, and the rest.

    ``keys``: by the number of each part what it is known by. One that has the same number and key in a later
    session has the same events. ``sizes``: how many events each has. ``has_rest``: whether there are others.
    """

    @property
    def keys(self) -> Mapping[int, Hashable]: ...
    @property
    def sizes(self) -> Mapping[int, int]: ...
    @property
    def has_rest(self) -> bool: ...

    async def read(self, fields: Sequence[str], numbers: Collection[int]) -> PartEvents:
        """Read the events of some parts, in no order."""

    async def rest(self, fields: Sequence[str]) -> PartEvents | None:
        """Read the events that are in no part, in no order; None where some have ids that clients gave."""


class ReadSession(Protocol):
    """One query's view of the events: it sees all that was acknowledged before it began.

    On SQLite one read transaction; on a MongoDB replica set one causally consistent session. Not
    safe for concurrent calls: a query that wants two scans at once opens two sessions.

    ``orders_ids``: whether a scan with ids has events of one time in the order of `id_key`, too.
    """

    @property
    def orders_ids(self) -> bool: ...

    async def types(self) -> list[str]:
        """Return the names of all types that have a collection of events, sorted."""

    async def revisions(self, type: str, tier: Tier, span: Span) -> Revisions:
        """Read the revisions of a cached tier's buckets in `span`, in one find."""

    def scan(
        self,
        type: str,
        span: Span,
        fields: Sequence[str] | None,
        *,
        ids: bool = False,
        newest_first: bool = False,
        wanted: Wanted = NOTHING_WANTED,
        after: EventPlace | None = None,
    ) -> AsyncGenerator[Block, None]:
        """Read the events of a span as blocks of bounded size, none of them empty, ordered by time.

        ``fields``: the top-level names of the data that are needed; a store may leave out the
        others; None is the whole data, () leaves all of it out. ``ids``: whether the blocks carry ids.
        ``newest_first`` turns the order, of the blocks and of the rows in each.
        ``wanted``: what filters that the caller applies ask for: a store that is faster so may leave out
        events that do not pass them. ``after``: a place in the span that a walk in this direction has come
        to: the store may leave out events of its time that are passed.
        An unknown type has no blocks.
        """

    def packed(
        self, type: str, span: Span, paths: Collection[Path]
    ) -> AsyncGenerator[Sequence[PackedBlock], None]:
        """Read the columns at some paths of a span's events, as blocks that `scan` would read.

        Yields those that were read in one piece of work, one at least: decoded, packed and let go of in one
        thread, while they are in the processor's caches.
        """

    async def stored_parts(self, type: str, span: Span) -> StoredParts | None:
        """Return in which parts the events of whole seconds are; None where that is not to be had."""

    async def indexed(self, type: str, span: Span, wanted: Wanted, most: int) -> int | None:
        """Count the events of a span that an index finds for ``wanted``, up to ``most``; None without one."""


class DeletedSlice(NamedTuple):
    """What one slice of a deletion did: how many events it deleted, or counted.

    ``following``: from which time on another slice has to go on; None where the span is done.
    """

    deleted: int
    following: int | None


class EventStore(Protocol):
    """The events and their revisions.

    ``takes_runs``: whether it stores the text of an `EventRun`, so that a run costs it less than its events.
    ``joins``: saves of so many events at most are joined to others that wait, and done in the order of their
    calls, so that none has to wait for the one before; 0: all have to.
    """

    @property
    def takes_runs(self) -> bool: ...

    @property
    def joins(self) -> int: ...

    async def save(self, type: str, events: Sequence[Event], *, more: bool = False) -> None:
        """Store events of one type durably and raise their buckets' revisions.

        ``more``: others may come before this one is done, so a store that ``joins`` may wait for them.

        When it returns, all are on disk and visible to every session that begins later. Of equal
        ids the last counts; an event whose id is stored already replaces it, across times too, and
        keeps the stored time if it is not `timed`. Collections and indexes appear on first use.

        Raises `InvalidEvent` (with ``index``), before anything is written, for an event older than
        the type's ``expired_before``. After any other error some of the events may be stored; then
        all buckets that the call touched have been raised, or will be by `sweep`; saving the
        same events again stores nothing twice.
        """

    def read(self, options: ReadOptions = UNBOUNDED) -> AbstractAsyncContextManager[ReadSession]:
        """Begin a query, on its reader's options.

        Raises `Unavailable` where the server gave up a read that took longer than they allow.
        """

    def version(self) -> int | None:
        """Return a number that is another one as soon as anybody has committed anything to the store.

        In microseconds, without waiting; None where that is not to be had. Of one process, which asks in one
        thread: those of two can not be compared.
        """

    async def build(self, type: str) -> None:
        """Raise the revisions of every bucket of a type that another tool filled, and mark it complete.

        All but those that end before ``expired_before``: their metrics could not be computed again.
        Repeatable, tolerant of concurrent saves; does nothing where the type is complete or foreign.
        """

    async def expire(self, type: str, before: int) -> None:
        """Advance the type's ``expired_before``, durably; it never goes back."""

    async def delete_events(self, type: str, before: int) -> int:
        """Delete the events older than `before` and than ``expired_before``; return how many.

        In slices, between which others get their turn. No revision is raised: what the cache has of
        an expired bucket goes on counting. Queries that began before the expiry must have ended.
        """

    async def delete(
        self, expression: EventExpression, span: Span, only: Collection[EventId] | None = None
    ) -> DeletedSlice:
        """Delete the first events that an expression selects in a span, and raise their buckets.

        When it returns, no session that begins later has them, and no cached metric that counted them is
        believed; after an error some may be deleted, and then their buckets have been raised, or will be by
        `sweep`. An event that was replaced meanwhile is deleted only where it is still selected as it is now.
        What is older than ``expired_before`` is left to `delete_events`. A slice takes some seconds at most,
        and others get their turn in between; the span is done once ``following`` is None.
        ``only``: of what is selected those with some ids.
        """

    async def revise(self, type: str, span: Span) -> None:
        """Raise every bucket of a span that has a revision or an event.

        For who has changed the events by another tool: whatever is cached of them is computed again. Buckets
        that end before ``expired_before`` are left as they are: nobody could compute their metrics again.
        """

    async def forget(self, type: str, before: int) -> None:
        """Advance ``forgotten_before``, up to ``expired_before`` at most, durably; it never goes back."""

    async def delete_revisions(self, type: str, before: int) -> None:
        """Delete the revisions of buckets that end before `before` and ``forgotten_before``, or some of them.

        Their metrics count no more. Queries that began before they were forgotten must have ended.
        """

    async def sweep(self) -> int:
        """Raise what the notes and intents of dead processes name; return how many were settled."""


class Store(Protocol):
    """One environment's database, opened."""

    @property
    def identity(self) -> str:
        """What tells this database from others at the same place: files about its events carry it."""

    @property
    def events(self) -> EventStore:
        """The events and their revisions."""

    @property
    def metrics(self) -> MetricStore:
        """The cache of metrics."""

    @property
    def names(self) -> Names:
        """The groups of names."""

    @property
    def boards(self) -> BoardStore:
        """The boards."""

    @property
    def definitions(self) -> DefinitionStore:
        """The expressions that have names."""

    @property
    def deletions(self) -> DeletionStore:
        """What was deleted by expressions."""

    @property
    def reports(self) -> ReportStore:
        """What its daemons tell of themselves."""

    @property
    def field_indexes(self) -> FieldIndexes:
        """The indexes on fields of its events."""

    async def ping(self) -> None:
        """Return if the store answers and can be read; raise `Unavailable` if not."""

    async def probe(self) -> None:
        """Write durably to a table of its own; raise `Unavailable` where that fails."""

    async def close(self) -> None:
        """Finish what was begun and release everything."""
