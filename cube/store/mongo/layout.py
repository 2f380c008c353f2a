"""How everything is laid out in a database.

======================  ============================================================================
``<type>_events``       ``{_id, t, d}`` as in Square's Cube: ``_id`` an ObjectId (a made id) or the
                        client's; ``t`` the time as a date, indexed; ``d`` absent where the event
                        has no data; ``{"d.<field>": 1, t: 1}`` indexed where ``cube index`` was asked to
``<type>_revisions``    ``{_id: "state", complete, tiers, expired_before, forgotten_before}`` (see
                        `cube.model.tier.cached_steps`), and a document per tier and chunk:
                        ``{_id: "<step>:<chunk>", r: {"<place in it>": revision}}``
``<type>_metrics``      a document per key, tier and chunk: ``{_id: "<hash>:<step>:<chunk>", k: the
                        key in full, e: the chunk's end as a date, indexed, c: {"<place>": 8 bytes
                        revision, big-endian, then the content}}``
``cube_notes``          ``{_id: process, seen}`` for each writing process, and its notes:
                        ``{_id: "<process>:<type>:<hour>", process, type, hour}``
``cube_intents``        ``{_id, process, type, key, old, new}`` for each replacement in flight
``cube_names``          ``{_id: group, names}``, see `cube.store.mongo.store`
``cube_boards``         ``{_id: name, revision, saved, content, by, opened}``, see `cube.store.mongo.records`
``cube_definitions``    the same, of expressions that have names
``cube_deletions``      ``{_id, type, expression, start, stop, at, by, events}``, see `cube.model.deletion`;
                        ``{_id: "stamp:<type>", stamp}``, a number that each of them changes
``cube_daemons``        ``{_id: process, seen, content}``: what each daemon's process last told of itself;
                        removed by the server a day after ``seen``
``cube_format``         ``{_id: "format", version}``: of all of this, `FORMAT`
``cube_probe``          ``{_id, at}``: one document, which says when a collector last proved that it can write
======================  ============================================================================

All ``_id`` are scalar, so every collection shards by ``{_id: "hashed"}``. Whatever the URL says, reads
go to the primary, and all but the cache and ``cube_daemons`` is written with ``w: majority, j: true``; what
a query reads of events and revisions, on sets and clusters, a majority holds.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from bson import Timestamp
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from pymongo import ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from cube.model.tier import Span, Tier

Document: TypeAlias = dict[str, Any]

EVENTS_SUFFIX = "_events"
METRICS_SUFFIX = "_metrics"
STATE = "state"
FORMAT: Final = 1
"""Of all of this. A later one is refused; it rises whenever an older Cube would read wrong what is stored."""

MAJORITY_MILLISECONDS = 30_000
MILLISECONDS: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
"""Dates as `DatetimeMS`: a `datetime` does not reach as far."""

DURABLE = WriteConcern(w="majority", j=True, wtimeout=MAJORITY_MILLISECONDS)
_LOSABLE = WriteConcern(w=1)
_LOCAL = ReadConcern("local")
_MAJORITY = ReadConcern("majority")
"""With ``afterClusterTime``, which a causally consistent session adds, a server that was cut off from its set
cannot answer: what the majority holds does not advance there. With ``local`` it can."""


@dataclass(slots=True)
class ServerInfo:
    """What a server said of itself, once it was asked.

    ``sessions``: whether it has causally consistent sessions; none are used before it is known.
    ``unbuilt``: types whose revisions this process may not build; they are foreign to it.
    ``operation_time``, ``cluster_time``: the latest that a query of this process has seen; every later
    session begins there, so that no read is answered by a server that has not come as far.
    """

    known: bool = False
    sessions: bool = False
    unbuilt: set[str] = field(default_factory=set)
    operation_time: Timestamp | None = None
    cluster_time: Mapping[str, Any] | None = None

    def advance(self, session: Any) -> None:
        """Let a new session begin where the latest one had come."""
        if self.cluster_time is not None:
            session.advance_cluster_time(self.cluster_time)
        if self.operation_time is not None:
            session.advance_operation_time(self.operation_time)

    def follow(self, session: Any) -> None:
        """Note how far a session has come."""
        if session is None:
            return
        time, cluster = session.operation_time, session.cluster_time
        if time is not None and (self.operation_time is None or time > self.operation_time):
            self.operation_time = time
        known = self.cluster_time
        if cluster is not None and (known is None or cluster["clusterTime"] > known["clusterTime"]):
            self.cluster_time = cluster


@dataclass(frozen=True, slots=True)
class Layout:
    """One database's collections, each with its concerns.

    ``foreign``: the types that other tools write beside Cube.
    """

    client: Any
    database: AsyncDatabase[Document]
    foreign: Collection[str]
    server: ServerInfo

    def events(self, type: str, session: Any = None) -> AsyncCollection[Document]:
        """Return the collection of a type's events; in a session it is read as `_MAJORITY` says."""
        return self._collection(type + EVENTS_SUFFIX, DURABLE, session)

    def revisions(self, type: str, session: Any = None) -> AsyncCollection[Document]:
        """Return the collection of a type's state and revisions; the same."""
        return self._collection(f"{type}_revisions", DURABLE, session)

    def metrics(self, type: str) -> AsyncCollection[Document]:
        return self._collection(type + METRICS_SUFFIX, _LOSABLE)

    def daemons(self) -> AsyncCollection[Document]:
        return self._collection("cube_daemons", _LOSABLE)

    def own(self, name: str) -> AsyncCollection[Document]:
        """Return a collection that Cube has beside those of types, ``cube_<name>``."""
        return self._collection(f"cube_{name}", DURABLE)

    def _collection(self, name: str, concern: WriteConcern, session: Any = None) -> AsyncCollection[Document]:
        return self.database.get_collection(
            name,
            read_preference=ReadPreference.PRIMARY,
            write_concern=concern,
            read_concern=_LOCAL if session is None else _MAJORITY,
        )


def path_of(names: Sequence[str]) -> str:
    """Return the path of a field of the data in documents; none of its names may have to be escaped."""
    return ".".join(("d", *names))


def chunk_id(tier: Tier, chunk: int) -> str:
    """Return the ``_id`` of a chunk of revisions; a chunk of metrics has the key's hash before it."""
    return f"{tier.step}:{chunk}"


def chunk_end(tier: Tier, chunk: int) -> DatetimeMS:
    """Return the end of a chunk's last bucket, as a date."""
    return DatetimeMS(tier.chunk_start(chunk + 1))


def chunks(tier: Tier, span: Span) -> range:
    """Return the numbers of the chunks that hold the buckets of a span."""
    return range(tier.chunk(span.start), tier.chunk(span.stop - 1) + 1) if span else range(0)
