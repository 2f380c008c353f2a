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

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeAlias

from cube.columns.block import Block
from cube.errors import Conflict
from cube.expression.nodes import EventExpression
from cube.model import instant
from cube.model.environment import Key
from cube.model.event import Event, EventId
from cube.model.tier import Span, Tier
from cube.store.deletion import DeletedSlice, DeletionStore
from cube.store.equality import NOTHING_WANTED, FieldIndexes, Wanted

TimeSlice: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""Waits for a time slice of the processor. What takes it (decoding, selecting, reducing) is done in short
pieces, each in a time slice of its own, so that queries share the processor as their reader wishes."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a reader grants a query.

    ``seconds``: how long a database server may work on one read of it; None does not bound it. How long the
    query waits is its caller's to bound. ``time_slice``: entered around each piece of work on events; unless
    given, nobody waits for anybody.
    """

    seconds: float | None = None
    time_slice: TimeSlice = nullcontext


UNBOUNDED = ReadOptions()

NO_REVISION: Final = 0
"""Of a board that must not be there yet."""

ANY_REVISION: Final = -1
"""Of a board that must be there, and may be any."""

FORGOTTEN_SECONDS: Final = 24 * 3600
"""What a process told of itself, and neither renewed nor removed, is forgotten after so long."""

MOST_REPORTS: Final = 1_000
"""So many of what processes told are read, the latest: those that end again and again may leave more."""


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

    numbers: Mapping[int, int] = field(default_factory=dict)
    complete: bool = False
    expired_before: int | None = None
    known: bool = False
    foreign: bool = False
    forgotten_before: int | None = None


class CachedBucket(NamedTuple):
    """One cached bucket: the revision it was computed at, and bytes that only its maker reads."""

    revision: int
    content: bytes


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a cached metric is a metric of.

    ``text``: the canonical text of the reduction. ``kind``: "value" or "partial".
    ``semantics``: the version of the rules that made it; another version is another key.
    """

    type: str
    text: str
    kind: str
    semantics: int


class MetricSave(NamedTuple):
    """Cached buckets of one key and tier that are to be kept."""

    key: CacheKey
    tier: Tier
    buckets: Mapping[int, CachedBucket]


class ReadSession(Protocol):
    """One query's view of the events: it sees all that was acknowledged before it began.

    On SQLite one read transaction; on a MongoDB replica set one causally consistent session. Not
    safe for concurrent calls: a query that wants two scans at once opens two sessions.
    """

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
    ) -> AsyncGenerator[Block, None]:
        """Read the events of a span as blocks of bounded size, none of them empty, ordered by time.

        ``fields``: the top-level names of the data that are needed; a store may leave out the
        others; None is the whole data, () leaves all of it out. ``ids``: whether the blocks carry ids.
        ``newest_first`` turns the order, of the blocks and of the rows in each.
        ``wanted``: what filters that the caller applies ask for: a store that is faster so may leave out
        events that do not pass them.
        An unknown type has no blocks.
        """

    async def indexed(self, type: str, span: Span, wanted: Wanted, most: int) -> int | None:
        """Count the events of a span that an index finds for ``wanted``, up to ``most``; None without one."""


