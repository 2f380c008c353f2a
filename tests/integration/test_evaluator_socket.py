"""The evaluator over WebSockets: many requests on one socket, streams, live metrics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cube.model import instant
from cube.model.environment import DEFAULT
from tests.evaluator_running import DAY, Running, Socket, event, known_events, running

MINUTE = 60_000


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as running_:
        yield running_


async def test_metrics_end_with_a_message_of_the_stop(made: Running) -> None:
    await made.save(*known_events())
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test)", step=3.6e6, start=DAY - 1, stop=DAY + 1, id="a")
    assert await socket.some(3) == [
        {"time": "2011-07-17T23:00:00.000Z", "value": 82, "id": "a"},
        {"time": "2011-07-18T00:00:00.000Z", "value": 2418, "id": "a"},
        {"time": "2011-07-18T01:00:00.000Z", "id": "a"},
    ]
    await socket.ask(expression="2", step=3.6e6, start=DAY - 1, stop=DAY)
    assert await socket.some(2) == [
        {"time": "2011-07-17T23:00:00.000Z", "value": 2},
        {"time": "2011-07-18T00:00:00.000Z"},
    ]


@pytest.mark.parametrize(
    ("stop", "last"),
    [(instant.LATEST, "+010000-01-01T00:00:00.000Z"), (instant.EARLIEST, "0001-01-01T00:00:00.000Z")],
)
async def test_metrics_to_the_last_instant_end_with_a_message_too(
    made: Running, stop: int, last: str
) -> None:
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="2", step=10_000, start=stop, stop=stop)

    assert await socket.some(1) == [{"time": last}]


async def test_events_descend_to_their_end(made: Running) -> None:
    await made.save(event(DAY, {"v": 1}, "x"), event(DAY + 1, {"v": 2}))
    socket = await made.socket("/1.0/event/get")
    await socket.ask(expression="test(v)", start=DAY, stop=DAY + 10)
    assert await socket.some(3) == [
        {"time": "2011-07-18T00:00:00.001Z", "data": {"v": 2}},
        {"id": "x", "time": "2011-07-18T00:00:00.000Z", "data": {"v": 1}},
        None,
    ]
    await socket.ask(expression="test", start=DAY, stop=DAY + 10, id=5)
    assert await socket.some(3) == [
        {"time": "2011-07-18T00:00:00.001Z", "id": 5},
        {"time": "2011-07-18T00:00:00.000Z", "event": "x", "id": 5},
        {"id": 5, "end": True},
    ]


async def test_a_key_that_there_is_not_is_told_by_the_first_row_that_comes(made: Running) -> None:
    """No message of its own tells it: clients made for Square's Cube take each for a row."""
    await made.save(*(event(DAY + at) for at in (-MINUTE, 1 - MINUTE, 0, 1)))
    socket = await made.socket("/1.0/metric/get")
    span = {"start": DAY, "stop": DAY + 20_000}
    await socket.ask(expression="sum(test)", stpe=60_000, _=1, **span)
    (told, *others) = await socket.some(3)
    assert ([row["time"][14:19] for row in (told, *others)], told["value"]) == (
        ["00:00", "00:10", "00:20"],
        2,
    )
    (sentence,) = told["warnings"]
    assert sentence.startswith("There is no parameter stpe; there are expression, start, stop, step,")
    assert not any("warnings" in row for row in others)
    await socket.ask(expression="sum(test)", stpe=1, start=DAY + 20_000, stop=DAY + 20_000)
    assert [sorted(row) for row in await socket.some(1)] == [["time", "warnings"]]
    await socket.ask(expression="sum(none).group(v)", stpe=1, id=7)
    assert await socket.next() == {"live": True, "id": 7, "warnings": [sentence]}

    socket = await made.socket("/1.0/event/get")
    span["stop"] = DAY + 10
    await socket.ask(expression="test", limti=1, **span)
    first, second, end = await socket.some(3)
    assert (len(first["warnings"]), "warnings" in second, end) == (1, False, None)
    await socket.ask(expression="test", limti=1, start=DAY - 5, stop=DAY, id="a")
    assert sorted(await socket.next()) == ["end", "id", "warnings"]
    await socket.ask(expression="test", limti=1, start=DAY - 5, stop=DAY)
    assert await socket.next() is None
    await socket.ask(expression="test", limti=1, start=DAY - MINUTE, delay=0, late=5, id="b")
    assert ["warnings" in row for row in await socket.some(2)] == [True, False]


