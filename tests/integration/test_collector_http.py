"""The collector over HTTP, on a store of its own."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cube.errors import Unavailable
from cube.settings import CollectorSettings
from cube.store.sqlite.writer import WriteJob, Writer
from tests.collector_stage import NOW, Stage, staged
from tests.web_client import Answer, ask, connection, head

PATHS = ["/1.0/event", "/1.0/event/put"]
MIB = 2**20


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


async def put(stage: Stage, value: Any, **headers: str) -> Answer:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return await ask(stage.port, "POST", "/1.0/event", body, named)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_an_array_is_stored_before_it_is_answered(stage: Stage, method: str, path: str) -> None:
    events = [{"type": "a", "time": NOW + number, "id": number, "data": {"n": number}} for number in range(3)]
    answer = await ask(stage.port, method, path, json.dumps(events).encode())
    assert (answer.status, answer.json) == (200, {})
    assert await stage.stored("a") == [(NOW + number, number, {"n": number}) for number in range(3)]


async def test_one_event_object_is_stored(stage: Stage) -> None:
    assert (await put(stage, {"type": "a", "time": "2011-09-12T21:33:12Z", "id": "x"})).status == 200
    assert [row[:2] for row in await stage.stored("a")] == [(1_315_863_192_000, "x")]


async def test_an_event_without_time_happens_now_and_without_id_gets_one(stage: Stage) -> None:
    assert (await put(stage, [{"type": "a"}, {"type": "a"}])).status == 200
    (first, second) = await stage.stored("a")
    assert (first[0], second[0]) == (NOW, NOW)
    assert isinstance(first[1], bytes)
    assert first[1] != second[1]


async def test_types_may_be_mixed(stage: Stage) -> None:
    assert (await put(stage, [{"type": "a", "id": 1}, {"type": "b", "id": 2}])).status == 200
    assert [len(await stage.stored(type)) for type in ("a", "b")] == [1, 1]


async def test_lines_of_events_are_stored_all_or_none(stage: Stage) -> None:
    lines = b'{"type": "a", "id": 1}\n[{"type": "a", "id": 2}, {"type": "b"}]\n'
    answer = await put(stage, lines, Content_Type="application/x-ndjson")
    assert (answer.status, answer.json) == (200, {})
    answer = await put(stage, lines + b'{"type": "b", "data": 1e999}\n')
    assert (answer.status, answer.json["index"]) == (400, 3)
    assert [len(await stage.stored(type)) for type in ("a", "b")] == [2, 1]


async def test_an_empty_array_is_fine(stage: Stage) -> None:
    assert (await put(stage, [])).status == 200


async def test_the_body_is_json_whatever_its_type_says(stage: Stage) -> None:
    for name in ("text/plain", "application/x-www-form-urlencoded", "nonsense"):
        assert (await put(stage, {"type": "a"}, Content_Type=name)).status == 200


async def test_if_one_event_is_wrong_none_is_stored(stage: Stage) -> None:
    answer = await put(stage, [{"type": "a"}, {"type": "b"}, {"type": "a", "id": 7, "data": {"a": {"": 1}}}])
    assert answer.status == 400
    assert (answer.json["index"], answer.json["id"], answer.json["field"]) == (2, 7, 'data.a[""]')
    assert await stage.types() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"5",
        b"[5]",
        b'{"type": "A"}',
        b'{"type": "a", "time": null}',
        b'{"type": "a", "time": true}',
        b'{"type": "a", "time": "yesterday"}',
        b'{"type": "a", "id": ""}',
        b'{"type": "a", "id": null}',
        b'{"type": "a", "data": NaN}',
        b'{"type": "a", "data": 1e999}',
        b'{"type": "a", "data": 9223372036854775808}',
        b'{"type": "a", "data": "\\ud800"}',
        b'{"type": "a", "data": "\xff"}',
        b'{"type": "a", "data": ' + b"[" * 51 + b"]" * 51 + b"}",
        b'{"type": "a", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type": "a", "data": ' + b"9" * 5_000 + b"}",
    ],
)
async def test_what_is_wrong_is_a_400_with_a_sentence(stage: Stage, body: bytes) -> None:
    answer = await put(stage, body, Origin="http://localhost:3000")
    assert answer.status == 400
    assert answer.json["error"].endswith((".", "]*."))
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert await stage.types() == []


async def test_gzip_and_chunks_are_accepted(stage: Stage) -> None:
    body = json.dumps([{"type": "a", "id": 1}]).encode()
    assert (await put(stage, gzip.compress(body), Content_Encoding="gzip")).status == 200
    async with connection(stage.port) as own:
        own.send(head("POST", "/1.0/event", {"Host": "localhost", "Transfer-Encoding": "chunked"}))
        own.send(f"{len(body):x}\r\n".encode() + body.replace(b"1", b"2") + b"\r\n0\r\n\r\n")
        assert (await own.answer()).status == 200
    assert [row[1] for row in await stage.stored("a")] == [1, 2]


async def test_an_event_over_its_limit_is_a_413(stage: Stage) -> None:
    answer = await put(stage, [{"type": "a"}, {"type": "a", "data": "x" * MIB}])
    assert (answer.status, answer.json["index"]) == (413, 1)
    assert (await put(stage, [{"type": "a", "data": "x" * (MIB - 100)}] * 2)).status == 200


async def test_an_array_over_its_limit_is_a_413(stage: Stage) -> None:
    assert (await put(stage, [{"type": "a"}] * 10_001)).status == 413
    assert (await put(stage, [{"type": "a"}] * 10_000)).status == 200


async def test_a_body_over_its_limit_is_a_413(stage: Stage) -> None:
    bomb = gzip.compress(b" " * (17 * MIB))
    answer = await put(stage, bomb, Content_Encoding="gzip", Origin="http://localhost:3000")
    assert (answer.status, answer.json["limit"]) == (413, 16 * MIB)
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_what_is_sent_twice_under_one_id_is_stored_once(stage: Stage) -> None:
    for number in (1, 2):
        assert (await put(stage, {"type": "a", "time": NOW, "id": "x", "data": number})).status == 200
    assert await stage.stored("a") == [(NOW, "x", 2)]


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_a_405(stage: Stage, path: str) -> None:
    answer = await ask(stage.port, "GET", path)
    methods = "POST, PUT, OPTIONS" if path.endswith("put") else "POST, PUT, DELETE, OPTIONS"
    assert (answer.status, answer.headers["allow"]) == (405, methods)
    assert (await ask(stage.port, "HEAD", path)).status == 405
    preflight = await ask(stage.port, "OPTIONS", path, headers={"Origin": "http://localhost:3000"})
    assert (preflight.status, preflight.headers["access-control-allow-methods"]) == (204, methods)


async def test_an_expired_event_is_refused_by_its_index_and_its_neighbours_are_not(stage: Stage) -> None:
    assert (await put(stage, {"type": "a", "time": NOW + 10_000_000, "id": 1})).status == 200
    await stage.store.events.expire("a", NOW + 5_000_000)
    late, fine = await asyncio.gather(
        put(
            stage, [{"type": "a", "time": NOW + 9_000_000, "id": 2}, {"type": "a", "time": NOW + 1, "id": 3}]
        ),
        put(stage, {"type": "a", "time": NOW + 8_000_000, "id": 4}),
    )
    assert (late.status, late.json["index"], late.json["id"]) == (400, 1, 3)
    assert fine.status == 200
    assert [row[1] for row in await stage.stored("a")] == [4, 1]


async def test_a_store_that_is_away_is_a_503_and_the_collector_lives_on(stage: Stage) -> None:
    stage.store.error = Unavailable("The store is away.", retry_after_seconds=3)
    answer = await put(stage, {"type": "a"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "3")
    assert (await ask(stage.port, "GET", "/healthz")).status == 200
    stage.store.error = None
    assert (await put(stage, {"type": "a"})).status == 200


async def test_over_its_bound_the_intake_answers_503_and_is_not_ready(tmp_path: Path) -> None:
    settings = CollectorSettings()
    small = replace(settings, intake=replace(settings.intake, waiting_events=2))
    async with staged(tmp_path, small) as stage:
        stage.store.gate.clear()
        waiting = asyncio.create_task(put(stage, [{"type": "a", "id": 1}, {"type": "a", "id": 2}]))
        await asyncio.wait_for(stage.store.begun.wait(), 10)
        answer = await put(stage, {"type": "a", "id": 3})
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert (await ask(stage.port, "GET", "/readyz")).status == 503
        stage.store.gate.set()
        assert (await waiting).status == 200
        assert (await ask(stage.port, "GET", "/readyz")).status == 200


async def test_a_client_that_leaves_before_the_answer_loses_nothing(stage: Stage) -> None:
    stage.store.gate.clear()
    body = json.dumps({"type": "a", "id": 1}).encode()
    async with connection(stage.port) as own:
        own.send(head("POST", "/1.0/event", {"Content-Length": str(len(body))}) + body)
        await asyncio.wait_for(stage.store.begun.wait(), 10)
    stage.store.gate.set()
    await stage.until_stored("a", 1)


async def test_concurrent_requests_share_writes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    commit = Writer._commit

    def counted(writer: Writer, group: Sequence[WriteJob]) -> None:
        groups.append(len(group))
        commit(writer, group)

    monkeypatch.setattr(Writer, "_commit", counted)
    answers = await asyncio.gather(*(put(stage, {"type": "a", "id": number}) for number in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len(await stage.stored("a")) == 50
    assert len(groups) < 50


async def test_the_figures_tell_what_was_stored(stage: Stage) -> None:
    await put(stage, [{"type": "a"}, {"type": "b"}])
    text = (await ask(stage.port, "GET", "/metrics")).body.decode()
    assert "cube_events_stored_total 2.0" in text


async def test_the_description_lists_the_routes(stage: Stage) -> None:
    paths = (await ask(stage.port, "GET", "/openapi.json")).json["paths"]
    assert set(paths) >= {*PATHS, "/healthz", "/readyz", "/metrics", "/openapi.json", "/collectd"}
    assert "oneOf" in paths["/1.0/event"]["post"]["requestBody"]["content"]["application/json"]["schema"]


async def test_request_events_are_off_by_default(stage: Stage) -> None:
    await put(stage, {"type": "a"})
    assert await stage.types() == ["a"]


async def test_request_events_tell_of_the_collectors_own_work(tmp_path: Path) -> None:
    async with staged(tmp_path, replace(CollectorSettings(), self_events=True)) as stage:
        await put(stage, {"type": "a"})
        await stage.until_stored("cube_request", 1)
        ((time, _, data),) = await stage.stored("cube_request")
    assert (time, data) == (NOW, {"ip": "127.0.0.1", "path": "/1.0/event", "method": "POST"})


async def test_notes_of_dead_processes_are_looked_for_at_the_start_and_again(tmp_path: Path) -> None:
    settings = CollectorSettings()
    often = replace(settings, intake=replace(settings.intake, sweep_seconds=0.01))
    async with staged(tmp_path, often) as stage:
        stage.store.sweep_error = Unavailable("The store is away.")
        async with asyncio.timeout(10):
            await stage.store.swept_thrice.wait()


async def test_events_are_counted_as_accepted_or_refused_by_reason(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        for body in (
            b'[{"type": "a"}, {"type": "a"}]',
            b'[{"type": "a"}, {"type": "A"}, {"type": "a"}]',
            b'{"type": ',
            b'{"type": "a", "data": "' + b"x" * 2**20 + b'"}',
        ):
            await ask(stage.port, "POST", "/1.0/event", body)
        assert stage.figure("cube_events_accepted_total") == 2
        assert stage.figure("cube_events_refused_total", reason="invalid") == 3
        assert stage.figure("cube_events_refused_total", reason="unreadable") == 1
        assert stage.figure("cube_events_refused_total", reason="too_large") == 1


async def test_bodies_that_arrive_at_once_are_bounded_together(tmp_path: Path) -> None:
    settings = CollectorSettings()
    small = replace(
        settings,
        limits=replace(settings.limits, body_bytes=2**20),
        http=replace(settings.http, bodies_bytes=2**20),
    )
    slow = json.dumps({"type": "slow", "data": "x" * 900_000}).encode()
    other = json.dumps({"type": "other", "data": "x" * 400_000}).encode()
    async with staged(tmp_path, small) as stage, connection(stage.port) as first:
        first.send(head("POST", "/1.0/event", {"Host": "localhost", "Content-Length": str(len(slow))}))
        await first.send_all(slow[:-1])
        async with asyncio.timeout(10):
            while (refused := await ask(stage.port, "POST", "/1.0/event", other)).status != 503:
                pass
        assert int(refused.headers["retry-after"]) >= 1
        packed = bytes(pa.Codec("snappy").compress(b"\x12\xff\xff\x1f" + b"x" * 0x7FFFF, asbytes=True))
        loki = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        push = partial(ask, stage.port, "POST", "/loki/api/v1/push", packed, loki)
        assert len(packed) < 50_000
        assert (await push()).status == 503
        first.send(slow[-1:])
        assert (await first.answer()).status == 200
        assert (await ask(stage.port, "POST", "/1.0/event", other)).status == 200
        assert (await push()).status == 204
