"""What all dialects share, shown with a small one on a server of its own."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from collector.ingest.context import IngestContext
from collector.ingest.intake import Intake
from collector.ingest.quota import Quota
from collector.ingest.store_writer import StoreWriter
from collector.ingest.tally import IntakeTally
from collector.instrumentation import DialectCounters, IntakeCounters
from collector.protocols.shared.dialect import (
    Dialect,
    Draft,
    Endpoint,
    Rejection,
    RequestContext,
    Translation,
)
from collector.protocols.shared.service import DialectContext, dialect_routes
from cube import json_text
from cube.errors import CubeError, InvalidRequest
from cube.model.environment import Credentials, Environment, Key, OriginPattern, Scope, digest
from cube.model.event import ABSENT, EventId
from cube.model.horizon import Horizon
from cube.settings import CollectorSettings, DialectSettings
from cube.settings.collecting import CollectorLimits
from cube.store.sqlite import SqliteStore, open_store
from cube.web import Authenticator, KeyRing, Reply, Request, Server, Service, Telemetry, with_standard_routes
from cube.web.handler import LINGER_BYTES
from tests.contract.builders import rows
from tests.web_client import Answer, ask, connection, head

NOW = 1_311_033_600_000
BODY_BYTES = 400_000
SETTINGS = CollectorSettings(
    limits=CollectorLimits(event_bytes=50_000, body_bytes=BODY_BYTES, batch_events=200),
    dialects=DialectSettings(types=3),
)


class Waiting:
    """A translation that takes until a test says that it is over."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.over = threading.Event()


WAITING = Waiting()


def translate(request: Request, context: RequestContext) -> Translation:
    """Every item is [name, id, data]; null is not understood."""
    body = json_text.decode(request.body)
    if not isinstance(body, list):
        raise InvalidRequest("Got no array.")
    seen = context.state.get("requests", "all") or 0
    if body[:1] == ["wait"]:
        WAITING.begun.set()
        assert WAITING.over.wait(10)
        body = []
    context.state.put("requests", "all", seen + 1)
    return Translation(
        [_draft(item, request) for item in body if item is not None],
        partial(_reply, seen + 1),
        [Rejection("Got null.", {"item": item, **request.captures}) for item in body if item is None],
    )


def _draft(item: Sequence[Any], request: Request) -> Draft:
    name, id, data, *time = item
    fixed = name.startswith("fixed")
    return Draft(name, *(time or [ABSENT]), id=id, data=data, fixed=fixed, source=item)


def _reply(seen: int, rejections: Sequence[Rejection]) -> Reply:
    return Reply.json({"seen": seen, "refused": [rejection.reason for rejection in rejections]}, 202)


def credentials(request: Request) -> Credentials:
    key = request.headers.get("X-Toy-Key")
    environment = request.headers.get("X-Toy-Environment")
    return Credentials(frozenset([key] if key else []), frozenset([environment] if environment else []))


def refuse(error: CubeError, request: Request) -> Reply:
    return Reply.json({"toy": error.message}, 422)


def handshake(request: Request) -> Reply | None:
    return Reply(b"", 204, headers=(("X-Hand", "shaken"),)) if "X-Shake" in request.headers else None


TOY = Dialect(
    "toy",
    [
        Endpoint(("/toy",), {"POST": translate, "GET": translate}, "Play.", options=handshake),
        Endpoint(("/toy/{part}",), {"POST": translate}, "Play apart."),
    ],
    credentials,
    refuse,
    secrets=frozenset({"toyKey"}),
)


