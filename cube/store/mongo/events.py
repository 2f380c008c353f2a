"""The events and their revisions: a port on MongoDB."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, PyMongoError

from cube.errors import CubeError, InvalidEvent, Unavailable
from cube.expression.nodes import EventExpression
from cube.model.event import Event, EventId
from cube.model.horizon import refuse_expired
from cube.model.tier import Span
from cube.store.mongo import maintenance, revisions
from cube.store.mongo.calls import OPERATION_SECONDS, RejectedEvent, answered
from cube.store.mongo.commit import Commit, Intents
from cube.store.mongo.documents import event_id
from cube.store.mongo.faults import is_unauthorized, refused
from cube.store.mongo.layout import Layout
from cube.store.mongo.notes import Notes, UnsettledCommits, raise_noted, sweep
from cube.store.mongo.removal import DocumentRemoval, select
from cube.store.mongo.session import MongoSession
from cube.store.mongo.throttled_log import ThrottledLog
from cube.store.ports import DeletedSlice
from cube.store.read_options import UNBOUNDED, ReadOptions
from cube.store.selected_places import SLICE_EVENTS, SLICE_SECONDS, live_span

CLOSE_SECONDS = 0.4
"""How long each part of a close waits for the server: it is the last of a stop's time."""

_log = logging.getLogger(__name__)


