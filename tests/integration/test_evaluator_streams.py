"""Streams beside each other: nobody ends, or holds up, what others follow, however large the past is."""

from __future__ import annotations

from typing import Any

import pytest

from cube.store import mongo
from evaluator.scheduling import scheduler
from evaluator.streams import subscriber
from tests.evaluator_running import DAY, Running, Socket, Start, event, running_on, start
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server", "start"]

MINUTE, HOUR = 60_000, 3_600_000


async def follow(made: Running, **asked: Any) -> Socket:
    """Ask for a stream from ten seconds ago on."""
    socket = await made.socket("/1.0/event/get")
    await socket.ask(**{"expression": "test(v)", "start": made.clock.now - 10_000, "delay": 0, **asked})
    return socket


async def shown(socket: Socket) -> Any:
    return (await socket.next())["data"]["v"]


async def test_who_asks_too_much_is_refused_and_nobody_else(start: Start) -> None:
    async with start(answer_bytes=3_000) as made:
        await made.save(*(event(DAY - HOUR + number, {"v": "x" * 100}) for number in range(40)))
        await made.save(event(DAY - 1_000, {"v": "mark"}))
        others = [await follow(made) for _ in range(2)]
        assert [await shown(other) for other in others] == ["mark", "mark"]
        large = await follow(made, start=DAY - 2 * HOUR, id="large")
        refused = await large.next()
        assert (refused["id"], "3000 bytes" in refused["error"]) == ("large", True)
        await made.save(event(DAY - 500, {"v": "new"}))
        assert [await shown(other) for other in others] == ["new", "new"]
        await large.ask(expression="test(v)", start=DAY - 10_000, delay=0, limit=1, id="large")
        assert (await large.next())["data"]["v"] == "new"


async def test_a_crowded_moment_is_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    async with start(scans_waiting=0) as made:
        await made.save(event(DAY - 1_000, {"v": "mark"}))
        other = await follow(made)
        assert await shown(other) == "mark"
        with monkeypatch.context() as crowded:
            crowded.setattr(scheduler, "QUICK_SECONDS", -1.0)  # every query is a long one, and none may wait
            await made.save(event(DAY - 500, {"v": "new"}))
            newcomer = await follow(made)
            made.seen.clear()
            await made.seen.until_finds(4)  # both have tried, and try again
        assert await shown(other) == "new"
        assert [await shown(newcomer) for _ in range(2)] == ["mark", "new"]


async def test_a_stream_begins_before_the_past_is_taken_in(start: Start) -> None:
    async with start(query_seconds=2) as made:
        await made.save(*(event(DAY - number * 10_000, {"v": number}) for number in range(2, 300)))
        await made.save(event(DAY - 5, {"v": "mark"}, "x"))
        made.seen.holds = lambda span: span.start < DAY - MINUTE and span.stop < DAY - 20_000
        made.seen.gate.clear()  # as if the past took forever: longer than any query may
        socket = await follow(made, start=DAY - 2 * HOUR, limit=1)
        assert await shown(socket) == "mark"
        for number in range(3):
            await made.save(event(DAY - 4, {"v": number}))
            assert await shown(socket) == number
        await made.seen.until_scans(len(made.seen.scans) + 2)  # it is tried again, forever
        await made.save(event(DAY - 3, {"v": "last"}))
        assert await shown(socket) == "last"


async def test_a_late_event_comes_once_though_the_past_was_still_to_be_taken_in(start: Start) -> None:
    async with start() as made:
        await made.save(*(event(DAY - number * 10_000, {"v": number}) for number in range(300, 0, -1)))
        made.seen.holds = lambda span: span.stop < DAY - MINUTE
        made.seen.gate.clear()
        socket = await follow(made, start=DAY - 2 * HOUR)
        assert [await shown(socket) for _ in range(300)] == list(range(300, 0, -1))
        await made.save(event(DAY - 10 * MINUTE + 1, {"v": "late"}))
        await made.save(event(DAY - 1, {"v": "new"}))
        assert await shown(socket) == "new"
        made.seen.gate.set()
        assert await shown(socket) == "late"
        await made.save(event(DAY - 20 * MINUTE + 1, {"v": "later"}), event(DAY - 2, {"v": "last"}))
        assert {await shown(socket) for _ in range(2)} == {"later", "last"}


