"""Definitions over HTTP: names that every question, live metric and board has as soon as they are saved."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from cube.expression.definitions import Definitions
from cube.model.environment import Scope
from evaluator.api.service import QueryService
from tests.authenticators import key, with_keys
from tests.evaluator_running import DAY, Running, Socket, Start, event, start
from tests.mongo_server import mongo_server
from tests.web_client import Connection, connection

__all__ = ["mongo_server", "start"]

MINUTE = 60_000
NEW = {"If-None-Match": "*"}
PATH = "/1.0/definitions/failed"


def body(expression: str) -> bytes:
    return json.dumps({"expression": expression}).encode()


async def values(client: Connection, expression: str, **headers: str) -> Any:
    asked = {"expression": expression, "start": DAY, "stop": DAY + MINUTE, "step": MINUTE}
    answer = await client.ask("GET", f"/1.0/metric?{urlencode(asked)}", headers=headers)
    return [row.get("value") for row in answer.json] if answer.status == 200 else answer.json["error"]


async def save(made: Running) -> None:
    await made.save(*(event(DAY + n, {"status": 200 + 100 * n, "customer": n}) for n in range(4)))


async def test_a_definition_is_known_to_every_question_that_follows(start: Start) -> None:
    async with start() as made, connection(made.port) as client:
        await save(made)
        assert 'found "failed"' in await values(client, "failed")
        assert (await client.ask("PUT", PATH, body("sum(test)"))).status == 428
        new = await client.ask("PUT", PATH, body("sum(test.ge(status, 500))"), headers=NEW)
        assert (new.status, new.json["expanded"]) == (201, "sum(test.ge(status,500))")
        assert (await client.ask("PUT", PATH, body("sum(test)"), headers=NEW)).status == 412
        assert await values(client, "10 * failed + shift(failed, 1d)") == [10]

        tag = {"If-Match": new.headers["etag"]}
        changed = await client.ask("PUT", PATH, body("sum(test.ge(status, 400))"), headers=tag)
        assert (changed.status, await values(client, "failed / sum(test)")) == (200, [0.5])
        assert (await client.ask("DELETE", PATH, headers=tag)).status == 412
        rate = "/1.0/definitions/rate"
        assert (await client.ask("PUT", rate, body("failed / sum(test)"), headers=NEW)).status == 201
        assert await values(client, "rate") == [0.5]

        latest = {"If-Match": changed.headers["etag"]}
        circular = await client.ask("PUT", PATH, body("1 - rate"), headers=latest)
        assert (circular.status, "uses itself: " in circular.json["error"]) == (400, True)
        refused = await client.ask("DELETE", PATH, headers=latest)
        assert (refused.status, refused.json["definitions"]) == (409, ["rate"])
        assert (await client.ask("DELETE", f"{PATH}?force=true", headers=latest)).status == 204
        listed = (await client.ask("GET", "/1.0/definitions")).json["definitions"]
        assert [(each["name"], each["expanded"]) for each in listed] == [("rate", None)]
        assert 'found \\"failed\\"' in json.dumps(listed[0]["error"])
        assert "The definition of rate is not valid" in await values(client, "rate")


async def test_who_uses_a_definition_is_told_before_it_is_gone(start: Start) -> None:
    async with start() as made, connection(made.port) as client:
        for name, text in (("failed", "sum(test)"), ("rate", "failed / 2"), ("twice", "2 * rate")):
            await client.ask("PUT", f"/1.0/definitions/{name}", body(text), headers=NEW)
        for name, text in (("home", "1 - rate"), ("other", 'sum(test.eq(x, "failed"))'), ("odd", "failed +")):
            board = json.dumps({"title": name, "charts": [{"expressions": [text]}]}).encode()
            assert (await client.ask("PUT", f"/1.0/boards/{name}", board, headers=NEW)).status == 201

        anyway = {"If-Match": "*"}
        refused = await client.ask("DELETE", PATH, headers=anyway)
        assert (refused.status, refused.json["definitions"], refused.json["boards"]) == (
            409,
            ["rate", "twice"],
            ["home"],
        )
        assert "The definition of failed is not deleted: the definitions rate, twice" in refused.json["error"]
        assert (await client.ask("PUT", PATH, body("sum(test.eq(x, 1))"), headers=anyway)).status == 200
        moved = body("fill(sum(test), 0)")
        for name in ("rate", "failed"):
            changed = await client.ask("PUT", f"/1.0/definitions/{name}", moved, headers=anyway)
            assert changed.status == 200  # what uses them is valid still
        rolling = body("rolling(rate, 1h)")
        assert (await client.ask("PUT", "/1.0/definitions/twice", rolling, headers=anyway)).status == 400
        assert (await client.ask("DELETE", f"{PATH}?force=yes", headers=anyway)).status == 400
        assert (await client.ask("DELETE", PATH, headers=anyway)).status == 204  # nothing uses it any more
        assert (await client.ask("DELETE", "/1.0/definitions/rate", headers=anyway)).status == 409
        assert (await client.ask("DELETE", "/1.0/definitions/rate?force=true", headers=anyway)).status == 204


async def test_a_change_that_leaves_others_without_meaning_is_refused(start: Start) -> None:
    async with start() as made, connection(made.port) as client:
        for name, text in (("failed", "sum(test)"), ("slow", "rolling(failed, 1h)")):
            await client.ask("PUT", f"/1.0/definitions/{name}", body(text), headers=NEW)
        change = body("fill(sum(test), 0)")
        refused = await client.ask("PUT", PATH, change, headers={"If-Match": "*"})
        assert (refused.status, refused.json["definitions"]) == (409, ["slow"])
        assert "The definition of failed is not changed: the definition slow" in refused.json["error"]
        forced = await client.ask("PUT", f"{PATH}?force=true", change, headers={"If-Match": "*"})
        assert forced.status == 200


def at_once(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let so many requests read the definitions before any of them goes on."""
    arrived: list[None] = []
    all_here, read = asyncio.Event(), QueryService.definitions

    async def together(self: QueryService) -> Definitions:
        found = await read(self)
        arrived.append(None)
        if len(arrived) >= count:
            all_here.set()
        await all_here.wait()
        return found

    monkeypatch.setattr(QueryService, "definitions", together)