class Stage:
    """A server with the toy dialect over one store for each environment."""

    def __init__(self, port: int, stores: dict[str, SqliteStore], registry: CollectorRegistry) -> None:
        self.port = port
        self.stores = stores
        self.registry = registry

    async def send(self, items: Any, path: str = "/toy", **headers: str) -> Answer:
        body = items if isinstance(items, bytes) else json.dumps(items).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return await ask(self.port, "POST", path, body, named)

    async def stored(self, type: str, environment: str = "one") -> list[tuple[int, EventId, Any]]:
        return await rows(self.stores[environment], type)

    async def types(self, environment: str = "one") -> list[str]:
        async with self.stores[environment].events.read() as session:
            return await session.types()

    async def dead_letters(self) -> list[Any]:
        return [data for _, _, data in await self.stored("cube_rejected")]

    def figure(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def staged(
    directory: Path,
    environments: Sequence[Environment] = (Environment("one", "one"),),
    *keys: Key,
    dialect: Dialect = TOY,
) -> AsyncIterator[Stage]:
    registry = CollectorRegistry()
    stores = {one.name: await open_store(directory, one.database) for one in environments}
    quota = Quota(max_events=10_000, max_bytes=10**8)
    counters = IntakeCounters(registry, quota)
    intakes = {
        name: Intake(
            StoreWriter(store.events),
            horizon=Horizon(),
            clock=lambda: NOW,
            quota=quota,
            commit_events=1_000,
            counters=counters,
            tally=IntakeTally(lambda: NOW, str),
        )
        for name, store in stores.items()
    }
    gate = Authenticator(environments, KeyRing(keys))
    ingest = IngestContext(stores, gate, SETTINGS, registry, lambda: NOW, intakes, None)
    context = DialectContext(ingest, DialectCounters(registry))
    telemetry = Telemetry(registry)

    async def ready() -> None:
        return

    service = Service(
        with_standard_routes("Toys", dialect_routes([dialect], context), telemetry, ready),
        access=gate,
        telemetry=telemetry,
        max_body_bytes=BODY_BYTES,
        max_sockets=1,
    )
    server = Server(service, host="127.0.0.1", port=0)
    try:
        yield Stage(int(server.address.rpartition(":")[2]), stores, registry)
    finally:
        await server.stop(5)
        for store in stores.values():
            await store.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as made:
        yield made


async def test_drafts_are_stored_before_the_dialects_own_reply(stage: Stage) -> None:
    answer = await stage.send([["Page View", "x", {"a": 1}], ["fixed_word", 2, None]])
    assert (answer.status, answer.json) == (202, {"seen": 1, "refused": []})
    assert await stage.stored("page_view") == [(NOW, "x", {"a": 1})]
    assert await stage.stored("fixed_word") == [(NOW, 2, None)]
    assert stage.figure("cube_dialect_events_total", dialect="toy") == 2


async def test_a_dialect_remembers(stage: Stage) -> None:
    assert [(await stage.send([])).json["seen"] for _ in range(3)] == [1, 2, 3]


async def test_a_bad_event_costs_no_other_and_becomes_a_dead_letter(stage: Stage) -> None:
    answer = await stage.send([["a", "x", 1], None, ["b", {}, 2], ["a", "y", {"": 3}], ["a", "z", 4]])
    assert answer.status == 202
    null, id, name = answer.json["refused"]
    assert (null, "the id {}" in id, '""' in name) == ("Got null.", True, True)
    assert [row[1:] for row in await stage.stored("a")] == [("x", 1), ("z", 4)]
    assert sorted(await stage.dead_letters(), key=lambda letter: letter["reason"]) == [
        {"dialect": "toy", "reason": null, "payload": {"item": None}},
        {"dialect": "toy", "reason": id, "payload": ["b", {}, 2]},
        {"dialect": "toy", "reason": name, "payload": '["a","y",{"":3}]'},
    ]
    assert stage.figure("cube_dialect_refused_total", dialect="toy", reason="invalid") == 2
    assert stage.figure("cube_dialect_refused_total", dialect="toy", reason="not_understood") == 1


async def test_a_request_sent_again_leaves_no_second_dead_letter(stage: Stage) -> None:
    for _ in range(2):
        await stage.send([None, None])
    assert len(await stage.dead_letters()) == 2


async def test_an_event_that_has_expired_is_told_and_the_others_are_stored(stage: Stage) -> None:
    await stage.stores["one"].events.expire("a", NOW)
    answer = await stage.send([["a", 1, "new"], ["a", 2, "old", 5], ["b", 3, "new"]])
    assert [row[1:] for row in await stage.stored("a")] == [(1, "new")]
    assert [row[1:] for row in await stage.stored("b")] == [(3, "new")]
    assert ["expired" in reason for reason in answer.json["refused"]] == [True]
    assert [letter["payload"] for letter in await stage.dead_letters()] == [["a", 2, "old", 5]]
    assert stage.figure("cube_dialect_events_total", dialect="toy") == 2


async def test_many_events_that_have_expired_cost_few_writes(stage: Stage) -> None:
    await stage.stores["one"].events.expire("a", NOW)
    before = stage.figure("cube_commit_events_count") or 0
    answer = await stage.send([["a", number, "old", 5] for number in range(150)] + [["a", 200, "new"]])
    assert len(answer.json["refused"]) == 150
    assert [row[1:] for row in await stage.stored("a")] == [(200, "new")]
    assert (stage.figure("cube_commit_events_count") or 0) - before <= 4


async def test_dead_letters_are_as_few_as_a_bound_and_one(stage: Stage) -> None:
    assert (await stage.send([None] * 150)).status == 202
    dead_letters = await stage.dead_letters()
    assert len(dead_letters) == 101
    assert [letter["count"] for letter in dead_letters if "count" in letter] == [50]


async def test_a_long_payload_is_cut(stage: Stage) -> None:
    await stage.send([["a", {}, "x" * 30_000]])
    (letter,) = await stage.dead_letters()
    assert letter["payload"].startswith('["a",{},"xxx')
    assert len(letter["payload"]) == 16 * 1024


async def test_no_key_stands_in_a_letter(stage: Stage) -> None:
    secret = "s3cret-of-mine"
    hidden = {
        "x": [{"X-Api-Key": secret, "toy_key": secret, "kept": 1}],
        "url": f"/i?e=pv&api_key={secret}&b=1",
        "header": f"Authorization: Bearer {secret}",
        "json": f'{{"writeKey": "{secret}", "n": 1}}',
        "python": f"{{'x_api_key': ['{secret}']}}",
        f"odd {secret}": secret,
    }
    await stage.send([["a", {}, hidden]], X_Toy_Key=secret)
    (letter,) = await stage.dead_letters()
    assert secret not in json.dumps(letter)
    shown = letter["payload"][2]
    assert shown["x"] == [{"X-Api-Key": "[removed]", "toy_key": "[removed]", "kept": 1}]
    assert shown["url"] == "/i?e=pv&api_key=[removed]&b=1"
    assert shown["json"] == '{"writeKey": "[removed]", "n": 1}'


async def test_what_can_be_no_data_is_kept_as_text(stage: Stage) -> None:
    deep: Any = "bottom"
    for _ in range(200):
        deep = [deep]
    for odd in (deep, 10**30):
        assert (await stage.send([["a", {}, odd]])).status == 202
    assert len(await stage.dead_letters()) == 2


async def test_a_request_of_which_nothing_is_understood_is_told_in_the_dialects_form(stage: Stage) -> None:
    answer = await stage.send({"odd": 1})
    assert (answer.status, answer.json) == (422, {"toy": "Got no array."})
    assert await stage.dead_letters() == [
        {"dialect": "toy", "reason": "Got no array.", "payload": '{"odd": 1}'}
    ]
    assert await stage.types() == ["cube_rejected"]
    assert stage.figure("cube_dialect_failed_total", dialect="toy", error="InvalidRequest") == 1


async def test_what_dialects_refuse_counts_with_all_that_is_refused(stage: Stage) -> None:
    await stage.send([["a", 1, 1], None, None, ["a", {}, 1], ["a", 2, "x" * 60_000]])
    await stage.send({})
    await stage.send([["a", number, 1] for number in range(201)])
    refused = {
        reason: stage.figure("cube_events_refused_total", reason=reason)
        for reason in ("invalid", "too_large", "unreadable")
    }
    assert refused == {"invalid": 3, "too_large": 2, "unreadable": 1}


async def test_errors_from_before_the_translation_have_the_dialects_form_and_their_headers(
    stage: Stage,
) -> None:
    answer = await ask(stage.port, "PUT", "/toy", b"[]")
    assert (answer.status, list(answer.json)) == (422, ["toy"])
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert (await stage.send(b"x" * (BODY_BYTES + 1))).status == 422


async def test_too_many_events_are_refused_as_a_whole(stage: Stage) -> None:
    assert (await stage.send([["a", number, 1] for number in range(201)])).status == 422
    assert await stage.types() == []


@pytest.fixture
async def burying(tmp_path: Path) -> AsyncIterator[Stage]:
    """A dialect whose clients would send a refused request forever."""
    dialect = replace(TOY, too_large=Reply(b"buried", 200, "text/plain"))
    async with staged(tmp_path, ENVIRONMENTS, *KEYS, dialect=dialect) as made:
        yield made


async def test_a_body_too_large_to_be_read_may_leave_a_letter_in_place_of_an_error(burying: Stage) -> None:
    whole = b"x" * (BODY_BYTES + 1)
    for body, encoding in ((whole, "identity"), (gzip.compress(whole), "gzip")):
        answer = await burying.send(body, X_Toy_Key="key-of-one", Content_Encoding=encoding)
        assert (answer.status, answer.body) == (200, b"buried")
    (letter,) = await burying.dead_letters()
    assert "400000 bytes" in letter["reason"]
    assert burying.figure("cube_dialect_refused_total", dialect="toy", reason="not_understood") == 2


async def test_a_connection_goes_on_after_a_body_that_left_a_letter(burying: Stage) -> None:
    async with connection(burying.port) as client:
        for body in (b"x" * (BODY_BYTES + 1), b"[]"):
            answer = await client.ask("POST", "/toy", body, {"X-Toy-Key": "key-of-one"})
            assert answer.status in (200, 202)


async def test_too_many_events_may_leave_a_letter_with_what_was_sent(burying: Stage) -> None:
    answer = await burying.send([["a", number, 1] for number in range(201)], X_Toy_Key="key-of-one")
    assert (answer.status, answer.body) == (200, b"buried")
    (letter,) = await burying.dead_letters()
    assert letter["reason"] == "Got 201 events; accepted are 200 in one request."
    assert letter["payload"].startswith('[["a", 0, 1], ["a", 1, 1]')


async def test_nobody_leaves_a_letter_without_a_key(burying: Stage) -> None:
    assert (await burying.send(b"x" * (BODY_BYTES + 1))).status == 422
    assert await burying.types() == []


async def test_a_body_beyond_all_bounds_is_refused_at_once(burying: Stage) -> None:
    lines = {"Host": "localhost", "Content-Length": str(LINGER_BYTES + 1), "X-Toy-Key": "key-of-one"}
    async with connection(burying.port) as client:
        client.send(head("POST", "/toy", lines))
        assert (await client.answer("POST")).status == 422
    assert await burying.types() == []


async def test_a_dialect_may_have_its_own_way_to_write_keys(tmp_path: Path) -> None:
    dialect = replace(TOY, plain_key=lambda key: key.strip("<>"))
    async with staged(tmp_path, ENVIRONMENTS, *KEYS, dialect=dialect) as made:
        answer = await made.send([["a", 1, 1]], X_Api_Key="<key-of-one>", X_Toy_Key="key-of-one")
        assert answer.status == 202
        assert await made.types() == ["a"]


async def test_an_event_over_its_limit_is_refused_alone(stage: Stage) -> None:
    answer = await stage.send([["a", 1, "x" * 60_000], ["a", 2, 1]])
    assert [len(answer.json["refused"]), len(await stage.stored("a"))] == [1, 1]


async def test_a_large_body_is_read_in_a_thread_and_stored_alike(stage: Stage) -> None:
    answer = await stage.send([["a", number, "x" * 2_000] for number in range(150)])
    assert answer.status == 202
    assert len(await stage.stored("a")) == 150


async def test_after_so_many_types_new_names_share_one(stage: Stage) -> None:
    names = ["One", "two", "Three", "four", "five"]
    await stage.send([[name, number, name] for number, name in enumerate(names)])
    await stage.send([["four", 7, "four"], ["two", 8, "two"], ["fixed_four", 9, "fixed"]])
    assert await stage.types() == ["fixed_four", "one", "three", "toy_other", "two"]
    assert [row[2] for row in await stage.stored("toy_other")] == ["four", "five", "four"]


async def test_the_bound_on_types_outlives_the_process(tmp_path: Path) -> None:
    for names in (["a", "b"], ["c", "d"]):
        async with staged(tmp_path) as made:
            await made.send([[name, name, name] for name in names])
            types = await made.types()
    assert types == ["a", "b", "c", "toy_other"]


async def test_the_prefix_of_our_own_types_is_not_to_be_had(stage: Stage) -> None:
    await stage.send([["cube_rejected", 1, 1], ["Cube Request", 2, 2]])
    assert await stage.types() == ["toy_cube_rejected", "toy_cube_request"]


async def test_parts_of_the_path_reach_the_translation(stage: Stage) -> None:
    await stage.send([None], path="/toy/a%20part")
    assert [letter["payload"]["part"] for letter in await stage.dead_letters()] == ["a part"]


async def test_a_page_of_this_machine_may_send_cookies_where_no_origin_is_configured(stage: Stage) -> None:
    answer = await stage.send([], Origin="http://localhost:3000")
    preflight = await ask(
        stage.port,
        "OPTIONS",
        "/toy",
        headers={
            "Origin": "http://localhost:3000",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,sp-anonymous",
        },
    )
    for headers in (answer.headers, preflight.headers):
        assert headers["access-control-allow-origin"] == "http://localhost:3000"
        assert headers["access-control-allow-credentials"] == "true"
        assert "Origin" in headers["vary"]
    assert preflight.headers["access-control-allow-headers"] == "content-type,sp-anonymous"


async def test_an_options_request_that_is_no_preflight_may_be_the_dialects(stage: Stage) -> None:
    shaken = await ask(stage.port, "OPTIONS", "/toy", headers={"X-Shake": "1"})
    assert (shaken.status, shaken.headers["x-hand"]) == (204, "shaken")
    plain = await ask(stage.port, "OPTIONS", "/toy")
    assert (plain.status, "x-hand" in plain.headers) == (204, False)


async def test_the_description_names_the_routes_and_their_parts(stage: Stage) -> None:
    paths = (await ask(stage.port, "GET", "/openapi.json")).json["paths"]
    assert paths["/toy/{part}"]["post"]["parameters"] == [
        {"name": "part", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    ]
    assert list(paths["/toy"]["post"]["requestBody"]["content"]) == ["*/*"]


ENVIRONMENTS = (
    Environment("one", "one", tuple(OriginPattern.parse_all("https://one.example"))),
    Environment("two", "two", tuple(OriginPattern.parse_all("https://two.example"))),
)
KEYS = (
    Key("a", digest("key-of-one"), "one"),
    Key("b", digest("key-of-two"), "two"),
    Key("c", digest("reader"), "one", scopes=frozenset({Scope.READ})),
    Key("d", digest("only-a"), "one", types=frozenset({"a"})),
)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path, ENVIRONMENTS, *KEYS) as made:
        yield made


async def test_each_key_writes_to_its_environment(guarded: Stage) -> None:
    assert (await guarded.send([["a", 1, 1]], X_Toy_Key="key-of-one")).status == 202
    assert (await guarded.send([["b", 1, 1]], Authorization="Bearer key-of-two")).status == 202
    assert (await guarded.types("one"), await guarded.types("two")) == (["a"], ["b"])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X_Toy_Key": "unknown"},
        {"X_Toy_Key": "reader"},
        {"X_Toy_Key": "key-of-one", "X_Api_Key": "key-of-two"},
        {"X_Toy_Key": "key-of-one", "X_Toy_Environment": "two"},
    ],
)
async def test_no_key_a_wrong_one_and_two_that_differ_store_nothing_and_are_counted(
    guarded: Stage, headers: dict[str, str]
) -> None:
    assert (await guarded.send([["a", 1, 1], None], **headers)).status == 422
    assert (await guarded.types("one"), await guarded.types("two")) == ([], [])
    counted = [
        guarded.figure("cube_dialect_failed_total", dialect="toy", error=error)
        for error in ("Unauthenticated", "AccessDenied")
    ]
    assert sorted(counted, key=bool) == [None, 1]