async def test_the_keys_that_there_are_are_told_of_by_no_warning(made: Running) -> None:
    await made.save(event(DAY, {"v": 1}))
    known = {"expression": "test", "start": DAY, "stop": DAY + 9, "limit": 2, "id": 1, "cancel": False}
    for path, more in {
        "metric": {"expression": "1", "step": 10_000, "timezone": "UTC", "week_start": "monday"},
        "event": {"ids": "all", "delay": 0, "late": 0, "after": ""},
    }.items():
        socket = await made.socket(f"/1.0/{path}/get")
        await socket.ask(**known | more)
        assert not any("warnings" in row for row in await socket.some(2)), path


async def test_types_are_an_array(made: Running) -> None:
    await made.save(event(DAY))
    socket = await made.socket("/1.0/types/get")
    await socket.ask()
    assert await socket.next() == ["test"]
    await socket.ask(id=1)
    assert await socket.next() == {"types": ["test"], "id": 1}


async def test_a_bad_message_is_answered_and_the_socket_lives_on(made: Running) -> None:
    socket = await made.socket("/1.0/metric/get")
    for message, part in (
        ("{", "JSON"),
        ("[]", "object"),
        ('{"expression":"sum("}', "xpected"),
        ("{}", "missing"),
    ):
        await socket.connection.write_message(message)
        answer = await socket.next()
        assert part in answer["error"]
        assert "id" not in answer
    await socket.ask(id={"any": "json"}, expression="sum(test)", step=7)
    assert (await socket.next())["id"] == {"any": "json"}
    await socket.ask(expression="1", start=DAY - 10_000, stop=DAY)
    assert (await socket.next())["value"] == 1


@pytest.mark.parametrize("stop", [{}, {"stop": DAY}], ids=["endless", "with stop"])
async def test_a_bad_pattern_is_refused_before_any_scan(made: Running, stop: dict[str, int]) -> None:
    await made.save(event(DAY - 1, {"a": "text"}))
    filter = 'or(eq(a,1),not(re(a,"(?=b)")))'
    for path, expression in (("metric", f"sum(test.{filter})"), ("event", f"test.{filter}")):
        socket = await made.socket(f"/1.0/{path}/get")
        await socket.ask(id=1, expression=expression, start=DAY - 10_000, **stop)
        refused = await socket.next()
        assert (refused["id"], refused["field"]) == (1, "expression")
        assert "accepted is RE2's syntax" in refused["error"]
        assert (made.seen.finds, made.seen.scans) == ([], [])
        good = "1" if path == "metric" else "test"
        await socket.ask(id=1, expression=good, start=DAY - 10_000, stop=DAY)
        assert "error" not in await socket.next()


async def test_an_id_that_is_running_is_refused_until_it_is_cancelled(made: Running) -> None:
    socket = await made.socket("/1.0/event/get")
    await socket.ask(expression="test", id=1)
    await socket.ask(expression="test", id=1)
    answer = await socket.next()
    assert "running already" in answer["error"]
    assert answer["id"] == 1
    await socket.ask(id=1, cancel=True)
    assert await socket.next() == {"id": 1, "end": True}
    await socket.ask(id=1, cancel=True)
    assert "error" in await socket.next()
    await socket.ask(expression="test", id=1, stop=DAY)
    assert await socket.next() == {"id": 1, "end": True}


async def test_many_requests_run_on_one_socket(made: Running) -> None:
    await made.save(*known_events())
    socket = await made.socket("/1.0/metric/get")
    for number in range(20):
        await socket.ask(expression=f"sum(test) + {number}", step=3.6e6, start=DAY, stop=DAY + 1, id=number)
    answers = await socket.some(40)
    assert {(row["id"], row["value"]) for row in answers if "value" in row} == {
        (n, 2418 + n) for n in range(20)
    }


async def test_more_requests_than_the_limit_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, requests=2) as made:
        socket = await made.socket("/1.0/event/get")
        for number in range(3):
            await socket.ask(expression="test", id=number)
        answer = await socket.next()
        assert answer["id"] == 2
        assert "2 requests" in answer["error"]


async def test_a_closed_socket_stops_its_work(made: Running) -> None:
    await made.save(*known_events())
    made.seen.gate.clear()
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test)", step=3.6e6, start=DAY, stop=DAY + 1)
    await made.seen.until_scans(1)
    await socket.close()
    await asyncio.wait_for(made.evaluator._services[DEFAULT].pyramid.close(), 5)
    assert made.seen.saved == []


