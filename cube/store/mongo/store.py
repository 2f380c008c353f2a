"""Opening a database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pymongo
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, DuplicateKeyError, PyMongoError

from cube.errors import InvalidSettings, Unavailable
from cube.store.mongo import revisions
from cube.store.mongo.calls import answered
from cube.store.mongo.events import MongoEvents
from cube.store.mongo.field_indexes import MongoFieldIndexes
from cube.store.mongo.layout import FORMAT, Document, Layout, ServerInfo
from cube.store.mongo.metrics import MongoMetrics
from cube.store.mongo.records import MongoDeletions, MongoNames, MongoTexts
from cube.store.mongo.reports import MongoReports
from cube.store.url import StoreUrl

Client: TypeAlias = AsyncMongoClient[Document]

LEASE_SECONDS = 300.0

LATE_SECONDS = 2.0
"""How long opening a database waits for a server that need not answer yet."""

GOODBYE_SECONDS = 0.4
"""How long a client that is closed says goodbye to its server."""

_PROBE = "probe"
PING_SECONDS = 5.0
"""How long an opening, and a ping, wait for the primary."""

_TIMEOUTS = {"serverSelectionTimeoutMS": 20_000, "connectTimeoutMS": 5_000, "socketTimeoutMS": 45_000}
"""An ordinary election takes up to 12 s (electionTimeoutMillis of 10 s, and the vote): it is waited for."""


class MongoStore:
    """A `Store` on one database of a MongoDB server, replica set or sharded cluster."""

    def __init__(self, layout: Layout, lease_seconds: float, *, owned: bool) -> None:
        self.identity = layout.database.name  # one of that name that is made anew has revisions of its own
        self.events = MongoEvents(layout, lease_seconds)
        self.metrics = MongoMetrics(layout)
        self.names = MongoNames(layout)
        self.boards = MongoTexts(layout, "board")
        self.definitions = MongoTexts(layout, "definition")
        self.deletions = MongoDeletions(layout)
        self.reports = MongoReports(layout, self.handshake)
        self.field_indexes = MongoFieldIndexes(layout)
        self._layout = layout
        self._owned = owned
        self._closed = False

    async def ping(self) -> None:
        await self.handshake()
        with _permitted("read"):
            async with answered(PING_SECONDS):
                await self._layout.own("probe").find_one({"_id": _PROBE})

    async def probe(self) -> None:
        await self.handshake()
        now = {"$set": {"at": DatetimeMS(time.time_ns() // 1_000_000)}}
        with _permitted("written to"):
            try:
                async with answered():
                    await self._layout.own("probe").update_one({"_id": _PROBE}, now, upsert=True)
            except DuplicateKeyError:  # two processes began it at once: it is there now
                async with answered():
                    await self._layout.own("probe").update_one({"_id": _PROBE}, now)

    async def handshake(self) -> None:
        """Ask the server what it is, once; raise `Unavailable` if it does not answer."""
        layout = self._layout
        if layout.server.known:
            return
        async with answered(PING_SECONDS):
            hello = await layout.client.get_database("admin").command("hello")
        await self._check_format()
        for name in layout.foreign:  # once they are that no longer their revisions are built
            if (await revisions.state(layout, name)).complete:
                await revisions.mark_complete(layout, name, complete=False)
        clustered = "setName" in hello or hello.get("msg") == "isdbgrid"
        layout.server.sessions = clustered and hello.get("logicalSessionTimeoutMinutes") is not None
        layout.server.known = True
        self.events.index_foreign()

    async def _check_format(self) -> None:
        """Refuse what a later Cube has stored."""
        async with answered(PING_SECONDS):
            found = await self._layout.own("format").find({"_id": "format"}).to_list(None)
        version = found[0]["version"] if found else FORMAT
        if version > FORMAT:
            raise InvalidSettings(
                f"The database {self._layout.database.name} was made by a later Cube (its format is"
                f" {version}, this one reads up to {FORMAT}): install that one, or choose another database."
            )

    async def close(self) -> None:
        """Finish what was begun and take the notes away; a client handed in is left open. Once is enough."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.events.close()
        except Unavailable:
            return  # a sweep settles the notes that could not be taken away
        finally:
            if self._owned:
                await disconnect(self._layout.client)


async def open_store(
    url: str,
    database: str,
    *,
    foreign: Collection[str] = (),
    client: Any = None,
    lease_seconds: float = LEASE_SECONDS,
    late: bool = False,
) -> MongoStore:
    """Open a database on the MongoDB at `url`, or through `client` (PyMongo's asynchronous one, or Motor's).

    ``foreign``: types that other tools write beside Cube. ``lease_seconds``: after how long without
    a sign a writing process counts as dead. ``late``: open it even while no MongoDB answers; then a
    `ping` has to succeed before anything is saved.

    Raises `Unavailable` if no MongoDB answers, `InvalidSettings` if the URL is not a MongoDB URL.
    """
    owned = client is None
    client = connect(url) if owned else client
    codec: CodecOptions[Document] = CodecOptions()
    layout = Layout(
        client=client,
        database=client.get_database(database, codec_options=codec),
        foreign=frozenset(foreign),
        server=ServerInfo(),
    )
    store = MongoStore(layout, lease_seconds, owned=owned)
    try:
        async with asyncio.timeout(LATE_SECONDS if late else None):
            await store.handshake()
    except InvalidSettings:
        if owned:
            await client.close()
        raise
    except (TimeoutError, Unavailable, PyMongoError) as error:
        if late and not isinstance(error, PyMongoError):
            return store
        if owned:
            await client.close()
        raise _refused(url, error) from None
    return store


def connect(url: str) -> Client:
    """Make a client, which connects when it is first used; raises `InvalidSettings` for a bad URL."""
    lower = url.lower()
    timeouts: dict[str, Any] = {name: ms for name, ms in _TIMEOUTS.items() if name.lower() not in lower}
    try:
        return AsyncMongoClient(url, **timeouts)
    except (
        ConfigurationError,
        ValueError,
    ):  # InvalidURI is a ConfigurationError; its text may hold a password
        raise InvalidSettings(
            f"Got the store URL {StoreUrl.shown(url)}; accepted is mongodb://HOST:PORT/?OPTIONS"
            " with user and password percent-encoded."
        ) from None


async def holds_anything(client: Client, databases: Collection[str]) -> bool:
    """Tell whether one of some databases has a collection."""
    async with answered():
        return any([await client.get_database(name).list_collection_names() for name in databases])


async def disconnect(client: Client) -> None:
    """Close a client; a server that does not answer its goodbye (``endSessions``) is not waited for."""
    with pymongo.timeout(GOODBYE_SECONDS):
        await client.close()


@contextmanager
def _permitted(what: str) -> Iterator[None]:
    """Raise `Unavailable` where the server answers, and refuses."""
    try:
        yield
    except PyMongoError as error:
        raise Unavailable(
            f"The MongoDB lets its database not be {what} ({type(error).__name__}): check the user's rights,"
            " and the server's disk and log."
        ) from error


def _refused(url: str, error: Exception) -> Unavailable:
    if isinstance(error, Unavailable):
        return Unavailable(
            f"No MongoDB answers at {StoreUrl.shown(url)}: start MongoDB, or use --store sqlite:DIRECTORY."
        )
    return Unavailable(
        f"The MongoDB at {StoreUrl.shown(url)} refused to open the database ({type(error).__name__}):"
        " check the user, its password and its rights."
    )
