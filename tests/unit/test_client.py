"""The client repeats what is safe to repeat, and raises what the daemons say."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cube.client import DatagramEmitter, Emitter, Evaluator, FoundEvent, Retries, SocketEmitter, identified
from cube.client.emitter import encode
from cube.errors import (
    AccessDenied,
    CubeError,
    InvalidEvent,
    InvalidExpression,
    InvalidRequest,
    InvalidSettings,
    NotFound,
    Overloaded,
    TooLarge,
    Unavailable,
)
from cube.model.event import ABSENT
from cube.model.tier import Metric
from tests.scripted_server import Script, free_port, ok, served

QUICK = Retries(attempts=2, pause_seconds=0.0)


def test_importing_the_client_loads_neither_numpy_nor_tornado() -> None:
    heavy = {"numpy", "tornado", "pymongo", "sqlite3", "pyarrow", "pandas", "polars", "multiprocessing"}
    code = f"import cube.client, sys; print(sorted({heavy} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"


def test_an_event_without_an_id_gets_one_and_one_with_an_id_keeps_it() -> None:
    assert identified({"type": "a", "id": 0}) == {"type": "a", "id": 0}
    first, second = identified({"type": "a"}), identified({"type": "a"})
    assert first["id"] != second["id"]


def test_events_go_in_batches_in_their_order() -> None:
    script = Script(ok({}), ok({}), ok({}))
    with served(script) as url, Emitter(url) as emitter:
        assert emitter.send({"type": "a", "id": i} for i in range(2_500)) == 2_500
    assert [len(body) for _, body in script.asked] == [1_000, 1_000, 500]
    assert [event["id"] for _, body in script.asked for event in body] == list(range(2_500))


def test_large_events_make_smaller_batches() -> None:
    script = Script(ok({}), ok({}))
    with served(script) as url, Emitter(url) as emitter:
        emitter.send({"type": "a", "data": "x" * 2_000_000} for _ in range(3))
    assert [len(body) for _, body in script.asked] == [2, 1]


def test_a_refused_batch_is_sent_again_with_the_same_ids() -> None:
    busy = (503, {"error": "The intake is full."}, {"Retry-After": "0"})
    script = Script(busy, busy, ok({}))
    with served(script) as url, Emitter(url, retries=Retries(2, 0.0)) as emitter:
        assert emitter.send([{"type": "a"}]) == 1
    ids = [body[0]["id"] for _, body in script.asked]
    assert len(ids) == 3
    assert len(set(ids)) == 1


def test_an_idle_connection_that_the_server_closed_is_opened_again() -> None:
    script = Script(ok({}), None, ok({}))
    with served(script) as url, Emitter(url, retries=Retries(0)) as emitter:
        emitter.send([{"type": "a", "id": 1}])
        emitter.send([{"type": "a", "id": 2}])
    assert [body[0]["id"] for _, body in script.asked] == [1, 2, 2]


@pytest.mark.parametrize("status", [404, 405])
def test_who_gives_the_address_of_the_other_daemon_is_told(status: int) -> None:
    asks: list[tuple[str, str, Callable[[str], object]]] = [
        ("collector", "evaluator", _sent),
        ("evaluator", "collector", _types),
    ]
    for wanted, other, ask in asks:
        script = Script((status, {"error": "Nothing."}, {}), ok({"info": {"title": f"Cube {other}"}}))
        with served(script) as url, pytest.raises(InvalidSettings) as caught:
            ask(url)
        assert f'{url}", the address of the {other}; accepted is that of the {wanted}' in str(caught.value)


def _sent(url: str) -> int:
    with Emitter(url) as emitter:
        return emitter.send([{"type": "a"}])


def _types(url: str) -> list[str]:
    with Evaluator(url) as evaluator:
        return evaluator.types()


@pytest.mark.parametrize("answer", [ok({"info": {"title": "Cube collector"}}), ok([]), (404, {}, {}), None])
def test_an_address_of_the_right_daemon_or_of_something_else_leaves_errors_as_they_are(
    answer: object,
) -> None:
    script = Script((404, {"error": "Nothing."}, {}), answer)
    with served(script) as url, Emitter(url) as emitter, pytest.raises(NotFound, match="Nothing"):
        emitter.send([{"type": "a"}])


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    broken = (200, b"[1,", {"Content-Length": "9"})
    script = Script(ok(["a"]), broken, ok(["b"]))
    with served(script) as url, Evaluator(url, retries=QUICK) as evaluator:
        assert [evaluator.types() for _ in range(2)] == [["a"], ["b"]]
    with (
        served(Script(broken)) as url,
        Evaluator(url, retries=Retries(0)) as evaluator,
        pytest.raises(Unavailable, match="Nothing answers"),
    ):
        evaluator.types()


def test_when_nothing_answers_the_error_says_what_to_do() -> None:
    emitter = Emitter(f"http://127.0.0.1:{free_port()}", retries=QUICK)
    with pytest.raises(
        Unavailable, match=r"Nothing answers at .* \(connection refused\); `cube serve` starts"
    ):
        emitter.send([{"type": "a"}])


def test_an_event_at_fault_is_counted_from_the_first_of_all() -> None:
    bad = (400, {"error": "Bad.", "index": 7, "field": "type"}, {})
    with served(Script(ok({}), bad)) as url, Emitter(url) as emitter, pytest.raises(InvalidEvent) as refused:
        emitter.send({"type": "a"} for _ in range(1_500))
    assert refused.value.message == "Bad."
    assert refused.value.details == {"index": 1_007, "field": "type"}


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_what_json_would_make_null_is_refused_with_its_place(value: float) -> None:
    with pytest.raises(InvalidEvent) as refused:
        encode({"type": "a", "data": {"none": None, "a": [1.5, value]}})
    assert refused.value.details["field"] == "data.a[1]"
    assert b"null" in encode({"type": "a", "data": {"none": None}})


def test_what_is_no_json_is_refused_here() -> None:
    with pytest.raises(InvalidEvent, match="The event cannot be written as JSON: ") as refused:
        Emitter("http://127.0.0.1:1").send([{"type": "a", "data": {1: object()}}])
    assert refused.value.details == {"index": 0}


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        ({"type": "a"}, "Got one event where several are sent; accepted is a list of them, such as [event]."),
        (["text"], 'Got "text" as an event; accepted is a mapping with a type.'),
        ([7], "Got 7 as an event; accepted is a mapping with a type."),
    ],
)
def test_what_is_no_list_of_events_is_named(events: Any, sentence: str) -> None:
    with pytest.raises(InvalidEvent) as refused:
        Emitter("http://127.0.0.1:1").send(events)
    assert refused.value.message == sentence


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (401, AccessDenied),
        (403, AccessDenied),
        (404, NotFound),
        (413, TooLarge),
        (429, Overloaded),
        (503, Unavailable),
        (500, CubeError),
        (502, CubeError),
    ],
)
def test_every_status_has_its_error(status: int, kind: type[CubeError]) -> None:
    with (
        served(Script((status, {"error": "So.", "field": "x"}, {"Retry-After": "9"}))) as url,
        Evaluator(url, retries=Retries(0)) as evaluator,
        pytest.raises(CubeError) as refused,
    ):
        evaluator.types()
    assert type(refused.value) is kind
    assert refused.value.message == "So."
    if isinstance(refused.value, Overloaded | Unavailable):
        assert refused.value.retry_after_seconds == 9


def test_an_error_in_an_expression_has_its_place() -> None:
    reply = (400, {"error": "Expected a ).", "line": 1, "column": 5}, {})
    with (
        served(Script(reply)) as url,
        Evaluator(url) as evaluator,
        pytest.raises(InvalidExpression) as refused,
    ):
        evaluator.metrics("sum(")
    assert (refused.value.line, refused.value.column) == (1, 5)


def test_a_page_of_a_proxy_is_an_error_with_its_status() -> None:
    with (
        served(Script((502, b"<html>Bad gateway", {}))) as url,
        Evaluator(url) as evaluator,
        pytest.raises(CubeError, match="The server answered 502"),
    ):
        evaluator.types()


def test_questions_pass_what_was_given_and_nothing_else() -> None:
    script = Script(ok([]), ok([]), ok(["a", "b"]))
    with served(script) as url, Evaluator(url) as evaluator:
        evaluator.metrics("sum(a) + 1", step=60_000, start=datetime(2011, 9, 12, tzinfo=UTC), stop=5)
        evaluator.events("a", limit=3, start="2011-09")
        assert evaluator.types() == ["a", "b"]
    assert [path for path, _ in script.asked] == [
        "/1.0/metric?expression=sum%28a%29+%2B+1&step=60000&start=2011-09-12T00%3A00%3A00.000Z&stop=5",
        "/1.0/event?expression=a&start=2011-09&limit=3",
        "/1.0/types",
    ]


def test_answers_are_values() -> None:
    time = "1970-01-01T00:00:00.001Z"
    metrics = [{"time": time, "value": 3, "group": False}, {"time": time}]
    events = [{"time": time, "id": 0, "data": None}, {"time": time}]
    with served(Script(ok(metrics), ok(events))) as url, Evaluator(url) as evaluator:
        assert evaluator.metrics("count(a).group(b)") == [Metric(1, 3, False), Metric(1, None, None)]
        assert evaluator.events("a(*)") == [FoundEvent(1, 0, None), FoundEvent(1, None, ABSENT)]


@pytest.mark.parametrize("url", ["", "127.0.0.1:1080", "ftp://a", "http://"])
def test_an_address_must_be_http(url: str) -> None:
    with pytest.raises(InvalidSettings, match="accepted is http://HOST:PORT"):
        Emitter(url)


def test_datagrams_carry_several_events() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        with DatagramEmitter(port=receiver.getsockname()[1]) as emitter:
            assert emitter.send({"type": "a", "id": i, "data": "x" * 400} for i in range(4)) == 4
            received = [json.loads(receiver.recv(65_536)) for _ in range(2)]
    assert [[event["id"] for event in events] for events in received] == [[0, 1, 2], [3]]


def test_an_event_that_no_datagram_carries_is_refused() -> None:
    with DatagramEmitter() as emitter, pytest.raises(TooLarge, match="a datagram carries 65505 at most"):
        emitter.send([{"type": "a", "data": "x" * 65_500}])


async def test_an_acknowledgement_swallows_no_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    acknowledged = loop.create_future()
    emitter = SocketEmitter()

    async def acknowledge(events: bytes) -> None:
        await acknowledged

    async def send_and_go_on() -> None:
        await emitter.send([{"type": "a"}])
        await loop.create_future()

    monkeypatch.setattr(emitter, "_acknowledged", acknowledge)
    task = asyncio.create_task(send_and_go_on())
    await asyncio.sleep(0.01)
    acknowledged.set_result(None)
    loop.call_soon(task.cancel)  # just behind what wakes the emitter
    done, _ = await asyncio.wait([task], timeout=5)
    assert done


async def test_a_socket_without_a_collector_says_what_to_do() -> None:
    emitter = SocketEmitter(f"http://127.0.0.1:{free_port()}", retries=QUICK)
    with pytest.raises(Unavailable, match="Nothing answers at ws://.*; `cube serve` starts both"):
        await emitter.send([{"type": "a"}])