async def test_of_changes_that_are_saved_at_once_none_makes_a_circle(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as made, connection(made.port) as one, connection(made.port) as other:
        asked = {name: f"/1.0/definitions/{name}" for name in ("left", "right")}
        tags = {
            name: {"If-Match": (await one.ask("PUT", path, body("sum(test)"), headers=NEW)).headers["etag"]}
            for name, path in asked.items()
        }
        at_once(monkeypatch, 2)
        answers = await asyncio.gather(
            one.ask("PUT", asked["left"], body("right + 1"), headers=tags["left"]),
            other.ask("PUT", asked["right"], body("left + 1"), headers=tags["right"]),
        )
        refused = [answer for answer in answers if answer.status != 200]
        assert refused
        assert all("uses itself: " in answer.json["error"] for answer in refused)
        listed = (await one.ask("GET", "/1.0/definitions")).json["definitions"]
        assert [each["error"] for each in listed] == [None, None]


async def test_what_begins_to_be_used_while_it_is_deleted_stays(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with start() as made, connection(made.port) as one, connection(made.port) as other:
        await one.ask("PUT", PATH, body("sum(test)"), headers=NEW)
        at_once(monkeypatch, 2)
        deleted, used = await asyncio.gather(
            one.ask("DELETE", PATH, headers={"If-Match": "*"}),
            other.ask("PUT", "/1.0/definitions/rate", body("failed / 2"), headers=NEW),
        )
        assert {deleted.status, used.status} & {400, 409}
        listed = (await one.ask("GET", "/1.0/definitions")).json["definitions"]
        assert [each["error"] for each in listed] == [None] * len(listed)
        assert len(listed) == (2 if used.status == 201 else 1 if deleted.status == 409 else 0)


async def test_a_live_metric_follows_what_a_name_stands_for(start: Start) -> None:
    async with start() as made, connection(made.port) as client:
        await save(made)
        await client.ask("PUT", PATH, body("sum(test.ge(status, 500))"), headers=NEW)
        socket = await made.socket("/1.0/metric/get")
        await socket.ask(expression="2 * failed", step=MINUTE, start=DAY)
        assert [await next_value(socket), await socket.next()] == [2, {"live": True}]
        await client.ask("PUT", PATH, body("sum(test.ge(status, 400))"), headers={"If-Match": "*"})
        assert await next_value(socket) == 4
        await made.save(event(DAY + 9, {"status": 404}))
        assert await next_value(socket) == 6
        await client.ask("PUT", PATH, body("sum(test).group(status)"), headers={"If-Match": "*"})
        assert "other groups" in (await socket.next())["error"]


async def next_value(socket: Socket) -> Any:
    return (await socket.next())["value"]


async def test_a_keys_filter_holds_for_what_a_name_stands_for(start: Start) -> None:
    access = with_keys(
        key("team", Scope.READ, Scope.WRITE),
        key("seen", Scope.READ, types=frozenset({"test"}), filter="eq(customer, 3)"),
    )
    async with start(access=access) as made, connection(made.port) as client:
        await save(made)
        mine = {"Authorization": "Bearer team"}
        theirs = {"Authorization": "Bearer seen"}
        for name, text in (("failed", "sum(test)"), ("other", "sum(secret)")):
            put = await client.ask("PUT", f"/1.0/definitions/{name}", body(text), headers={**NEW, **mine})
            assert put.status == 201
        assert await values(client, "failed", **mine) == [4]
        assert await values(client, "failed", **theirs) == [1]
        assert "other" not in await values(client, "fail", **theirs)
        assert "secret" not in json.dumps((await client.ask("GET", "/1.0/definitions", headers=theirs)).json)
        assert (await client.ask("DELETE", PATH, headers={"If-Match": "*", **theirs})).status == 403
        for headers, names in ((mine, ["failed", "other", "test"]), (theirs, ["failed", "test"])):
            labels = await client.ask("GET", "/prometheus/api/v1/label/__name__/values", headers=headers)
            assert labels.json["data"] == names
        for query, formatted in (("sum( test )", "sum(test)"), ("failed", "failed")):
            target = f"/prometheus/api/v1/format_query?{urlencode({'query': query})}"
            assert (await client.ask("GET", target, headers=theirs)).json["data"] == formatted


async def test_a_key_that_may_see_everything_sees_what_is_wrong(start: Start) -> None:
    async with start(access=with_keys(key("team", *Scope))) as made, connection(made.port) as client:
        await made.save(event(DAY, {}))
        mine = {"Authorization": "Bearer team"}
        for name, text in (("failed", "sum(test)"), ("rate", "failed / 2")):
            await client.ask("PUT", f"/1.0/definitions/{name}", body(text), headers={**NEW, **mine})
        await client.ask("DELETE", f"{PATH}?force=true", headers={"If-Match": "*", **mine})
        (rate,) = (await client.ask("GET", "/1.0/definitions", headers=mine)).json["definitions"]
        assert (rate["name"], rate["by"]) == ("rate", "team")
        assert 'found "failed"' in rate["error"]
        assert "a saved name (rate)" in await values(client, "failed", **mine)


async def test_names_are_completed_and_said(start: Start) -> None:
    async with start() as made, connection(made.port) as client:
        await save(made)
        await client.ask("PUT", PATH, body("sum(test)"), headers=NEW)
        asked = urlencode({"expression": "1 - fai", "at": 7})
        told = (await client.ask("GET", f"/1.0/expression?{asked}")).json
        assert told["completions"]["items"] == [{"text": "failed", "kind": "name", "detail": "sum(test)"}]
        for field in ("sum(test(user.", "sum(test(list["):
            asked = urlencode({"expression": field, "at": len(field)})
            assert not (await client.ask("GET", f"/1.0/expression?{asked}")).json["completions"]["items"]
        told = (await client.ask("GET", "/1.0/expression?expression=failed/2")).json
        assert [each["expression"] for each in told["readings"]] == ["sum(test) / 2"]
        assert told["has_names"]
        assert not (await client.ask("GET", "/1.0/expression?expression=sum(failed)")).json["has_names"]


async def test_what_a_name_stands_for_is_not_told_to_who_may_not_see_it(start: Start) -> None:
    access = with_keys(key("team", *Scope), key("seen", Scope.READ, types=frozenset({"test", "other"})))
    async with start(access=access) as made, connection(made.port) as client:
        await save(made)
        text = body("sum(secret(income))")
        put = await client.ask("PUT", "/1.0/definitions/other", text, headers={**NEW, "X-Api-Key": "team"})
        assert put.status == 201
        for expression in ("other", "1 - other", "shift(other, 1h)", "sum(other)"):
            for path in ("expression", "metric", "event"):
                asked = urlencode({"expression": expression, "at": 2} | {"start": 0})
                told = await client.ask("GET", f"/1.0/{path}?{asked}", headers={"X-Api-Key": "seen"})
                said = told.body.decode() + told.headers.get("cube-warnings", "")
                assert "income" not in said
                assert "secret" not in said
