"""A server that speaks MongoDB's wire protocol as a mongos does, as far as `cube shard` can tell.

No sharded cluster is at hand where the tests run. This one holds no documents; it knows which
collections exist, which hold documents, their indexes and their shard keys, and refuses what the manual
says that a mongos refuses (https://www.mongodb.com/docs/manual/reference/command/shardCollection/).
"""

from __future__ import annotations

import asyncio
import struct
import threading
from typing import Any, Self

import bson

_HEADER = struct.Struct("<iiii")  # of every message: length, request id, response to, opcode
_OP_MSG, _OP_QUERY, _OP_REPLY = 2013, 2004, 1
_BODY_AT = 5  # of an OP_MSG: after the flags and the kind of its first section

_OF_THE_DRIVER = ("lsid", "maxTimeMS", "writeConcern")

Answer = dict[str, Any]


class Mongos:
    """Listens on a free port, in a thread of its own; a context manager.

    ``sent``: every command that changes something, as (database, command). ``filled``: collections that
    hold documents. ``capped``: capped ones. ``shard_keys``: by name. ``is_mongos``: else a lone server.
    """

    def __init__(self, *, is_mongos: bool = True) -> None:
        self.sent: list[tuple[str, Answer]] = []
        self.filled: set[str] = set()
        self.capped: set[str] = set()
        self.indexes: dict[str, list[Answer]] = {}
        self.shard_keys: dict[str, Answer] = {}
        self._is_mongos = is_mongos
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mongos")
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result()
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                length, request, _, opcode = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                writer.write(self._reply(request, opcode, await reader.readexactly(length - _HEADER.size)))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.close()
            self._tasks.discard(task)

    def _reply(self, request: int, opcode: int, body: bytes) -> bytes:
        if opcode == _OP_QUERY:  # the handshake of older habit: flags, name, skip, limit, query
            answer = bson.encode(self._hello())
            head, kind = struct.pack("<iqii", 8, 0, 0, 1), _OP_REPLY
        else:
            command: Answer = bson.decode(body[_BODY_AT:])
            answer = bson.encode(self._answer(command.pop("$db"), command))
            head, kind = struct.pack("<IB", 0, 0), _OP_MSG
        message = head + answer
        return _HEADER.pack(_HEADER.size + len(message), request, request, kind) + message

    def _hello(self) -> Answer:
        cluster = {"msg": "isdbgrid"} if self._is_mongos else {}
        return {
            "ok": 1.0,
            "isWritablePrimary": True,
            "helloOk": True,
            "maxBsonObjectSize": 2**24,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "minWireVersion": 0,
            "maxWireVersion": 21,
            **cluster,
        }

    def _answer(self, database: str, command: Answer) -> Answer:
        name = next(iter(command))
        answers = {
            "createIndexes": self._create_indexes,
            "drop": self._drop,
            "enableSharding": lambda *_: {"ok": 1.0},
            "find": self._find,
            "listCollections": self._list_collections,
            "shardCollection": self._shard,
        }
        if name in ("hello", "ismaster", "isMaster"):
            return self._hello()
        if name not in answers:
            return {"ok": 1.0}  # ping, endSessions
        if name not in ("find", "listCollections"):
            plain = {key: value for key, value in command.items() if key not in _OF_THE_DRIVER}
            self.sent.append((database, plain))
        return answers[name](database, command)

    def _create_indexes(self, database: str, command: Answer) -> Answer:
        self.indexes.setdefault(f"{database}.{command['createIndexes']}", []).extend(
            index["key"] for index in command["indexes"]
        )
        return {"ok": 1.0}

    def _drop(self, database: str, command: Answer) -> Answer:
        name = f"{database}.{command['drop']}"
        self.filled.discard(name)
        self.capped.discard(name)
        self.indexes.pop(name, None)
        return {"ok": 1.0}

    def _list_collections(self, database: str, command: Answer) -> Answer:
        name = command.get("filter", {}).get("name", "")
        capped = f"{database}.{name}" in self.capped
        found = [{"name": name, "type": "collection", "options": {"capped": True}}] if capped else []
        return _cursor(f"{database}.$cmd.listCollections", found)

    def _find(self, database: str, command: Answer) -> Answer:
        name = command["find"]
        if f"{database}.{name}" != "config.collections":
            return _cursor(f"{database}.{name}", [])
        key = self.shard_keys.get(command["filter"]["_id"])
        found = [] if key is None else [{"_id": command["filter"]["_id"], "key": key}]
        return _cursor("config.collections", found)

    def _shard(self, _: str, command: Answer) -> Answer:
        name, key = command["shardCollection"], command["key"]
        if self.shard_keys.get(name, key) != key:
            return _refused(23, "AlreadyInitialized", f"sharding already enabled for collection {name}")
        if name in self.capped:
            return _refused(72, "InvalidOptions", "can't shard a capped collection")
        if name in self.filled and key not in self.indexes.get(name, []):
            return _refused(
                72,
                "InvalidOptions",
                "Please create an index that starts with the proposed shard key before sharding it",
            )
        self.shard_keys[name] = key
        return {"ok": 1.0, "collectionsharded": name}


def _cursor(name: str, found: list[Answer]) -> Answer:
    return {"ok": 1.0, "cursor": {"id": 0, "ns": name, "firstBatch": found}}


def _refused(code: int, name: str, text: str) -> Answer:
    return {"ok": 0.0, "code": code, "codeName": name, "errmsg": text}