async def streamed(made: Running, **request: object) -> Socket:
    """Begin a stream, and return when it has begun: the mark, an event that is due, has come."""
    await made.save(event(made.clock.now - 10_000, {"v": "mark"}))
    socket = await made.socket("/1.0/event/get")
    await socket.ask(expression="test(v)", start=made.clock.now - 10_000, **request)
    assert (await socket.next())["data"] == {"v": "mark"}
    return socket


async def test_a_stream_begins_with_the_latest_in_ascending_order(made: Running) -> None:
    await made.save(*(event(DAY - 9_000 + number, {"v": number}) for number in range(5)))
    socket = await made.socket("/1.0/event/get")
    await socket.ask(expression="test(v)", start=DAY - 20_000, limit=3)
    assert [row["data"]["v"] for row in await socket.some(3)] == [2, 3, 4]


async def test_events_come_once_they_are_due_in_the_order_of_their_times(made: Running) -> None:
    socket = await streamed(made)
    await made.save(event(DAY - 1000, {"v": 2}), event(DAY + 9_000, {"v": 4}))
    await made.save(event(DAY - 2000, {"v": 1}, "x"), event(DAY, {"v": 3}))
    made.clock.now = DAY + 5_001
    assert [await socket.next() for _ in range(3)] == [
        {"id": "x", "time": "2011-07-17T23:59:58.000Z", "data": {"v": 1}},
        {"time": "2011-07-17T23:59:59.000Z", "data": {"v": 2}},
        {"time": "2011-07-18T00:00:00.000Z", "data": {"v": 3}},
    ]
    made.clock.now = DAY + 15_000
    assert (await socket.next())["data"] == {"v": 4}


async def test_a_late_event_comes_once_and_out_of_order(made: Running) -> None:
    socket = await streamed(made, delay=0)
    await made.save(event(DAY - 1, {"v": 2}))
    assert (await socket.next())["data"] == {"v": 2}
    await made.save(event(DAY - 9_000, {"v": 1}))
    assert (await socket.next())["data"] == {"v": 1}
    await made.save(event(DAY - 8_999, {"v": 3}))
    assert (await socket.next())["data"] == {"v": 3}


async def test_an_event_later_than_late_does_not_come(made: Running) -> None:
    await made.save(event(DAY - 7_000_000, {"v": "first"}))
    socket = await made.socket("/1.0/event/get")
    await socket.ask(expression="test(v)", start=DAY - 9_000_000, delay=0, late=60_000)
    assert (await socket.next())["data"] == {"v": "first"}
    await made.save(event(DAY - 6_000_000, {"v": "too late"}))
    await made.save(event(DAY - 50_000, {"v": "late"}))
    assert (await socket.next())["data"] == {"v": "late"}


async def test_a_replaced_event_counts_as_new(made: Running) -> None:
    socket = await streamed(made, delay=0)
    await made.save(event(DAY - 5, {"v": 1}, "x"))
    assert (await socket.next())["data"] == {"v": 1}
    await made.save(event(DAY - 5, {"v": 2}, "x"))
    assert (await socket.next())["data"] == {"v": 2}


async def test_an_event_that_is_replaced_before_it_is_due_comes_once(made: Running) -> None:
    socket = await streamed(made)
    await made.save(event(DAY - 5, {"v": 1}, "x"))
    watcher = await made.socket("/1.0/event/get")
    await watcher.ask(expression="test(v)", start=DAY - 5, delay=0)
    assert (await watcher.next())["data"] == {"v": 1}
    await made.save(event(DAY - 4, {"v": 2}, "x"))
    assert (await watcher.next())["data"] == {"v": 2}
    made.clock.now = DAY + 6_000
    assert (await socket.next())["data"] == {"v": 2}


async def test_streams_of_one_expression_share_their_looks(made: Running) -> None:
    sockets = [await streamed(made, delay=0)]
    for delay in (0, 1, 2):
        socket = await made.socket("/1.0/event/get")
        await socket.ask(expression="test( v )", start=DAY - 10_000, delay=delay)
        assert (await socket.next())["data"] == {"v": "mark"}
        sockets.append(socket)
    made.seen.clear()
    await made.save(event(DAY - 10, {"v": "new"}))
    for socket in sockets:
        assert (await socket.next())["data"] == {"v": "new"}
    assert len(made.seen.scans) == 1