async def test_a_type_that_the_key_is_not_for_is_refused_alone(guarded: Stage) -> None:
    answer = await guarded.send([["a", 1, 1], ["b", 1, 1]], X_Toy_Key="only-a")
    assert len(answer.json["refused"]) == 1
    assert await guarded.types() == ["a", "cube_rejected"]


async def test_a_reply_is_shown_to_the_pages_of_its_environment_alone(guarded: Stage) -> None:
    for origin, shown in (("https://one.example", True), ("https://two.example", False)):
        answer = await guarded.send([], X_Toy_Key="key-of-one", Origin=origin)
        assert ("access-control-allow-origin" in answer.headers) is shown


async def test_the_next_request_waits_for_a_translation_though_the_client_is_gone(stage: Stage) -> None:
    body = json.dumps(["wait", "x" * 300_000]).encode()
    async with connection(stage.port) as gone:
        gone.send(head("POST", "/toy", {"Host": "localhost", "Content-Length": str(len(body))}))
        await gone.send_all(body)
        await asyncio.to_thread(WAITING.begun.wait, 10)
    second = asyncio.create_task(stage.send([]))
    done, _ = await asyncio.wait({second}, timeout=0.2)
    assert not done
    WAITING.over.set()
    assert (await second).json["seen"] == 2


async def test_requests_at_once_are_translated_in_turn(stage: Stage) -> None:
    answers = await asyncio.gather(
        *(
            stage.send([["a", f"{number}-{place}", "x" * 3_000] for place in range(100)])
            for number in range(5)
        )
    )
    assert sorted(answer.json["seen"] for answer in answers) == [1, 2, 3, 4, 5]
