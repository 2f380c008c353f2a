"""Boards over HTTP, on both stores: two editors never overwrite each other, and keys bound who may."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cube.model.environment import DEFAULT, Environment, Key, Scope, digest
from cube.web import Authenticator
from cube.web.keys import KeyRing
from tests.evaluator_running import Start, running, start
from tests.mongo_server import mongo_server
from tests.web_client import connection

__all__ = ["mongo_server", "start"]

BOARD = {"title": "Web <b>1</b>", "charts": [{"expressions": ["sum(request.eq(host, $host))"]}]}
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


async def test_keys_bound_who_may_see_and_who_may_change(tmp_path: Path) -> None:
    def key(name: str, *scopes: Scope, **bounds: Any) -> Key:
        return Key(name, digest(name), DEFAULT, frozenset(scopes), **bounds)

    ring = KeyRing(
        (
            key("both", Scope.READ, Scope.WRITE),
            key("look", Scope.READ),
            key("send", Scope.WRITE),
            key("acme", Scope.READ, Scope.WRITE, filter='eq(customer, "acme")'),
        )
    )
    access = Authenticator([Environment(DEFAULT, "test")], ring)
    async with running(tmp_path, access=access) as made, connection(made.port) as client:

        async def ask(name: str, method: str, path: str = PATH, content: bytes = b"") -> Any:
            headers = {"X-Api-Key": name} | ({"If-None-Match": "*"} if method == "PUT" else {})
            return await client.ask(method, path, content, headers=headers)

        assert (await client.ask("GET", PATH)).status == 401
        for name in ("look", "send", "acme"):
            assert (await ask(name, "PUT", content=body())).status == 403
        assert (await ask("both", "PUT", content=body())).status == 201
        assert (await ask("send", "GET")).status == 403
        assert json.loads((await ask("look", "GET")).body)["writable"] is False
        assert json.loads((await ask("acme", "GET", "/1.0/boards")).body) == {"boards": [], "writable": False}
        assert (await ask("acme", "GET")).status == 200
