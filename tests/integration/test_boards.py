"""Boards over HTTP, on both stores: two editors never overwrite each other, and keys bound who may."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cube.model.environment import Environment, Scope, digest
from cube.settings import EvaluatorSettings
from cube.store.record_ports import NO_REVISION, StoredBoard
from cube.store.sqlite import open_store
from cube.web import Authenticator, KeyRing
from evaluator.app import EvaluatorDaemon
from tests.authenticators import key, with_keys
from tests.evaluator_running import DAY, Start, running, start
from tests.mongo_server import mongo_server
from tests.web_client import Answer, ask, connection

__all__ = ["mongo_server", "start"]

BOARD = {
    "title": "Web <b>1</b>",
    "variables": [{"name": "host", "type": "request", "field": "host"}],
    "charts": [{"expressions": ["sum(request.eq(host, $host))"]}],
}
PATH = "/1.0/boards/web"


def body(**changes: Any) -> bytes:
    return json.dumps(BOARD | changes).encode()


async def test_two_editors_do_not_overwrite_each_other(start: Start) -> None:
    async with start() as made, connection(made.port) as client:
        assert (await client.ask("GET", PATH)).status == 404
        assert (await client.ask("PUT", PATH, body())).status == 428
        new = await client.ask("PUT", PATH, body(), headers={"If-None-Match": "*"})
        again = await client.ask("PUT", PATH, body(), headers={"If-None-Match": "*"})
        assert (new.status, again.status) == (201, 412)

        tag = new.headers["etag"]
        read = await client.ask("GET", PATH)
        assert (read.headers["etag"], json.loads(read.body)["board"]) == (tag, {"version": 1, **BOARD})
        assert (await client.ask("GET", PATH, headers={"If-None-Match": tag})).status == 304
        mine = await client.ask("PUT", PATH, body(title="Mine"), headers={"If-Match": tag})
        theirs = await client.ask("PUT", PATH, body(title="Theirs"), headers={"If-Match": tag})
        assert (mine.status, theirs.status) == (200, 412)
        assert f'"{json.loads(theirs.body)["revision"]}"' == mine.headers["etag"]

        assert (await client.ask("DELETE", PATH, headers={"If-Match": tag})).status == 412
        listed = json.loads((await client.ask("GET", "/1.0/boards")).body)
        assert [(one["name"], one["title"], one["charts"]) for one in listed["boards"]] == [
            ("web", "Mine", 1)
        ]
        gone = await client.ask("DELETE", PATH, headers={"If-Match": mine.headers["etag"]})
        late = await client.ask("PUT", PATH, body(), headers={"If-Match": mine.headers["etag"]})
        assert (gone.status, late.status, json.loads(late.body)["revision"]) == (204, 412, None)


async def test_of_editors_who_save_at_once_one_succeeds_and_the_others_are_told(start: Start) -> None:
    async with start() as made, connection(made.port) as client:
        new = await client.ask("PUT", PATH, body(), headers={"If-None-Match": "*"})
        for tag in (new.headers["etag"], "*"):
            editors = [f"Editor {i}" for i in range(4)]
            saved = await asyncio.gather(
                *(ask(made.port, "PUT", PATH, body(title=one), headers={"If-Match": tag}) for one in editors)
            )
            winners = [one for one, answer in zip(editors, saved, strict=True) if answer.status == 200]
            title = (await client.ask("GET", PATH)).json["title"]
            if tag == "*":
                assert (winners, title in editors) == (editors, True)
            else:
                assert (sorted(answer.status for answer in saved), [title]) == ([200, *[412] * 3], winners)


@pytest.mark.parametrize("marked", ["W/{}", "{}-gzip", "W/{}--gzip"])
async def test_an_etag_that_a_compressing_proxy_has_marked_is_known(tmp_path: Path, marked: str) -> None:
    async with running(tmp_path) as made, connection(made.port) as client:
        tag = (await client.ask("PUT", PATH, body(), headers={"If-None-Match": "*"})).headers["etag"]
        weak, _, suffix = marked.partition("{}")
        known = f'{weak}"{tag.strip(chr(34))}{suffix}"'
        assert (await client.ask("GET", PATH, headers={"If-None-Match": known})).status == 304
        saved = await client.ask("PUT", PATH, body(title="Mine"), headers={"If-Match": known})
        late = await client.ask("PUT", PATH, body(title="Late"), headers={"If-Match": known})
        assert (saved.status, late.status) == (200, 412)


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [
        (PATH, b"{", {"If-None-Match": "*"}),
        (PATH, body(charts=[{}]), {"If-None-Match": "*"}),
        (PATH, body(), {"If-Match": "x"}),
        (PATH, body(), {"If-Match": '"1"', "If-None-Match": "*"}),
        ("/1.0/boards/Web", body(), {"If-None-Match": "*"}),
    ],
)
async def test_what_is_not_a_board_is_refused(
    tmp_path: Path, path: str, content: bytes, headers: dict[str, str]
) -> None:
    async with running(tmp_path) as made, connection(made.port) as client:
        assert (await client.ask("PUT", path, content, headers=headers)).status == 400
        assert json.loads((await client.ask("GET", "/1.0/boards")).body)["boards"] == []


async def test_keys_bound_who_may_see_and_who_may_change(start: Start) -> None:
    access = with_keys(
        key("both", Scope.READ, Scope.WRITE),
        key("look", Scope.READ),
        key("send", Scope.WRITE),
        key("acme", Scope.READ, Scope.WRITE, filter='eq(customer, "acme")'),
    )
    async with start(access=access) as made, connection(made.port) as client:

        async def sent(name: str, method: str, path: str = PATH, content: bytes = b"") -> Answer:
            headers = {"X-Api-Key": name} | ({"If-None-Match": "*"} if method == "PUT" else {})
            return await client.ask(method, path, content, headers=headers)

        assert (await client.ask("GET", PATH)).status == 401
        for name in ("look", "send", "acme"):
            assert (await sent(name, "PUT", content=body())).status == 403
            assert (await sent(name, "DELETE")).status == 403
        assert (await sent("both", "PUT", content=body())).status == 201
        again = await sent("both", "PUT", content=body())
        assert (again.status, again.json["by"]) == (412, "both")
        assert "with the key both" in again.json["error"]
        assert (await sent("send", "GET")).status == 403
        assert [(await sent(name, "GET")).json["writable"] for name in ("look", "both")] == [False, True]
        assert (await sent("acme", "GET", "/1.0/boards")).json == {"boards": [], "writable": False}
        shown = (await sent("acme", "GET")).json
        assert (shown["hidden"], shown["by"], shown["board"]["charts"]) == (0, "", BOARD["charts"])


async def test_a_key_of_some_types_sees_the_charts_of_these_and_no_trace_of_others(start: Start) -> None:
    access = with_keys(
        key("team", Scope.READ, Scope.WRITE),
        key("web", Scope.READ, types=frozenset({"request"})),
        key("none", Scope.READ, types=frozenset({"login"})),
    )
    mine = {"expressions": ["sum(request.eq(host, $host)) / 2"], "title": "Mine"}
    secret = ["sum(payment)", "sum(request) / sum(payment.eq(plan, $plan))", "sum(request", "$host"]
    board = {
        "title": "Web",
        "charts": [*({"expressions": [text], "title": "Secret"} for text in secret), mine],
        "variables": [
            {"name": "host", "type": "request", "field": "host"},
            {"name": "plan", "type": "payment", "field": "plan", "value": "secret"},
        ],
    }
    async with start(access=access) as made, connection(made.port) as client:
        saved = await client.ask(
            "PUT", PATH, json.dumps(board).encode(), headers={"X-Api-Key": "team", "If-None-Match": "*"}
        )
        answer = await client.ask("GET", PATH, headers={"X-Api-Key": "web"})
        assert answer.json["board"]["charts"] == [mine]
        assert (answer.json["hidden"], answer.json["charts"]) == (4, 1)
        assert [word for word in (b"ecret", b"payment", b"team") if word in answer.body] == []
        known = {"If-None-Match": saved.headers["etag"]}
        hidden = await client.ask("GET", PATH, headers={"X-Api-Key": "none", **known})
        missing = await client.ask("GET", "/1.0/boards/other", headers={"X-Api-Key": "none"})
        assert (hidden.status, missing.status) == (404, 404)
        assert hidden.json["error"] == missing.json["error"].replace("other", "web")


async def test_a_board_of_a_later_version_is_listed_and_given_to_whom_may_see_all(tmp_path: Path) -> None:
    content = '{"version": 2, "title": "New", "charts": [{"of": "another form"}], "more": 1}'
    access = with_keys(key("look", Scope.READ), key("web", Scope.READ, types=frozenset({"request"})))
    async with running(tmp_path, access=access) as made:
        for name, text in (("new", content), ("odd", "[]")):
            await made.store.boards.save(StoredBoard(name, 7, made.clock.now, text), NO_REVISION, 10)
        look, web = ({"X-Api-Key": name} for name in ("look", "web"))
        listed = (await ask(made.port, "GET", "/1.0/boards", headers=look)).json["boards"]
        assert [(one["title"], one["charts"]) for one in listed] == [("New", 1), ("odd", 0)]
        read = await ask(made.port, "GET", "/1.0/boards/new", headers=look)
        assert read.json["board"] == json.loads(content)
        assert (await ask(made.port, "GET", "/1.0/boards/new", headers=web)).status == 404


async def test_each_environment_has_boards_of_its_own(tmp_path: Path) -> None:
    stores = {name: await open_store(tmp_path, name) for name in ("dev", "prod")}
    keys = [replace(key(name, Scope.READ, Scope.WRITE), environment=name) for name in stores]
    access = Authenticator([Environment(name, name) for name in stores], KeyRing(keys))
    settings = EvaluatorSettings(port=0)
    daemon = EvaluatorDaemon(stores, access, settings, CollectorRegistry(), lambda: DAY)
    try:
        port = int(daemon.addresses["http"].rpartition(":")[2])
        for name in stores:
            headers = {"X-Api-Key": name, "If-None-Match": "*"}
            assert (await ask(port, "PUT", f"/1.0/boards/of-{name}", body(), headers)).status == 201
        for name in stores:
            listed = (await ask(port, "GET", "/1.0/boards", headers={"X-Api-Key": name})).json
            assert [one["name"] for one in listed["boards"]] == [f"of-{name}"]
        assert (await ask(port, "GET", "/1.0/boards/of-prod", headers={"X-Api-Key": "dev"})).status == 404
    finally:
        await daemon.stop(5)
        for store in stores.values():
            await store.close()


async def test_who_changes_a_board_stands_in_the_log_and_no_key_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secret = "cube_0123456789abcdefghijklmnopqrstuv"
    access = with_keys(replace(key("team", Scope.READ, Scope.WRITE), digest=digest(secret)))
    async with running(tmp_path, access=access) as made, connection(made.port) as client:
        headers = {"X-Api-Key": secret}
        await client.ask("PUT", PATH, body(), headers={"If-None-Match": "*", **headers})
        await client.ask("DELETE", PATH, headers={"If-Match": "*", **headers})
    told = [record.getMessage() for record in caplog.records if record.name == "evaluator.api.boards"]
    assert [text.partition(" at ")[0] for text in told] == [
        "the key team saved the board web of default",
        "the key team deleted the board web of default",
    ]
    assert secret not in caplog.text


async def test_what_a_board_holds_comes_back_as_text_whatever_it_is(start: Start) -> None:
    hostile = '</script><b onclick="x">\u2028\U0001f600\u202e${7*7}{{7*7}}\'; --'
    content = {"title": hostile, "charts": [{"expressions": [hostile], "title": hostile}]}
    async with start() as made, connection(made.port) as client:
        sent = json.dumps(content).encode()
        assert (await client.ask("PUT", PATH, sent, headers={"If-None-Match": "*"})).status == 201
        read = await client.ask("GET", PATH)
        assert read.json["board"] == {"version": 1, **content}
        assert read.headers["content-type"] == "application/json"
        huge = json.dumps({"title": "t", "charts": [{"expressions": ["x" * 9_999] * 7}]}).encode()
        large = await client.ask("PUT", PATH, huge, headers={"If-Match": "*"})
        assert (large.status, large.json["error"]) == (
            413,
            f"Got a board of {len(huge)} bytes; accepted are 65536.",
        )