class EventStore(Protocol):
    """The events and their revisions."""

    async def save(self, type: str, events: Sequence[Event]) -> None:
        """Store events of one type durably and raise their buckets' revisions.

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


class MetricStore(Protocol):
    """The cache of metrics. Losing it, or any part, costs time only."""

    async def read(self, key: CacheKey, tier: Tier, span: Span) -> Mapping[int, CachedBucket]:
        """Return the cached buckets of a span by bucket start, whatever their revisions; one find."""

    async def save(
        self,
        key: CacheKey,
        tier: Tier,
        buckets: Mapping[int, CachedBucket],
        time_slice: TimeSlice = nullcontext,
    ) -> None:
        """Merge buckets into what is there; a chunk that would be over 1 MB is left as it was.

        A store that does so with this process's processor does it in a time slice.
        """

    async def save_all(self, saves: Sequence[MetricSave], time_slice: TimeSlice = nullcontext) -> None:
        """Do several saves, each as `save` does, in one transaction, or in one write a type.

        No key and tier comes twice.
        """

    async def delete(self, before: int) -> int:
        """Delete all buckets, of every type, that end before `before`; return of how many chunks.

        In slices, between which others get their turn.
        """


class Names(Protocol):
    """Groups of names, each with a limit, that all processes of a database share."""

    async def claim(self, group: str, names: Sequence[str], limit: int) -> frozenset[str]:
        """Add names to a group, in order, while it has fewer than `limit`; return all that it has then.

        Durable, and never undone: a name that is in a group stays in it, and a full group stays full.
        """


@dataclass(frozen=True, slots=True)
class StoredText:
    """A text that is kept under a name: ``content`` is that of a `cube.model.board.Board`, or an expression.

    ``revision``: from 1 to 2**53 - 1; a random one for each save, so that a text that was deleted and made
    anew never has one that it had before. ``saved``: when, and ``by`` the id of the key that did; "" without
    one. ``opened``: about when it was looked at last.
    """

    name: str
    revision: int
    saved: int
    content: str
    by: str = ""
    opened: int = 0


StoredBoard: TypeAlias = StoredText

StoredDefinition: TypeAlias = StoredText
"""``content``: the expression as it was written."""


def text_conflict(what: str, name: str, present: StoredText | None) -> Conflict:
    """Make the error of a text that is not at the revision that was expected of it; ``what``: "board" …"""
    if present is None:
        error = Conflict(f"The {what} {name} is not there: read the list again, or make it.")
        error.details.update(revision=None, saved=None, by=None)
        return error
    saved = instant.format(present.saved)
    whose = f", saved at {saved}" + (f" with the key {present.by}" if present.by else "")
    error = Conflict(
        f"The {what} {name} is at revision {present.revision} now{whose}: read it, and change that."
    )
    error.details.update(revision=present.revision, saved=saved, by=present.by)
    return error


class TextStore(Protocol):
    """The boards, or the definitions, of an environment, each with a revision that a change has to know.

    ``expected``: the revision that the caller knows it by; `ANY_REVISION`: whatever it is, `NO_REVISION`: it
    must not be there. Where that is not so, `Conflict` is raised, which tells the present one (None: it is
    not there), and nothing is changed.
    """

    async def all(self) -> list[StoredText]:
        """Return all of them, by name."""

    async def find(self, name: str) -> StoredText | None:
        """Return one of them; None where there is none of that name."""

    async def save(self, text: StoredText, expected: int, most: int) -> None:
        """Store one durably; raises `InvalidRequest` for a new one where there are about ``most``."""

    async def delete(self, name: str, expected: int) -> None:
        """Remove one durably; what is not there is a `Conflict`."""

    async def note_opened(self, name: str, time: int) -> None:
        """Note when one was looked at, if it is there; its revision stays."""


BoardStore: TypeAlias = TextStore

DefinitionStore: TypeAlias = TextStore


@dataclass(frozen=True, slots=True)
class StoredReport:
    """What a daemon's process last told of itself: ``content`` is JSON text (`cube.process.status`).

    ``age_ms``: how long ago it was put, by the store's own clock; never negative.
    """

    process: str
    age_ms: int
    content: str


class ReportStore(Protocol):
    """What the processes of an environment's daemons tell of themselves. Losing it costs nothing but a view.

    A put is small, does not wait for writes of events, and need not outlive a crash of the store.
    """

    async def put(self, process: str, content: str) -> None:
        """Keep what a process tells, in place of what it told before; ``process``: letters, digits and -."""

    async def all(self) -> list[StoredReport]:
        """Return the latest `MOST_REPORTS` not removed and not `FORGOTTEN_SECONDS` old, by process."""

    async def remove(self, process: str) -> None:
        """Forget a process; one that is not known is no error."""

    async def versions(self) -> Mapping[str, str]:
        """Return the versions of what the store is made of, by name: of a driver, a library, a server."""


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


class KeyStore(Protocol):
    """The API keys that are managed beside the settings, see `cube.model.environment.Key`."""

    async def all(self) -> list[Key]:
        """Return all keys, ordered by environment and id."""

    async def were_added(self) -> bool:
        """Tell whether there has ever been one: then a lack of keys opens nothing."""

    async def add(self, key: Key) -> None:
        """Store a key durably; raises `InvalidRequest` where its environment has one of that id."""

    async def revoke(self, environment: str, id: str) -> bool:
        """Remove a key durably; tell whether it was there."""
