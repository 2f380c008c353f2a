"""A MongoDB server that does nothing: it answers every command at once, and stores only what is small.

It shows what a collector could do if the database cost nothing. Inserts are counted and forgotten, and so
are raises of revisions; a ``find`` finds nothing. ``python -m tests.benchmark.null_mongodb READY`` serves on
a free port, written to the file READY.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmark.processes import running, wait_until
from tests.fault.wire import Document, Message, read

_HELLO: Document = {
    "helloOk": True,
    "isWritablePrimary": True,
    "ismaster": True,
    "maxBsonObjectSize": 16 * 2**20,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "readOnly": False,
}
_SIZE = struct.Struct("<i")


@contextmanager
def null_mongodb(folder: Path) -> Iterator[str]:
    """Run it in a process of its own; yields its URL."""
    ready = folder / "null.ready"
    checkout = Path(__file__).resolve().parent.parent.parent
    command = [sys.executable, "-m", "tests.benchmark.null_mongodb", str(ready)]
    with running(command, folder / "null.log", checkout) as process:
        wait_until(ready.exists, process, folder / "null.log")
        yield f"mongodb://127.0.0.1:{ready.read_text()}"


def answer(message: Message) -> Document:
    """Return the answer to a command: success, with as little in it as drivers take."""
    name, body = message.name, message.body
    if name in ("hello", "isMaster", "ismaster"):
        return {**_HELLO, "localTime": datetime.now(UTC), "ok": 1.0}
    if name == "insert":
        return {"n": _count(message, "documents"), "ok": 1.0}
    if name in ("update", "delete"):
        count = _count(message, "updates" if name == "update" else "deletes")
        return {"n": count, "nModified": count, "ok": 1.0}
    if name in ("findAndModify", "findandmodify"):
        return {"value": None, "lastErrorObject": {"n": 0, "updatedExisting": False}, "ok": 1.0}
    if name in ("find", "aggregate", "listCollections", "listIndexes", "getMore"):
        space = f"{body.get('$db')}.{body.get(name) if isinstance(body.get(name), str) else name}"
        batch = "nextBatch" if name == "getMore" else "firstBatch"
        return {"cursor": {"id": 0, "ns": space, batch: []}, "ok": 1.0}
    if name == "buildInfo":
        return {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "ok": 1.0}
    return {"n": 0, "ok": 1.0}


def _count(message: Message, key: str) -> int:
    """Count the documents of a command, in its body or in a section of their own, by hopping over them."""
    if key in message.body:
        return len(message.body[key])
    rest, count = message.rest, 0
    place = rest.index(b"\0", 5) + 1  # the kind, the size, the key
    end = 1 + _SIZE.unpack_from(rest, 1)[0]
    while place < end:
        place += _SIZE.unpack_from(rest, place)[0]
        count += 1
    return count


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            message = await read(reader)
            writer.write(message.answer(answer(message)).encode())
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(ready: Path) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(_serve, "127.0.0.1", 0, limit=2**24)
    ready.with_suffix(".new").write_text(str(server.sockets[0].getsockname()[1]))
    ready.with_suffix(".new").rename(ready)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(Path(sys.argv[1])))
