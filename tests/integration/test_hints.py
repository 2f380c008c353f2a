"""Answers that say nothing come with what the question may have got wrong: over HTTP, and Prometheus' API."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from cube.model import instant
from cube.model.environment import DEFAULT, Environment, Key, Scope, digest
from cube.web import Authenticator, KeyRing
from evaluator.api import hints, known
from tests.evaluator_running import DAY, Running, Start, event, start
from tests.mongo_server import mongo_server
from tests.web_client import Answer, connection

__all__ = ["mongo_server", "start"]

SECRET = "acme-Zk4Q9w7LxT2"
KEY = Key("acme", digest(SECRET), DEFAULT, frozenset({Scope.READ}), frozenset({"request"}), "eq(host, 1)")
EVENTS = [{"status": "500", "ms": 5, "tags": ["a"]}, {"status": "404", "ms": 7.5, "tags": ["b"], "note": "x"}]

TOLD = {
    "sum(requst)": "There are no events of the type requst; the nearest is request.",
    "sum(zzz) + sum(request)": "There are no events of the type zzz; there are those of deploy, request.",
    "sum(request(mss))": "None of the 2 events of request has the field mss; the nearest is ms.",
    "max(request(url))": "None of the 2 events of request has the field url.",
    "sum(request.ge(status, 500))": (
        "status is text in all 2 events of request: ge(status,500) compares with a number, so no "
        "event passes; number(status) reads numbers in text."
    ),
    'sum(request.eq(ms, "5"))': (
        'ms is a number in all 2 events of request: eq(ms,"5") compares with text, so no event '
        "passes; without quotes it compares with a number."
    ),
    'sum(request.in(note, [1, true, "y"]))': "",
    "sum(request.lt(note, 1))": (
        "note is text in the one event of request that has it: lt(note,1) compares with a number, "
        "so no event passes."
    ),
    'sum(request.re(ms, "5"))': (
        'ms is a number in all 2 events of request: re(ms,"5") takes text, so no event passes.'
    ),
    "sum(request(status))": (
        "status is text in all 2 events of request: sum(request(status)) takes numbers, so it has "
        "nothing to take; number(status) reads numbers in text."
    ),
    "mean(request(note * 2))": (
        "note is text in the one event of request that has it: note * 2 takes numbers, so it has "
        "nothing to take."
    ),
    "sum(request).group(hots)": "None of the 2 events of request has the field hots.",
    "funnel(user, 1h, request, deploy)": (
        "None of the 2 events of request has the field user. The one event of deploy does not "
        "have the field user."
    ),
    "sum(request.eq(tags, 1))": "",
    "sum(request.eq(status, null))": "",
    "sum(request.eq(ms, 6))": "",
    "sum(request(ms))": "",
    "1 - 1": "",
}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of time are out of the way of a loaded machine."""
    monkeypatch.setattr(known, "COMPLETIONS", replace(known.COMPLETIONS, seconds=20.0))
    monkeypatch.setattr(hints, "SECONDS", 20.0)


async def ask(made: Running, path: str, key: str | None = None, **parameters: Any) -> Answer:
    headers = {"Origin": "http://localhost"} if key is None else {"X-Api-Key": key}
    async with connection(made.port) as client:
        found = await client.ask("GET", f"{path}?{urlencode(parameters)}", headers=headers)
    assert found.status == 200, found.body
    return found


def warned(answer: Answer) -> str:
    return " ".join(json.loads(answer.headers.get("cube-warnings", "[]")))


async def save(made: Running) -> None:
    await made.save(*(event(DAY + at, data, type="request") for at, data in enumerate(EVENTS)))
    await made.save(event(DAY, {"version": "1"}, type="deploy"))


async def test_an_answer_that_says_nothing_tells_what_may_be_wrong(start: Start) -> None:
    async with start(now=DAY + 60_000) as made:
        assert (
            warned(await ask(made, "/1.0/event", expression="request"))
            == "There are no events of the type request, nor of any other."
        )
        await save(made)
        span = {"start": DAY, "stop": DAY + 10_000}
        for expression, told in TOLD.items():
            assert warned(await ask(made, "/1.0/metric", expression=expression, **span)) == told, expression
            read = await ask(made, "/1.0/expression", expression=expression)
            assert " ".join(read.json["hints"]) == told, expression
        event_answer = await ask(made, "/1.0/event", expression="request(mss)")
        assert (warned(event_answer), event_answer.json) == (TOLD["sum(request(mss))"], [])
        assert "Cube-Warnings" in event_answer.headers["access-control-expose-headers"]
        for path, asked in (("fields", {"type": "requst"}), ("values", {"type": "request", "field": "mss"})):
            told = TOLD["sum(requst)" if path == "fields" else "sum(request(mss))"]
            assert warned(await ask(made, f"/1.0/{path}", **asked)) == told
        await check_spans(made)
        await check_prometheus(made)


