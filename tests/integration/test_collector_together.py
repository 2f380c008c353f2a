"""Lone events that come at the same time are stored together, and each client is answered for itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.ingest.batch import Batch, BatchLimits
from collector.ingest.plain import decode_each
from collector.ingest.together import batches_together
from collector.protocols import native
from cube.errors import InvalidEvent, Unavailable
from cube.model.environment import DEFAULT, Environment, Key, Scope
from cube.settings import CollectorSettings
from cube.web.gathering import MOST
from tests.authenticators import key
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import Connection, connection, head

CLIENTS = 12
LIMITS = BatchLimits(event_bytes=10_000, events=10)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many events each batch had that was made of several requests."""
    found: list[int] = []

    def noted(
        bodies: Sequence[bytes], limits: BatchLimits, now: int
    ) -> Iterator[tuple[Sequence[int], Batch]]:
        for places, batch in batches_together(bodies, limits, now):
            found.append(len(places))
            yield places, batch

    monkeypatch.setattr(native, "batches_together", noted)
    return found


def request(body: bytes, **headers: str) -> bytes:
    told = {"Host": "localhost", **headers, "Content-Length": str(len(body))}
    return head("POST", "/1.0/event", told) + body


def _with_keys(*keys: Key) -> CollectorSettings:
    environments = (Environment(DEFAULT, "test", open=True),)
    return replace(CollectorSettings(), environments=environments, keys=keys, udp_trusted=True)


async def at_once(
    stage: Stage, bodies: Sequence[bytes], headers: Sequence[dict[str, str]] | None = None
) -> list[tuple[int, Any]]:
    """Send each body on a connection of its own, whose head is known, all before any is read."""
    own = list(headers or [{}] * len(bodies))
    async with AsyncExitStack() as stack:
        clients: list[Connection] = []
        for one in own:
            client = await stack.enter_async_context(connection(stage.port))
            client.send(request(b'{"type":"warm"}', **one))
            assert (await client.answer()).status == 200
            clients.append(client)
        for client, body, one in zip(clients, bodies, own, strict=True):
            client.send(request(body, **one))
        answers = [await client.answer() for client in clients]
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)
    return [(answer.status, answer.json) for answer in answers]


async def test_events_that_come_at_the_same_time_are_stored_together(
    stage: Stage, together: list[int]
) -> None:
    bodies = [b'{"type":"a","data":{"n":%d}}' % number for number in range(CLIENTS)]
    answers = await at_once(stage, bodies)

    assert answers == [(200, {})] * CLIENTS
    assert max(together) > 1
    stored = await stage.stored("a")
    assert sorted(data["n"] for _, _, data in stored) == list(range(CLIENTS))
    assert {time for time, _, _ in stored} == {NOW}
    assert (
        stage.figure("cube_http_requests_total", route="/1.0/event", method="POST", status="200")
        == 2 * CLIENTS
    )


async def test_of_more_than_are_begun_together_each_is_answered(stage: Stage, together: list[int]) -> None:
    many = MOST + 10
    answers = await at_once(stage, [b'{"type":"a","id":%d}' % number for number in range(many)])

    assert answers == [(200, {})] * many
    assert max(together) <= MOST
    assert len(await stage.stored("a")) == many


WRONG = (
    (b'{"type":"a","time":"yesterday"}', "time"),
    (b'{"type":"A b"}', "type"),
    (b'{"type":"a","data":{"":1}}', None),
    (b'{"type":"a","data":{"n":', None),
    (b'{"type":"a","data":"', None),
    (b'"},{"type":"a"}', None),
    (b'[{"type":"a"},{"type":"b","id":[]}]', "id"),
    (b'{"type":"a"} {"type":"b"', None),
    (b'{"type":"a","data":{"n":12345678901234567890123}}', "data.n"),
)


async def test_what_is_wrong_costs_no_other_and_is_told_to_its_own_client(
    stage: Stage, together: list[int]
) -> None:
    good = [b'{"type":"a","id":%d}' % number for number in range(len(WRONG))]
    bodies = [body for pair in zip(good, (text for text, _ in WRONG), strict=True) for body in pair]
    answers = await at_once(stage, bodies)

    assert answers[::2] == [(200, {})] * len(good)
    for (status, told), (text, field) in zip(answers[1::2], WRONG, strict=True):
        assert status == 400, text
        assert field is None or told["field"] == field
    assert sorted(id for _, id, _ in await stage.stored("a")) == list(range(len(good)))
    assert stage.figure("cube_events_accepted_total") == len(good) + len(bodies)  # and those that warmed up


def test_bodies_that_are_an_event_only_together_are_none() -> None:
    bodies = [b'{"type":"a","data":"', b'"},{"type":"b"}', b'{"type":"c"}']

    places, found = decode_each(bodies, 1_000)
    assert (places, [raw.type for raw in found]) == ([2], ["c"])