class MongoEvents:
    """An `EventStore` for any number of processes on one database."""

    takes_runs: Final = False  # documents are made of values
    joins: Final = 0

    def __init__(self, layout: Layout, lease_seconds: float) -> None:
        self._layout = layout
        self._notes = Notes(layout, lease_seconds)
        self._intents = Intents(layout)
        self._unsettled = UnsettledCommits()
        self._begun: set[str] = set()
        self._settling: set[asyncio.Task[None]] = set()
        self._indexing: set[asyncio.Task[None]] = set()
        self._errors = ThrottledLog(_log)

    def version(self) -> int | None:
        """Return None: only the server would know."""
        return None

    async def save(self, type: str, events: Sequence[Event], *, more: bool = False) -> None:
        """Store events of one type durably and raise their buckets' revisions.

        Raises `InvalidEvent` for an event that MongoDB refuses for its own sake, or that has expired,
        and `Unavailable` for all else that keeps them from being stored: then they are to be kept.
        """
        if not events:
            return
        try:
            await self._save(type, events)
        except RejectedEvent as error:
            place = max(place for place, event in enumerate(events) if event is error.event)
            raise InvalidEvent(f"MongoDB refuses the event: {error.reason}.").at(place) from error
        except Unavailable as error:
            if is_unauthorized(error):
                self._errors.error(error.message)
            raise
        except (PyMongoError, BSONError) as error:
            refusal = Unavailable(refused(error))
            self._errors.error(f"{type}: {refusal.message}")
            raise refusal from error

    async def _save(self, type: str, events: Sequence[Event]) -> None:
        state = await revisions.state(self._layout, type)
        refuse_expired(type, (event.time for event in events), state.expired_before)
        if type not in self._begun:
            is_indexed = await maintenance.begin(self._layout, type, state)
            self._begun.add(type)
            if not is_indexed:
                self._index(type)
        commit = Commit(self._layout, self._intents, type, events, state.expired_before)
        async with self._notes.held(type, commit.touched):
            await self._commit(commit)

    @asynccontextmanager
    async def read(self, options: ReadOptions = UNBOUNDED) -> AsyncIterator[MongoSession]:
        layout, session = self._layout, None
        if layout.server.sessions:
            session = layout.client.start_session(causal_consistency=True)
            if inspect.isawaitable(session):  # Motor's is, PyMongo's is not
                async with answered():
                    session = await session
        try:
            if session is not None:
                layout.server.advance(session)
            yield MongoSession(layout, session, options)
        finally:
            if session is not None:
                await session.end_session()

    def index_foreign(self) -> None:
        """See to the time index of each type that other tools write."""
        for type in self._layout.foreign:
            self._index(type)

    async def build(self, type: str) -> None:
        """Raise the revisions of a type that another tool filled, and mark it complete.

        Where this process may not write, the type counts as foreign to it: nothing is cached.
        """
        try:
            await maintenance.build(self._layout, type)
        except Unavailable as error:
            if not is_unauthorized(error):
                raise
            self._layout.server.unbuilt.add(type)
            self._errors.error(f"The revisions of type {type} cannot be built: {error.message}")

    async def expire(self, type: str, before: int) -> None:
        await revisions.advance(self._layout, type, "expired_before", before)

    async def delete_events(self, type: str, before: int) -> int:
        """Delete a type's expired events older than `before`, in slices of time."""
        return await maintenance.delete_events(self._layout, type, before)

    async def delete(
        self, expression: EventExpression, span: Span, only: Collection[EventId] | None = None
    ) -> DeletedSlice:
        """Delete documents that are still what the expression selected, and raise as a save does.

        Raises `Unavailable` for whatever keeps the server from it.
        """
        try:
            return await self._delete(expression, span, only)
        except (PyMongoError, BSONError) as error:
            refusal = Unavailable(refused(error, "delete events"))
            self._errors.error(f"{expression.type}: {refusal.message}")
            raise refusal from error

    async def _delete(
        self, expression: EventExpression, span: Span, only: Collection[EventId] | None
    ) -> DeletedSlice:
        expired_before = (await revisions.state(self._layout, expression.type)).expired_before
        span = live_span(span, expired_before)
        deleted, deadline = 0, time.monotonic() + SLICE_SECONDS
        async with self.read() as session, aclosing(select(session, expression, span)) as selections:
            async for documents, last in selections:
                if only is not None:
                    documents = [one for one in documents if event_id(one["_id"]) in only]
                if documents:
                    removal = DocumentRemoval(self._layout, expression, documents)
                    async with self._notes.held(expression.type, removal.touched):
                        await self._commit(removal)
                    deleted += removal.deleted
                    if removal.deleted < len(documents):  # others were changed meanwhile: look again
                        return DeletedSlice(deleted, int(documents[0]["t"]))
                is_late = last > span.start and time.monotonic() > deadline
                if is_late or deleted >= SLICE_EVENTS:
                    return DeletedSlice(deleted, last)
        await raise_noted(self._layout, self._notes, self._intents, self._unsettled, expression.type, span)
        return DeletedSlice(deleted, None)

    async def revise(self, type: str, span: Span) -> None:
        if await revisions.exists(self._layout, type):
            await maintenance.raise_all(self._layout, type, span)

    async def forget(self, type: str, before: int) -> None:
        expired_before = (await revisions.state(self._layout, type)).expired_before
        if expired_before is not None:
            await revisions.advance(self._layout, type, "forgotten_before", min(before, expired_before))

    async def delete_revisions(self, type: str, before: int) -> None:
        """Delete a type's forgotten revisions, as whole chunks that end before `before`."""
        await maintenance.delete_revisions(self._layout, type, before)

    async def sweep(self) -> int:
        """Raise what dead processes, and failed commits of this one, left; drop idle notes."""
        settled = await sweep(self._layout, self._notes, self._intents, self._unsettled)
        await self._notes.drop_idle(self._unsettled.hours())
        return settled

    async def close(self) -> None:
        """Finish what was begun, and take the notes away unless a commit is unsettled.

        A server that is away holds nobody up: what its notes name is raised by another process's sweep.
        """
        for task in self._indexing:  # the server goes on with a build that has begun
            task.cancel()
        if self._settling:
            await asyncio.wait(self._settling, timeout=CLOSE_SECONDS)
        for task in self._settling:
            task.cancel()
        if not self._unsettled:
            async with answered(CLOSE_SECONDS):
                await self._notes.close()

    def _index(self, type: str) -> None:
        """Build a type's time index beside its saves and scans, which do without it until then."""
        task = asyncio.create_task(self._build_index(type))
        self._indexing.add(task)
        task.add_done_callback(self._indexing.discard)

    async def _build_index(self, type: str) -> None:
        try:
            await maintenance.index(self._layout, type)
        except (Unavailable, PyMongoError) as error:
            self._begun.discard(type)  # the next save tries again
            reason = error.message if isinstance(error, Unavailable) else error.__class__.__name__
            self._errors.error(f"{type}_events has no index on t yet, so its scans read all of it: {reason}")

    async def _commit(self, commit: Commit | DocumentRemoval) -> None:
        """Write and raise; after any failure, a cancellation included, raise before it is reported.

        An insert that seemed to fail may still land: so sweeps raise it until it cannot.
        """
        try:
            await commit.write(self._notes.process)
            await commit.settle()
        except BaseException as error:
            is_answered = isinstance(error, RejectedEvent | BulkWriteError)  # what failed cannot land yet
            pending_seconds = 0.0 if is_answered else OPERATION_SECONDS
            self._unsettled.add(commit.type, commit.touched, commit.opened, pending_seconds=pending_seconds)
            task = asyncio.create_task(_settle(commit))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)
            await asyncio.shield(task)
            raise


async def _settle(commit: Commit | DocumentRemoval) -> None:
    try:
        await commit.settle()
    except (CubeError, PyMongoError) as error:
        _log.warning(
            "raising after a failed write of %s failed as well; a sweep will: %s", commit.type, error
        )
