"""One commit: a batch of events of one type on its way into the database.

Its order is the promise: notes (left by the caller), one unordered insert, then the revisions of all
touched buckets, finest tier first, and only then the acknowledgement.

Where ids are stored already, their events are replaced, across times. An intent (the old and the new time)
is made durable; the document is exchanged where its time is still the old one, else it begins again; both
times are raised, together with those of every other open intent of that id; the intent is closed. The other
intents are read *after* the exchange: that of the exchange which ours came after is either seen, or closed,
and so raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bson import Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from pymongo import DeleteMany, ReplaceOne
from pymongo.errors import BulkWriteError

from cube.errors import Unavailable
from cube.model import instant
from cube.model.event import Event, id_key
from cube.store.mongo import revisions
from cube.store.mongo.calls import fetched, storing, written
from cube.store.mongo.documents import encode, stored_id
from cube.store.mongo.faults import only_duplicates
from cube.store.mongo.insertion import differing, insert
from cube.store.mongo.layout import MILLISECONDS, Document, Layout
from cube.store.mongo.maintenance import ensure

ATTEMPTS = 100
_SLICE = 1_000


class Commit:
    """Events of one type; of equal ids the last counts.

    ``expired_before``: the type's when the commit began.
    ``touched``: every time that the commit may have changed; it grows before each write.
    ``opened``: the intents to close when all that is raised.
    """

    def __init__(
        self,
        layout: Layout,
        intents: Intents,
        type: str,
        events: Sequence[Event],
        expired_before: int | None,
    ) -> None:
        self.type = type
        self.expired_before = expired_before
        self.touched = {event.time for event in events}
        self.opened: list[object] = []
        self._layout = layout
        self._intents = intents
        self._latest = list({event.id: event for event in events}.values())

    async def write(self, process: str) -> None:
        """Store all events; intents have the name `process`."""
        duplicates, repeated = await insert(self._layout, self.type, self._latest)
        if duplicates and repeated:
            duplicates = await self._intents.without_own(self, duplicates)
        if duplicates:
            await self._intents.replace(self, duplicates, process)

    async def settle(self) -> None:
        """Raise what was touched, then close the intents."""
        await revisions.raise_times(self._layout, self.type, self.touched)
        await self._intents.close(self.opened)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One event in place of what is stored under its id; ``old`` is that document's raw time.

    ``expired_before``: a time before it is not kept: such an event is as good as gone.
    """

    event: Event
    old: Any
    expired_before: int | None

    @property
    def times(self) -> tuple[int | None, int]:
        """The stored time (None where it is not a date in reach) and the event's, once exchanged."""
        milliseconds = int(self.old) if isinstance(self.old, DatetimeMS) else None
        if milliseconds is None or not instant.EARLIEST <= milliseconds <= instant.LATEST:
            return None, self.event.time
        is_expired = self.expired_before is not None and milliseconds < self.expired_before
        return milliseconds, self.event.time if self.event.timed or is_expired else milliseconds

    @property
    def filter(self) -> Document:
        """What the stored document must still be; a missing time matches null."""
        return {"_id": stored_id(self.event.id), "t": self.old}

    @property
    def replacement(self) -> Document:
        """The event's document at its time; the id stays as it is stored."""
        document = {**encode(self.event), "t": DatetimeMS(self.times[1])}
        del document["_id"]
        return document