async def test_each_follower_keeps_its_own_start(made: Running) -> None:
    early = await streamed(made, delay=0)
    late = await made.socket("/1.0/event/get")
    await late.ask(expression="test(v)", start=DAY - 100, delay=0)
    await made.save(event(DAY - 200, {"v": 1}))
    assert (await early.next())["data"] == {"v": 1}
    await made.save(event(DAY - 50, {"v": 2}))
    assert (await early.next())["data"] == {"v": 2}
    assert (await late.next())["data"] == {"v": 2}


async def until_live(socket: Socket) -> list[dict[str, object]]:
    rows = []
    while not (row := await socket.next()).get("live"):
        rows.append(row)
    return rows


async def test_live_metrics_begin_with_all_buckets_up_to_the_open_one(made: Running) -> None:
    await made.save(event(DAY + 1, {"v": 1}))
    made.clock.now = DAY + MINUTE + 5
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test(v))", step=MINUTE, start=DAY, id=1)
    assert await until_live(socket) == [
        {"time": "2011-07-18T00:00:00.000Z", "value": 1, "id": 1},
        {"time": "2011-07-18T00:01:00.000Z", "value": 0, "id": 1},
    ]
    await made.save(event(DAY + 2, {"v": 1}))
    assert await socket.next() == {"time": "2011-07-18T00:00:00.000Z", "value": 2, "id": 1}
    made.clock.now = DAY + 2 * MINUTE
    assert await socket.next() == {"time": "2011-07-18T00:02:00.000Z", "value": 0, "id": 1}
    await socket.ask(id=1, cancel=True)
    assert await socket.next() == {"id": 1, "end": True}


async def test_days_of_a_zone_are_live_as_any_step_is(made: Running) -> None:
    """Midnight in Kathmandu is at 18:15 UTC."""
    midnight = DAY + (18 * 60 + 15) * MINUTE
    await made.save(event(midnight - 1), event(midnight))
    made.clock.now = midnight + MINUTE
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test)", step="1d", timezone="Asia/Kathmandu", start=DAY)
    assert await until_live(socket) == [
        {"time": "2011-07-17T18:15:00.000Z", "value": 1},
        {"time": "2011-07-18T18:15:00.000Z", "value": 1},
    ]
    await made.save(event(midnight + 2))
    assert await socket.next() == {"time": "2011-07-18T18:15:00.000Z", "value": 2}
    made.clock.now = midnight + 24 * 60 * MINUTE
    assert await socket.next() == {"time": "2011-07-19T18:15:00.000Z", "value": 0}


async def test_a_question_with_a_zone_ends_with_the_start_of_the_next_bucket(made: Running) -> None:
    await made.save(event(DAY))
    socket = await made.socket("/1.0/metric/get")
    month = {"step": "month", "timezone": "Europe/Berlin", "start": DAY, "stop": DAY + 1}
    await socket.ask(expression="sum(test)", **month)
    assert await socket.some(2) == [
        {"time": "2011-06-30T22:00:00.000Z", "value": 1},
        {"time": "2011-07-31T22:00:00.000Z"},
    ]


async def test_a_new_group_comes_with_all_its_buckets(made: Running) -> None:
    await made.save(event(DAY + 1, {"g": "a"}))
    made.clock.now = DAY + MINUTE + 5
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test).group(g)", step=MINUTE, start=DAY)
    assert [row["group"] for row in await until_live(socket)] == ["a", "a"]
    await made.save(event(DAY + MINUTE, {"g": True}))
    assert await socket.some(2) == [
        {"time": "2011-07-18T00:00:00.000Z", "value": 0, "group": True},
        {"time": "2011-07-18T00:01:00.000Z", "value": 1, "group": True},
    ]


async def test_a_group_whose_only_event_moves_to_another_one_is_removed(made: Running) -> None:
    await made.save(event(DAY + 1, {"g": "a"}, "x"), event(DAY + 2, {"g": "c"}))
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test).group(g)", step=MINUTE, start=DAY, id=1)
    assert [row["group"] for row in await until_live(socket)] == ["a", "c"]
    await made.save(event(DAY + 1, {"g": "b"}, "x"))
    assert await socket.some(2) == [
        {"time": "2011-07-18T00:00:00.000Z", "group": "a", "removed": True, "id": 1},
        {"time": "2011-07-18T00:00:00.000Z", "value": 1, "group": "b", "id": 1},
    ]


