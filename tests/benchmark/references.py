"""The bare references: what the store can do with nothing of Cube around it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import tornado.web
from pymongo import MongoClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from tests.benchmark.load import event

ROWS = 1_000


def documents(batches: int, size: int = ROWS) -> list[list[dict[str, Any]]]:
    """Return batches of documents such as the collector stores, without ids."""
    made = []
    for batch in range(batches):
        events = [event(batch * size + offset) for offset in range(size)]
        made.append(
            [{"t": datetime.fromtimestamp(e["time"] / 1000, UTC), "d": e["data"]} for e in events]  # type: ignore[operator]  # a number
        )
    return made


def insert_many_rate(url: str, batches: int) -> float:
    """Insert batches of 1 000 with ``w: majority, j: true`` and a time index; return documents per second."""
    prepared = documents(batches)
    with MongoClient(url, w="majority", journal=True) as client:
        collection = client["bare"]["bare_events"]
        collection.drop()
        collection.create_index("t")
        start = time.perf_counter()
        for batch in prepared:
            collection.insert_many(batch, ordered=False)
        return batches * ROWS / (time.perf_counter() - start)


def find_rate(url: str, database: str, fields: list[str]) -> float:
    """Read every event's time and fields with a plain find; return documents per second."""
    with MongoClient(url) as client:
        collection = client[database]["request_events"]
        projection = {"t": 1, "_id": 0, **{f"d.{field}": 1 for field in fields}}
        start = time.perf_counter()
        count = sum(1 for _ in collection.find({}, projection).sort("t", 1))
        return count / (time.perf_counter() - start)


def sqlite_insert_rate(directory: Path, batches: int) -> float:
    """Insert JSON in transactions of 1 000, ``synchronous=FULL``, two indexes; return rows per second."""
    path = directory / f"bare-{time.monotonic_ns()}.db"
    rows = [
        [(f"{batch:06}{n:06}", event(n)["time"], json.dumps(event(n)["data"])) for n in range(ROWS)]
        for batch in range(batches)
    ]
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
            "CREATE TABLE e (id TEXT PRIMARY KEY, t INTEGER, d TEXT); CREATE INDEX et ON e (t);"
        )
        start = time.perf_counter()
        for batch in rows:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO e VALUES (?, ?, ?)", batch)
            connection.execute("COMMIT")
        return batches * ROWS / (time.perf_counter() - start)
    finally:
        connection.close()


def decode_seconds(texts: list[str]) -> float:
    """Decode JSON texts with msgspec into plain objects; the floor under any scan of them."""
    start = time.perf_counter()
    msgspec.json.decode("[" + ",".join(texts) + "]")
    return time.perf_counter() - start


class Nothing(tornado.web.RequestHandler):
    """Reads a body and answers ``{}``: Tornado with nothing behind it."""

    def post(self) -> None:
        """Answer."""
        self.finish({})


async def serve_nothing(ready: Path) -> None:
    """Serve `Nothing` on a free port, written to `ready`, until killed."""
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(tornado.web.Application([(r"/1.0/event", Nothing)]))
    server.add_sockets(sockets)
    ready.with_suffix(".new").write_text(str(sockets[0].getsockname()[1]))
    ready.with_suffix(".new").rename(ready)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import sys

    import uvloop

    uvloop.run(serve_nothing(Path(sys.argv[1])))