class Intents:
    """The replacements in flight, of all processes."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._documents = layout.own("intents")
        self._indexed = False

    async def replace(self, commit: Commit, events: Sequence[Event], process: str) -> None:
        """Put each event in the place of what is stored under its id, and tell `commit` what that touched.

        Raises `Unavailable` if other writers keep changing one of the ids.
        """
        await self._index()
        for some in _sliced(events):
            await self._replace(commit, some, process)

    async def without_own(self, commit: Commit, events: Sequence[Event]) -> list[Event]:
        """Return those of some duplicates that the first try of an insert has not stored.

        The others are stored as they would be replaced, and confirmed by the second try. Whoever exchanged
        one of them before may have that still to raise.
        """
        await self._index()
        others: list[Event] = []
        for some in _sliced(events):
            others += await differing(self._layout, commit.type, some)
            await self._touch_open(commit, some)
        return others

    async def all(self) -> list[Document]:
        return await fetched(self._documents.find({}))

    async def close(self, ids: Iterable[object]) -> None:
        """Close intents whose times have been raised."""
        for some in _sliced(list(ids)):
            async with written():
                await self._documents.bulk_write([DeleteMany({"_id": {"$in": some}})])

    async def _replace(self, commit: Commit, events: Sequence[Event], process: str) -> None:
        left = list(events)
        for _ in range(ATTEMPTS):
            stored = await self._stored(commit.type, left)
            gone = [event for event in left if stored_id(event.id) not in stored]
            found = [event for event in left if stored_id(event.id) in stored]
            exchanges = [
                _Exchange(event, stored[stored_id(event.id)], commit.expired_before) for event in found
            ]
            await self._open(commit, exchanges, process)
            left = (await insert(self._layout, commit.type, gone)).duplicates
            left += await self._exchange(commit.type, exchanges)
            if not left:
                break
        else:
            raise Unavailable(f"Other writers kept changing {len(left)} of the ids of this batch.")
        await self._touch_open(commit, events)

    async def _index(self) -> None:
        if not self._indexed:
            await ensure(self._documents, "key")
            self._indexed = True

    async def _touch_open(self, commit: Commit, events: Sequence[Event]) -> None:
        """Tell `commit` what the open intents of some ids touch."""
        keys = [_key(commit.type, event) for event in events]
        commit.touched.update(times_of(await fetched(self._documents.find({"key": {"$in": keys}}))))

    async def _stored(self, type: str, events: Sequence[Event]) -> dict[Any, Any]:
        """Return the raw times (None: missing) stored under the ids of events.

        To the server ids are equal by the collection's collation, and whatever their kind of number: an
        event may stand under an id that is another one to us.
        """
        collection = self._layout.events(type).with_options(codec_options=MILLISECONDS)
        ids = [stored_id(event.id) for event in events]
        found = await fetched(collection.find({"_id": {"$in": ids}}, {"t": 1}))
        ours = [document for document in found if isinstance(document["_id"], (ObjectId, int, float, str))]
        times = {document["_id"]: document.get("t") for document in ours}
        if len(ours) == len(found) and times.keys() <= set(ids):
            return times
        for id in [id for id in ids if id not in times]:
            alike = await fetched(collection.find({"_id": id}, {"t": 1}, limit=1))
            times.update((id, document.get("t")) for document in alike)
        return times

    async def _open(self, commit: Commit, exchanges: Sequence[_Exchange], process: str) -> None:
        if not exchanges:
            return
        documents = [_intent(commit.type, exchange, process) for exchange in exchanges]
        commit.opened += [document["_id"] for document in documents]
        commit.touched.update(times_of(documents))
        try:
            async with written():
                await self._documents.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            # Their ids are new: what is there already is their own first try, whose reply was lost.
            if only_duplicates(error) is None:
                raise

    async def _exchange(self, type: str, exchanges: Sequence[_Exchange]) -> list[Event]:
        """Exchange documents; return the events whose stored documents had changed meanwhile.

        If one bulk does not match all, nobody tells which it did: then one by one, which puts those
        that matched in their places once more.
        """
        collection = self._layout.events(type)
        if len(exchanges) > 1:
            changes = [ReplaceOne(exchange.filter, exchange.replacement) for exchange in exchanges]
            async with storing([exchange.event for exchange in exchanges]):
                result = await collection.bulk_write(changes, ordered=False)
            if result.matched_count == len(exchanges):
                return []
        changed: list[Event] = []
        for exchange in exchanges:
            async with storing([exchange.event]):
                before = await collection.find_one_and_replace(exchange.filter, exchange.replacement)
            if before is None:
                changed.append(exchange.event)
        return changed


def _intent(type: str, exchange: _Exchange, process: str) -> Document:
    old, new = exchange.times
    return {
        "_id": ObjectId(),
        "process": process,
        "type": type,
        "key": _key(type, exchange.event),
        "old": None if old is None else Int64(old),
        "new": Int64(new),
    }


def _key(type: str, event: Event) -> str:
    """Return a short scalar text for a type and an id; two ids under one key raise too much only."""
    return hashlib.sha256(repr((type, id_key(event.id))).encode()).hexdigest()[:32]


def times_of(intents: Iterable[Document]) -> Iterator[int]:
    """Return the times, old and new, that some intents name."""
    for intent in intents:
        if intent["old"] is not None:
            yield int(intent["old"])
        yield int(intent["new"])


def _sliced(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for position in range(0, len(items), _SLICE):
        yield items[position : position + _SLICE]