async def test_an_answer_with_values_tells_of_fields_that_it_goes_without(start: Start) -> None:
    async with start(now=DAY + 60_000) as made:
        await save(made)
        span = {"start": DAY, "stop": DAY + 10_000}
        told = TOLD["sum(request(mss))"]
        for expression, sentence in {
            'sum(request.ne(mss, "x"))': told,
            "sum(request.not(eq(mss, 1)))": told,
            "sum(request(ms)) + sum(request(mss))": told,
            'sum(request.ne(status, "x"))': "",
            "sum(request)": "",
        }.items():
            for _ in range(2):
                answer = await ask(made, "/1.0/metric", expression=expression, **span)
                assert any(row["value"] for row in answer.json), expression
                assert warned(answer) == sentence, expression


async def test_a_parameter_that_nothing_heeds_is_told(start: Start) -> None:
    async with start(now=DAY + 60_000) as made:
        await save(made)
        asked = {"expression": "sum(request)", "start": DAY, "stop": DAY + 60_000}
        answer = await ask(made, "/1.0/metric", **asked, stpe=60_000)
        accepted = "expression, start, stop, step, timezone, week_start, limit"
        assert len(answer.json) == 6
        assert warned(answer) == f"There is no parameter stpe; there are {accepted}."
        answer = await ask(made, "/1.0/event", expression="request", order="desc")
        assert warned(answer) == (
            "There is no parameter order; there are expression, start, stop, limit, after, before, ids."
        )
        many = {f"x{number}": "" for number in range(50)}
        assert (
            len(json.loads((await ask(made, "/1.0/metric", **asked, **many)).headers["cube-warnings"])) == 5
        )
        assert warned(await ask(made, "/1.0/metric", **asked, _="1700000000000", api_key="")) == ""


async def test_every_parameter_that_is_described_is_known(start: Start) -> None:
    async with start(now=DAY) as made:
        paths = (await ask(made, "/openapi.json")).json["paths"]
    for name, known_ones in (("metric", hints.METRIC_PARAMETERS), ("event", hints.EVENT_PARAMETERS)):
        described = {each["name"] for each in paths[f"/1.0/{name}"]["get"]["parameters"]}
        assert described == set(known_ones)


async def test_an_answer_without_a_bucket_says_how_to_see_the_one_that_goes_on(start: Start) -> None:
    async with start(now=DAY + 60_000) as made:
        await save(made)
        asked = {"expression": "sum(request)", "start": DAY, "step": "1h"}
        answer = await ask(made, "/1.0/metric", **asked)
        assert (answer.json, "a stop of now" in warned(answer)) == ([], True)
        answer = await ask(made, "/1.0/metric", **asked, stop="now")
        assert ([row["value"] for row in answer.json], warned(answer)) == ([len(EVENTS)], "")
        assert warned(await ask(made, "/1.0/metric", **asked, stop=DAY)) == ""


async def check_spans(made: Running) -> None:
    after = await ask(made, "/1.0/metric", expression="sum(request)", start=DAY + 20_000, stop=DAY + 30_000)
    newest, start = instant.format(DAY + 1), instant.format(DAY + 20_000)
    assert warned(after) == f"The newest event of request is of {newest}, before the start, {start}."
    before = await ask(made, "/1.0/metric", expression="sum(request)", start=DAY - 20_000, stop=DAY - 10_000)
    oldest, stop = instant.format(DAY), instant.format(DAY - 10_000)
    assert warned(before) == f"The oldest event of request is of {oldest}, after the end, {stop}."
    shifted = "shift(sum(request), 1h)"
    assert warned(await ask(made, "/1.0/metric", expression=shifted, start=DAY + 20_000)) == ""


async def check_prometheus(made: Running) -> None:
    at = {"time": DAY // 1000 + 10, "step": 10}
    silent = await ask(made, "/prometheus/api/v1/query", query="sum(requst)", **at)
    assert silent.json["warnings"] == [TOLD["sum(requst)"]]
    times = {"start": DAY // 1000, "end": DAY // 1000 + 10, "step": 10}
    ranged = await ask(made, "/prometheus/api/v1/query_range", query="sum(request(mss))", **times)
    assert ranged.json["warnings"] == [TOLD["sum(request(mss))"]]
    assert "warnings" not in (await ask(made, "/prometheus/api/v1/query", query="sum(request)", **at)).json


async def test_hints_tell_no_more_than_a_key_may_see(start: Start) -> None:
    access = Authenticator((Environment(DEFAULT, "test"),), KeyRing([KEY]))
    async with start(access=access, now=DAY + 60_000) as made:
        await save(made)
        await made.save(event(DAY, {"host": 1, "mss": 3}, type="request"))
        found = await ask(made, "/1.0/metric", SECRET, expression="sum(request(ms))", start=DAY)
        assert warned(found) == "The one event of request does not have the field ms; the nearest is mss."