async def test_a_newcomer_holds_up_no_follower(start: Start) -> None:
    async with start() as made:
        await made.save(event(DAY - 5 * HOUR, {"v": "old"}), event(DAY - 5, {"v": "mark"}))
        socket = await follow(made)
        assert await shown(socket) == "mark"
        made.seen.holds = lambda span: span.start == DAY - 6 * HOUR
        made.seen.gate.clear()
        newcomer = await follow(made, start=DAY - 6 * HOUR)
        for number in range(3):
            await made.save(event(DAY - 4 - number, {"v": number}))
            assert await shown(socket) == number
        made.seen.gate.set()
        got = [await shown(newcomer) for _ in range(5)]
        assert got[0] == "old"
        assert sorted(map(str, got[1:])) == ["0", "1", "2", "mark"]


async def test_what_is_not_yet_due_does_not_count_as_unread(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriber, "WAITING_EVENTS", 20)
    async with start() as made:
        await made.save(event(DAY - 2 * HOUR, {"v": "mark"}))
        socket = await follow(made, start=DAY - 2 * HOUR, delay=HOUR, limit=1)
        assert await shown(socket) == "mark"
        for some in range(0, 60, 15):
            await made.save(*(event(DAY + some + number, {"v": some + number}) for number in range(15)))
        watcher = await follow(made, start=DAY, limit=1)
        made.clock.now = DAY + 1_000
        await made.save(event(DAY + 500, {"v": "seen"}))
        while await shown(watcher) != "seen":
            continue
        for number in range(60):
            made.clock.now = DAY + HOUR + number + 1
            assert await shown(socket) == number


@pytest.mark.parametrize("hidden", [{"w": 1}, {"v": "x", "w": {"deep": [1]}}])
async def test_a_replacement_of_what_is_not_shown_counts_as_new(start: Start, hidden: dict[str, Any]) -> None:
    async with start() as made:
        await made.save(event(DAY - 5, {"v": "x", "w": 0}, "id"))
        sockets = [await follow(made), await follow(made, expression="test(v).ge(w, 0)")]
        assert [await shown(socket) for socket in sockets] == ["x", "x"]
        await made.save(event(DAY - 5, {"v": "x", "w": 2, "more": hidden}, "id"))
        assert [await shown(socket) for socket in sockets] == ["x", "x"]
        await made.save(event(DAY - 5, {"v": "x", "w": 0}, "id"))
        assert [await shown(socket) for socket in sockets] == ["x", "x"]


async def test_a_stream_of_a_type_that_other_tools_write_misses_nothing_and_repeats_nothing(
    mongo_server: MongoServer,
) -> None:
    name = mongo_server.database()
    async with running_on(await mongo.open_store(mongo_server.url, name, foreign=["test"])) as made:
        await made.save(event(DAY - 30_000, {"v": "first"}), event(DAY - 1, {"v": "mark"}))
        sockets = [await follow(made, start=DAY - HOUR), await follow(made, delay=5_000)]
        assert [await shown(sockets[0]) for _ in range(2)] == ["first", "mark"]
        made.clock.now = DAY + 5_000
        assert await shown(sockets[1]) == "mark"
        for number in range(3):
            await made.save(event(DAY - 20_000 - number, {"v": number}))
            assert await shown(sockets[0]) == number
        await made.save(event(DAY - 2, {"v": "last"}, "x"))
        assert [await shown(socket) for socket in sockets] == ["last", "last"]
    mongo_server.forget(name)