async def test_a_late_event_of_another_type_changes_which_groups_a_live_ranking_shows(made: Running) -> None:
    await made.save(event(DAY + 1, {"g": "a"}), event(DAY + 2, {"g": "b"}), event(DAY + 3, {"g": "b"}))
    await made.save(event(DAY, {"g": "a"}, type="paid"))
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test).group(g).top(1, sum(paid))", step=MINUTE, start=DAY)
    first, rest = await until_live(socket)
    time = {"time": "2011-07-18T00:00:00.000Z"}
    assert first == {**time, "value": 1, "group": "a"}
    assert rest == {**time, "value": 2, "group": "other", "other": True}
    await made.save(*(event(DAY + 5, {"g": "b"}, type="paid") for _ in range(2)))
    assert await socket.some(3) == [
        {**time, "group": "a", "removed": True},
        {**time, "value": 2, "group": "b"},
        {**time, "value": 1, "group": "other", "other": True},
    ]


async def test_a_new_bucket_comes_with_all_groups(made: Running) -> None:
    await made.save(event(DAY + 1, {"g": "a"}), event(DAY + 2, {"g": "b"}))
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test).group(g)", step=MINUTE, start=DAY)
    assert len(await until_live(socket)) == 2
    made.clock.now = DAY + MINUTE
    assert await socket.some(2) == [
        {"time": "2011-07-18T00:01:00.000Z", "value": 0, "group": "a"},
        {"time": "2011-07-18T00:01:00.000Z", "value": 0, "group": "b"},
    ]


async def test_a_clock_set_back_removes_the_buckets_that_are_to_come(made: Running) -> None:
    made.clock.now = DAY + 2 * MINUTE
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test)", step=MINUTE, limit=2)
    assert len(await until_live(socket)) == 2
    made.clock.now = DAY + MINUTE
    assert await socket.some(2) == [
        {"time": "2011-07-18T00:02:00.000Z", "removed": True},
        {"time": "2011-07-18T00:00:00.000Z", "value": 0},
    ]


async def test_a_live_query_reads_only_what_has_changed(made: Running) -> None:
    await made.save(*known_events())
    made.clock.now = DAY + 3_600_000 - 1
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression="sum(test(i))", step=MINUTE, start=DAY)
    assert len(await until_live(socket)) == 60
    made.seen.clear()
    await made.save(event(DAY + 5 * MINUTE + 500, {"i": 0.5}))
    assert (await socket.next())["time"] == "2011-07-18T00:05:00.000Z"
    assert [span.start for span in made.seen.scans] == [DAY + 5 * MINUTE]


@pytest.mark.parametrize(
    ("expression", "late", "values"),
    [
        ("shift(sum(test), 7d)", -7 * 24 * 60 * MINUTE, [1]),
        ("rolling(sum(test), 2h)", -120 * MINUTE, [1, 1]),
        ("rolling(sum(test), 2h)", -60 * MINUTE, [1, 1, 1]),
        ("cumulative(sum(test))", -MINUTE, [1, 1]),
        ("change(sum(test), 1d)", -24 * 60 * MINUTE, [-1]),
        ("fill(max(test(v)), previous)", -30 * MINUTE, [1, 1, 1]),
    ],
)
async def test_a_live_metric_shows_a_late_event_wherever_it_reaches(
    made: Running, expression: str, late: int, values: list[int]
) -> None:
    await made.save(event(DAY - 40 * 24 * 60 * MINUTE))  # the type is there
    made.clock.now = DAY + MINUTE - 1
    socket = await made.socket("/1.0/metric/get")
    await socket.ask(expression=expression, step=MINUTE, start=DAY - 2 * MINUTE)
    assert len(await until_live(socket)) == 3
    await made.save(event(DAY + late, {"v": 1}))
    assert [row["value"] for row in await socket.some(len(values))] == values


async def test_stopping_ends_streams_and_says_goodbye(made: Running) -> None:
    socket = await streamed(made)
    live = await made.socket("/1.0/metric/get")
    await live.ask(expression="1", step=MINUTE, start=DAY - MINUTE)
    await until_live(live)
    stopping = asyncio.create_task(made.evaluator.stop(5))
    await socket.until_closed()
    await live.until_closed()
    await stopping


async def test_messages_are_json_text(made: Running) -> None:
    socket = await made.socket("/1.0/types/get")
    await socket.ask()
    message = await socket.connection.read_message()
    assert isinstance(message, str | bytes)
    assert json.loads(message) == []