def test_batches_have_one_type_and_ids_of_one_kind() -> None:
    bodies = [
        b'{"type":"a"}',
        b'{"type":"a","id":1}',
        b'{"type":"b"}',
        b"[]",
        b'{"type":"a"}',
        b'{"type":"a","id":2}',
    ]

    found = [
        (places, len(batch.events), batch.size) for places, batch in batches_together(bodies, LIMITS, NOW)
    ]
    assert found == [([0, 4], 2, 24), ([1, 5], 2, 38)]


def test_an_odd_event_keeps_no_other_from_being_taken_together() -> None:
    odd = [b'{"type":"A b"}', b'{"type":"a","time":"now"}', b'{"type":"a","id":{"$oid":"%s"}}' % (b"ab" * 12)]
    bodies = [b'{"type":"a"}', odd[0], b'{"type":"a","time":1311033600000}', *odd[1:], b'{"type":"a"}']

    found = [(places, len(batch.events)) for places, batch in batches_together(bodies, LIMITS, NOW)]
    assert found == [([0, 2, 5], 3)]


ODD = (b'{"n":1234567890123456789}', b'{"":1}', b'"[[[[[[[[[[[[[[[["', b"[" * 40 + b"]" * 40)


def test_an_event_whose_values_have_to_be_looked_at_keeps_no_other_from_being_taken_together() -> None:
    for odd in ODD:
        bodies = [b'{"type":"a"}', b'{"type":"a","data":%s}' % odd, b'{"type":"a","data":"[GET] /"}']
        found = [places for places, _ in batches_together(bodies, LIMITS, NOW)]
        assert found == [[0, 2]], odd


async def test_an_event_that_the_store_refuses_is_told_alone(stage: Stage, together: list[int]) -> None:
    await stage.store.events.expire("a", NOW - 1_000)
    times = [NOW - 1_001 if number == 3 else NOW for number in range(CLIENTS)]
    answers = await at_once(
        stage, [b'{"type":"a","id":%d,"time":%d}' % (number, time) for number, time in enumerate(times)]
    )

    assert together
    assert [place for place, (status, _) in enumerate(answers) if status != 200] == [3]
    assert answers[3][0] == 400
    assert sorted(id for _, id, _ in await stage.stored("a")) == [n for n in range(CLIENTS) if n != 3]
    assert stage.figure("cube_events_accepted_total") == 2 * CLIENTS  # and those that warmed up
    assert stage.figure("cube_events_stored_total") == 2 * CLIENTS - 1
    assert stage.figure("cube_events_failed_total", error="InvalidEvent") == 1


async def test_nothing_is_stored_twice_where_one_is_refused_beside_others_that_are_stored(
    stage: Stage, together: list[int]
) -> None:
    """As MongoDB does: of one write that it refuses in part it stores the rest."""
    own = stage.store.store.events

    async def refuse(call: str, *arguments: Any) -> None:
        if call != "events.save":
            return
        type, events = arguments
        guilty = [place for place, event in enumerate(events) if event.data == {"n": 3}]
        if guilty:
            await own.save(type, [event for event in events if event.data != {"n": 3}])
            raise InvalidEvent("MongoDB refuses the event: it is too odd.", index=guilty[0])

    stage.store.before = refuse  # type: ignore[method-assign]  # what the proxy asks before each call
    answers = await at_once(stage, [b'{"type":"a","data":{"n":%d}}' % number for number in range(CLIENTS)])

    assert together
    assert [place for place, (status, _) in enumerate(answers) if status != 200] == [3]
    told = answers[3][1]
    assert (told["error"], told["index"]) == ("MongoDB refuses the event: it is too odd.", 0)
    stored = [data["n"] for _, _, data in await stage.stored("a")]
    assert sorted(stored) == [n for n in range(CLIENTS) if n != 3]


async def test_a_store_that_fails_is_told_to_all_of_them(stage: Stage, together: list[int]) -> None:
    async def fail(*_: object) -> None:
        if together:
            raise Unavailable("It is away.")

    stage.store.before = fail  # type: ignore[method-assign]  # what the proxy asks before each call
    answers = await at_once(stage, [b'{"type":"a"}'] * CLIENTS)

    assert together
    assert [(status, told["error"]) for status, told in answers] == [(503, "It is away.")] * CLIENTS


async def test_what_a_key_is_not_for_is_refused_among_what_it_is_for(
    tmp_path: Path, together: list[int]
) -> None:
    keys = (key("cube_any", Scope.WRITE), key("cube_one", Scope.WRITE, types=frozenset({"warm", "a"})))
    async with staged(tmp_path, _with_keys(*keys)) as stage:
        bodies = [b'{"type":"%s"}' % type for type in (b"a", b"b") * 4]
        told = [{"X-Api-Key": name} for name in ("cube_any", "cube_any", "cube_one", "cube_one") * 2]
        answers = await at_once(stage, bodies, told)

        assert [status for status, _ in answers] == [200, 200, 200, 403] * 2
        assert (len(await stage.stored("a")), len(await stage.stored("b"))) == (4, 2)
