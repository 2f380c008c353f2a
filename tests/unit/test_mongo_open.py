"""Opening a MongoDB store, and what it says when that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.exception
import pytest
from pymongo.asynchronous import srv_resolver
from pymongo.errors import AutoReconnect, BulkWriteError, CursorNotFound, NetworkTimeout, OperationFailure

from cube.errors import InvalidSettings, Unavailable
from cube.model.event import Event
from cube.store.mongo import open_store
from cube.store.mongo.calls import answered
from cube.store.mongo.faults import only_duplicates, unavailable
from tests.unit.mongo_support import sockets_dropped

__all__ = ["sockets_dropped"]

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # see sockets_dropped


async def test_no_server_says_what_to_do_and_keeps_the_password() -> None:
    with pytest.raises(Unavailable) as caught:
        await open_store("mongodb://me:secret@127.0.0.1:1/?serverSelectionTimeoutMS=100", "cube")

    assert caught.value.message == (
        "No MongoDB answers at mongodb://127.0.0.1:1/: start MongoDB, or use --store sqlite:DIRECTORY."
    )


@pytest.mark.parametrize("url", ["mongodb://me:sec/ret@host", "mongodb://host:port", "http://secret@host"])
async def test_a_url_that_is_none_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        await open_store(url, "cube")

    assert "sec" not in caught.value.message


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("x"),
        NetworkTimeout("x"),
        CursorNotFound("x", 43),
        OperationFailure("x", 10107),
        BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "x"}]}),
    ],
)
async def test_what_passes_by_itself_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable):
        async with answered():
            raise error


async def test_what_does_not_answer_in_time_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="did not answer within"):
        async with answered(0.01):
            await asyncio.Event().wait()


def test_other_failures_are_left_as_they_are() -> None:
    assert unavailable(OperationFailure("unknown operator", 168)) is None


def test_only_duplicates_of_ids_are_replaced() -> None:
    twin = {"index": 3, "code": 11000, "keyPattern": {"_id": 1}, "errmsg": ""}
    unique = {"index": 4, "code": 11000, "keyPattern": {"d.u": 1}, "errmsg": ""}
    assert only_duplicates(BulkWriteError({"writeErrors": [twin]})) == [3]
    assert only_duplicates(BulkWriteError({"writeErrors": [twin, unique]})) is None
    assert (
        only_duplicates(BulkWriteError({"writeErrors": [twin], "writeConcernErrors": [{"code": 64}]})) is None
    )


async def test_what_pymongo_gives_up_by_itself_is_an_absence_and_not_a_cancellation() -> None:
    given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    given_up.cancel()
    with pytest.raises(Unavailable, match="given up"):
        async with answered():
            await given_up


async def test_who_is_cancelled_while_waiting_for_the_server_stays_so() -> None:
    async def wait() -> None:
        async with answered():
            await asyncio.sleep(60)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await wait()


async def test_a_name_that_cannot_be_looked_up_is_a_store_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A store of mongodb+srv is opened late, so that a collector with a spool starts without DNS."""

    async def unanswered(*_: Any, **__: Any) -> None:
        raise dns.exception.Timeout

    monkeypatch.setattr(srv_resolver, "_resolve", unanswered)
    url = "mongodb+srv://user:secret@cluster.example.com/"
    with pytest.raises(Unavailable, match="No MongoDB answers at") as refused:
        await open_store(url, "test")
    assert "secret" not in refused.value.message
    store = await open_store(url, "test", late=True)
    with pytest.raises(Unavailable, match="cannot be looked up"):
        await store.ping()
    with pytest.raises(Unavailable, match="cannot be looked up"):
        await store.events.save("test", [Event("test", 0, "a")])
    await store.close()
