"""How everything is laid out in a database.

======================  ============================================================================
``<type>_events``       ``{_id, t, d}`` as in Square's Cube: ``_id`` an ObjectId (a made id) or the
                        client's; ``t`` the time as a date, indexed; ``d`` absent where the event
                        has no data
``<type>_revisions``    ``{_id: "state", complete, expired_before, forgotten_before}``, and a document
                        per tier and chunk: ``{_id: "<step>:<chunk>", r: {"<place in it>": revision}}``
``<type>_metrics``      a document per key, tier and chunk: ``{_id: "<hash>:<step>:<chunk>", k: the
                        key in full, e: the chunk's end as a date, indexed, c: {"<place>": 8 bytes
                        revision, big-endian, then the content}}``
``cube_notes``          ``{_id: process, seen}`` for each writing process, and its notes:
                        ``{_id: "<process>:<type>:<hour>", process, type, hour}``
``cube_intents``        ``{_id, process, type, key, old, new}`` for each replacement in flight
``cube_names``          ``{_id: group, names}``, see `cube.mongo.names`
======================  ============================================================================

All ``_id`` are scalar, so every collection shards by ``{_id: "hashed"}``. Whatever the URL says, reads
go to the primary, and all but the cache is written with ``w: majority, j: true``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pymongo import ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from cube.span import Span
from cube.tier import CHUNK_BUCKETS, Tier

Document: TypeAlias = dict[str, Any]

EVENTS_SUFFIX = "_events"
METRICS_SUFFIX = "_metrics"
STATE = "state"
MAJORITY_MILLISECONDS = 30_000
MILLISECONDS: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
"""Dates as `DatetimeMS`: a `datetime` does not reach as far."""

DURABLE = WriteConcern(w="majority", j=True, wtimeout=MAJORITY_MILLISECONDS)
_CACHE = WriteConcern(w=1)


@dataclass(slots=True)
class Server:
    """What a server said of itself, once it was asked.

    ``sessions``: whether it has causally consistent sessions; none are used before it is known.
    """

    known: bool = False
    sessions: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """One database's collections, each with its concerns.

    ``foreign``: the types that other tools write beside Cube.
    """

    client: Any
    database: AsyncDatabase[Document]
    foreign: Collection[str]
    server: Server

    def events(self, type: str) -> AsyncCollection[Document]:
        """Return the collection of a type's events."""
        return self._collection(type + EVENTS_SUFFIX, DURABLE)

    def revisions(self, type: str) -> AsyncCollection[Document]:
        """Return the collection of a type's state and revisions."""
        return self._collection(f"{type}_revisions", DURABLE)

    def metrics(self, type: str) -> AsyncCollection[Document]:
        """Return the collection of a type's cached metrics."""
        return self._collection(type + METRICS_SUFFIX, _CACHE)

    @property
    def notes(self) -> AsyncCollection[Document]:
        """The collection of processes and their notes."""
        return self._collection("cube_notes", DURABLE)

    @property
    def intents(self) -> AsyncCollection[Document]:
        """The collection of replacements in flight."""
        return self._collection("cube_intents", DURABLE)

    @property
    def names(self) -> AsyncCollection[Document]:
        """The collection of groups of names."""
        return self._collection("cube_names", DURABLE)

    def _collection(self, name: str, concern: WriteConcern) -> AsyncCollection[Document]:
        return self.database.get_collection(
            name,
            read_preference=ReadPreference.PRIMARY,
            write_concern=concern,
            read_concern=ReadConcern("local"),
        )


def chunk_id(tier: Tier, chunk: int) -> str:
    """Return the ``_id`` of a chunk of revisions; a chunk of metrics has the key's hash before it."""
    return f"{tier.step}:{chunk}"


def chunk_end(tier: Tier, chunk: int) -> DatetimeMS:
    """Return the end of a chunk's last bucket, as a date."""
    return DatetimeMS(tier.chunk_start(chunk + 1))


def chunks(tier: Tier, span: Span) -> range:
    """Return the numbers of the chunks that hold the buckets of a span."""
    return range(tier.chunk(span.start), tier.chunk(span.stop - 1) + 1) if span else range(0)


def place(tier: Tier, bucket: int) -> tuple[int, int]:
    """Return a bucket's chunk and its place in the chunk."""
    return divmod((bucket - tier.origin) // tier.step, CHUNK_BUCKETS)


def by_chunk(tier: Tier, buckets: Iterable[int]) -> dict[int, list[int]]:
    """Sort buckets into their chunks: chunk -> places."""
    sorted_in: dict[int, list[int]] = {}
    for bucket in buckets:
        chunk, index = place(tier, bucket)
        sorted_in.setdefault(chunk, []).append(index)
    return sorted_in
