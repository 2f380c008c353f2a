"""A mongos over two shards before the tests' MongoDB: one may have no primary, or two of them.

Documents of ``<type>_events``, ``_revisions`` and ``_metrics`` are on the shard that their ``_id`` hashes to,
all others on the first, which is the database's primary shard. All are in the one server behind.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import bson
from bson import Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from tests.fault.commands import ANSWERED_BY_ALL, CommandProxy, error
from tests.fault.wire import Document, Message

SHARDS = frozenset(range(2))
_SHARDED = ("_events", "_revisions", "_metrics")
_OF_A_SET = (
    *("electionId", "hosts", "me", "passives", "primary", "secondary", "setName", "setVersion"),
    "topologyVersion",
)
_NO_PRIMARY = 133  # FailedToSatisfyReadPreference
_NO_PRIMARY_TEXT = 'Could not find host matching read preference { mode: "primary" } for set tests'


def shard_of(id: Any) -> int:
    """Return the shard of a document."""
    return zlib.crc32(bson.encode({"": id})) % len(SHARDS)


@dataclass(slots=True)
class _CutOff:
    """A primary that does not know yet that it is not one: it has what it had, and hears of nothing more."""

    collection: str
    since: Timestamp
    reads: int = field(default=0)


class Cluster(CommandProxy):
    """The router. ``lose_primary``: a shard has none. ``cut_off``: a collection is read from an old one, too.

    The old primary answers what it can of the reads of queries, which are those of causally consistent
    sessions: every one but a read with ``majority`` after a time that it has not reached, which a real one
    would wait for until the router finds the new primary. Whoever writes has found that already.
    """

    def __init__(self, target_port: int, target_url: str) -> None:
        super().__init__(target_port)
        self._url = target_url
        self._old: _CutOff | None = None
        self._lost: int | None = None

    @property
    def stale_reads(self) -> int:
        """How many reads the old primary has answered."""
        return 0 if self._old is None else self._old.reads

    def lose_primary(self, shard: int) -> None:
        """From now on a shard has no primary: the router answers in its place, as a mongos does."""
        self._lost = shard

    def cut_off(self, database: str, collection: str) -> None:
        """From now on a collection may be read from the primary that it had until now."""
        with MongoClient[Document](self._url) as client:
            since = client.admin.command("hello")["operationTime"]  # first: it has all up to then
            found = list(client[database][collection].find())
            client.drop_database(_old(database))
            if found:
                client[_old(database)][collection].insert_many(found)
        self._old = _CutOff(collection, since)

    def well(self) -> None:
        self._lost = self._old = None
        super().well()

    def described(self, answer: Document) -> None:
        for name in _OF_A_SET:
            answer.pop(name, None)
        answer |= {"msg": "isdbgrid", "isWritablePrimary": True, "ismaster": True}

    def route(self, message: Message) -> None:
        old = self._old
        if old is None or message.name != "find" or message.collection != old.collection:
            return
        concern = message.body.get("readConcern", {})
        after = concern.get("afterClusterTime")
        if after is None or (concern.get("level") == "majority" and after > old.since):
            return
        old.reads += 1
        message.body["$db"] = _old(message.database)
        message.body.pop("lsid", None)
        message.body.pop("$clusterTime", None)
        message.body["readConcern"] = {"level": "local"}

    async def forward(
        self, message: Message, answers: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> Message:
        lost = self._lost
        if lost is None or message.name in ANSWERED_BY_ALL:
            return await super().forward(message, answers, back)
        if message.name in ("insert", "update", "delete"):
            return await self._write(message, lost, answers, back)
        if lost in _shards(message):
            return message.answer(error(_NO_PRIMARY, "FailedToSatisfyReadPreference", text=_NO_PRIMARY_TEXT))
        return await super().forward(message, answers, back)

    async def _write(
        self, message: Message, lost: int, answers: asyncio.StreamReader, back: asyncio.StreamWriter
    ) -> Message:
        """Have done what the other shard can do; after one that fails, an ordered write ends."""
        statements = message.statements()
        failing = [place for place, one in enumerate(statements) if lost in _shards_of(message, one)]
        ordered = message.body.get("ordered", True)
        going = [place for place in range(len(statements)) if place not in failing]
        if ordered and failing:
            going, failing = list(range(failing[0])), failing[:1]
        answer = message.answer({"ok": 1.0, "n": 0, "nModified": 0})
        if going:
            some = message.with_statements([statements[place] for place in going])
            answer = await super().forward(some, answers, back)
        for one in (*answer.body.get("writeErrors", ()), *answer.body.get("upserted", ())):
            one["index"] = going[one["index"]]
        if not (ordered and answer.body.get("writeErrors")):
            failures = [
                {"index": place, "code": _NO_PRIMARY, "errmsg": _NO_PRIMARY_TEXT} for place in failing
            ]
            answer.body["writeErrors"] = [*answer.body.get("writeErrors", ()), *failures]
        return answer


def _shards(message: Message) -> Collection[int]:
    """Return the shards that a command other than a write has to reach."""
    if message.name == "getMore":  # its cursor is open
        return ()
    if not message.collection.endswith(_SHARDED):
        return (0,)
    query = message.body.get("filter") or message.body.get("query") or {}
    return set(_ids(query.get("_id")))


def _shards_of(message: Message, statement: bytes) -> Collection[int]:
    if not message.collection.endswith(_SHARDED):
        return (0,)
    one = RawBSONDocument(statement)
    return (shard_of(one["_id"]),) if message.name == "insert" else set(_ids(one["q"].get("_id")))


def _ids(wanted: Any) -> Iterator[int]:
    """Yield the shards of a condition on ``_id``: all of them but for one id or a list of ids."""
    match wanted:
        case {"$in": [*ids]}:
            yield from map(shard_of, ids)
        case None | dict() | RawBSONDocument():
            yield from SHARDS
        case id:
            yield shard_of(id)


def _old(database: str) -> str:
    return f"{database}_old"
