"""What daemons tell of themselves: ``cube_daemons``, a document for each process."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping

import pymongo
from bson.codec_options import CodecOptions

from cube.store.mongo.calls import answered
from cube.store.mongo.layout import Document, Layout
from cube.store.mongo.maintenance import ensure
from cube.store.record_ports import FORGOTTEN_SECONDS, MOST_REPORTS, StoredReport

_AWARE: CodecOptions[Document] = CodecOptions(tz_aware=True)
_EARLIEST = datetime.datetime.fromtimestamp(0, datetime.UTC)


class MongoReports:
    """A `ReportStore`: the server's clock says when a report was put, and how old it is.

    ``handshake``: asks the server what it is, once, before anything is written.
    """

    def __init__(self, layout: Layout, handshake: Callable[[], Awaitable[None]]) -> None:
        self._layout = layout
        self._handshake = handshake
        self._prepared = False

    async def put(self, process: str, content: str) -> None:
        await self._handshake()
        collection = self._layout.daemons()
        if not self._prepared:
            await ensure(collection, "seen", expire_seconds=FORGOTTEN_SECONDS)
            self._prepared = True
        change = {"$set": {"content": content}, "$currentDate": {"seen": True}}
        async with answered():
            await collection.update_one({"_id": process}, change, upsert=True)

    async def all(self) -> list[StoredReport]:
        """Read the documents and then the server's clock."""
        collection = self._layout.daemons().with_options(codec_options=_AWARE)
        async with answered():
            found = await collection.find({}, sort=[("seen", -1)], limit=MOST_REPORTS).to_list(None)
            hello = await self._layout.client.get_database("admin", _AWARE).command("hello")
        now = hello["localTime"].replace(tzinfo=datetime.UTC)
        ages = ((each, _age_ms(each.get("seen", _EARLIEST), now)) for each in found)
        reports = (
            StoredReport(str(each["_id"]), age, str(each["content"]))
            for each, age in ages
            if age < FORGOTTEN_SECONDS * 1000  # the server removes them once a minute
        )
        return sorted(reports, key=lambda report: report.process)

    async def remove(self, process: str) -> None:
        async with answered():
            await self._layout.daemons().delete_one({"_id": process})

    async def versions(self) -> Mapping[str, str]:
        """Return PyMongo's version, and the server's."""
        async with answered():
            told = await self._layout.client.get_database("admin").command("buildInfo")
        return {"pymongo": pymongo.version, "mongodb": str(told["version"])}


def _age_ms(seen: datetime.datetime, now: datetime.datetime) -> int:
    return max(0, round((now - seen).total_seconds() * 1000))
