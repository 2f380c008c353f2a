"""The evaluator over HTTP, from its socket down to a SQLite store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from cube.errors import Unavailable
from cube.model import instant
from cube.model.event import ABSENT
from cube.store.read_options import ReadOptions
from tests.evaluator_running import DAY, Running, event, known_events, running
from tests.web_client import Answer, connection

START, STOP = "2011-07-17T23:47Z", "2011-07-18T00:50Z"


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as running_:
        yield running_


async def ask(made: Running, path: str, method: str = "GET", **parameters: Any) -> Answer:
    headers = {"Origin": "http://localhost:3000"}
    async with connection(made.port) as client:
        return await client.ask(method, f"{path}?{urlencode(parameters, doseq=True)}", headers=headers)


async def values(made: Running, expression: str, step: int | str) -> list[float | None]:
    answer = await ask(made, "/1.0/metric", expression=expression, step=step, start=START, stop=STOP)
    assert answer.status == 200, answer.body
    return [row.get("value") for row in answer.json]


SPREADS = [None, 16, 64, 142, 174, 224, 274, 324, 374, 424, 474, None, None]
KNOWN: list[tuple[str, int | str, list[float | None]]] = [
    ("sum(test)", "3e5", [0, 17, 65, 143, 175, 225, 275, 325, 375, 425, 475, 0, 0]),
    ("sum(test)", 3_600_000, [82, 2418]),
    ("sum(test)", 86_400_000, [82, 2418]),
    ("sum(test)", 604_800_000, [82, 2418]),
    ("sum(test(i))", 3_600_000, [3321, 3120429]),
    ("count(test)", 3_600_000, [82, 2418]),
    ("max(test(i)) - min(test(i))", 300_000, SPREADS),
    ("-1 + sum(test)", 300_000, [-1, 16, 64, 142, 174, 224, 274, 324, 374, 424, 474, -1, -1]),
    ("median(test(i))", 3_600_000, [40.5, 1290.5]),
    ("distinct(test(i))", 86_400_000, [82, 2418]),
]


@pytest.mark.parametrize(("expression", "step", "expected"), KNOWN)
async def test_known_metrics_cold_and_warm(
    made: Running, expression: str, step: int | str, expected: list[float | None]
) -> None:
    await made.save(*known_events())
    assert await values(made, expression, step) == expected
    assert await values(made, expression, step) == expected


@pytest.mark.parametrize("step", [1000, 10_000, 60_000])
async def test_known_metrics_add_up_at_every_fine_step(made: Running, step: int) -> None:
    await made.save(*known_events())
    found = await values(made, "sum(test)", step)
    assert sum(value or 0 for value in found) == 2500
    # The minute from 00:01 has the events with 11 <= sqrt(i) < 12.
    assert found[14 * 60_000 // step] == 144 - 121


async def test_a_metric_is_written_exactly(made: Running) -> None:
    await made.save(event(DAY, {"v": 2.5, "g": "a"}), event(DAY + 60_000, {"v": None, "g": 1}))
    asked = {"step": 60_000, "start": DAY, "stop": DAY + 120_000}
    answer = await ask(made, "/1.0/metric/get", expression="max(test(v))", **asked)
    assert answer.body == (
        b'[{"time":"2011-07-18T00:00:00.000Z","value":2.5},{"time":"2011-07-18T00:01:00.000Z"}]'
    )
    answer = await ask(made, "/1.0/metric", expression="count(test).group(g)", **asked)
    assert answer.json == [
        {"time": "2011-07-18T00:00:00.000Z", "value": 0, "group": 1},
        {"time": "2011-07-18T00:00:00.000Z", "value": 1, "group": "a"},
        {"time": "2011-07-18T00:01:00.000Z", "value": 1, "group": 1},
        {"time": "2011-07-18T00:01:00.000Z", "value": 0, "group": "a"},
    ]


async def test_events_are_the_latest_ascending(made: Running) -> None:
    await made.save(
        event(DAY - 3, {"a": {"b": 1}, "c": 2}, "x"),
        event(DAY - 2, {"a": {"b": None}}),
        event(DAY - 1, {"c": 1}, 7),
        event(DAY, {"a": {"b": 3}}),
    )
    answer = await ask(made, "/1.0/event", expression="test")
    assert answer.json == [
        {"id": "x", "time": "2011-07-17T23:59:59.997Z"},
        {"time": "2011-07-17T23:59:59.998Z"},
        {"id": 7, "time": "2011-07-17T23:59:59.999Z"},
    ]
    answer = await ask(made, "/1.0/event/get", expression="test(a.b)", stop=DAY + 1, limit=2)
    assert answer.json == [
        {"time": "2011-07-17T23:59:59.998Z", "data": {"a": {"b": None}}},
        {"time": "2011-07-18T00:00:00.000Z", "data": {"a": {"b": 3}}},
    ]


async def test_an_event_without_data_has_none(made: Running) -> None:
    await made.save(event(DAY - 1, ABSENT, "a"), event(DAY - 1, None, "b"))
    answer = await ask(made, "/1.0/event", expression="test(*)")
    assert [row.get("data", "none") for row in answer.json] == ["none", None]


async def test_types_are_sorted(made: Running) -> None:
    await made.save(event(DAY, type="b"), event(DAY, type="a"), event(DAY, type="_c"))
    assert (await ask(made, "/1.0/types")).json == ["_c", "a", "b"]
    assert (await ask(made, "/1.0/types/get")).json == ["_c", "a", "b"]


async def test_start_equal_to_stop_is_an_empty_array(made: Running) -> None:
    for path in ("/1.0/metric", "/1.0/event"):
        answer = await ask(made, path, expression="sum(test)", start=START, stop=START)
        assert (answer.status, answer.body) == (200, b"[]")


async def test_the_open_bucket_is_left_out_and_limit_counts_buckets(made: Running) -> None:
    made.clock.now = DAY + 61_500
    rows = (await ask(made, "/1.0/metric", expression="sum(test)", limit=2, step=60_000)).json
    assert [row["time"] for row in rows] == ["2011-07-17T23:59:00.000Z", "2011-07-18T00:00:00.000Z"]
    rows = (await ask(made, "/1.0/metric", expression="sum(test)", limit=20_000)).json
    assert len(rows) == 10_000


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({}, "expression is missing"),
        ({"expression": "sum(test"}, "expected"),
        ({"expression": "sum(test)", "step": 5}, "up to 366 days"),
        ({"expression": "sum(test)", "limit": 0}, "limit"),
        ({"expression": ["sum(test)", "sum(test)"]}, "twice"),
        ({"expression": "sum(test)", "start": 1, "stop": 0}, "after the stop"),
        ({"expression": "sum(test).group(g) + 1", "step": 1000, "start": 0, "stop": 9_500_000}, "groups"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    made: Running, parameters: dict[str, Any], part: str
) -> None:
    await made.save(*(event(number, {"g": number}) for number in range(11)))
    answer = await ask(made, "/1.0/metric", **parameters)
    assert answer.status == 400
    assert part in answer.json["error"].lower()
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_a_parse_error_says_where(made: Running) -> None:
    answer = await ask(made, "/1.0/metric", expression="sum(test) sum(test)")
    assert (answer.json["line"], answer.json["column"]) == (1, 11)


@pytest.mark.parametrize("filter", ['re(a,"b(")', 'or(eq(a,1),not(re(a,"b(")))'])
async def test_a_bad_pattern_is_refused_before_any_scan(made: Running, filter: str) -> None:
    await made.save(event(DAY - 1, {"a": "text"}))
    for path, expression in (("/1.0/metric", f"sum(test.{filter})"), ("/1.0/event", f"test.{filter}")):
        answer = await ask(made, path, expression=expression)
        assert answer.status == 400
        assert "missing ): b(; accepted is RE2's syntax" in answer.json["error"]
        assert answer.json["field"] == "expression"
    assert (made.seen.finds, made.seen.scans) == ([], [])


async def test_head_is_answered_like_get(made: Running) -> None:
    head = await ask(made, "/1.0/metric", "HEAD", expression="1", limit=2)
    get = await ask(made, "/1.0/metric", "GET", expression="1", limit=2)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(get.body))


@pytest.mark.parametrize("path", ["/1.0/metric", "/1.0/metric/get", "/1.0/event", "/1.0/types"])
async def test_other_methods_are_told_which_are_accepted(made: Running, path: str) -> None:
    answer = await ask(made, path, "POST")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_a_preflight_is_answered(made: Running) -> None:
    answer = await ask(made, "/1.0/metric", "OPTIONS")
    assert answer.status == 204
    assert "GET" in answer.headers["access-control-allow-methods"]


async def test_a_store_that_does_not_answer_is_a_503(made: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(options: ReadOptions) -> None:
        raise Unavailable("The store is away.", retry_after_seconds=3)

    monkeypatch.setattr(made.seen.events, "read", refuse)
    answer = await ask(made, "/1.0/metric", expression="sum(test)")
    assert (answer.status, answer.headers["retry-after"]) == (503, "3")
    assert answer.json["error"] == "The store is away."


async def test_the_description_names_every_route(made: Running) -> None:
    paths = (await ask(made, "/openapi.json")).json["paths"]
    assert {
        "/1.0/event",
        "/1.0/event/get",
        "/1.0/metric",
        "/1.0/metric/get",
        "/1.0/types",
        "/1.0/types/get",
    } <= set(paths)
    assert (await ask(made, "/healthz")).status == (await ask(made, "/readyz")).status == 200
    put = paths["/1.0/boards/{name}"]["put"]["responses"]
    forms = {status: put[status]["content"]["application/json"]["schema"] for status in ("200", "412", "428")}
    assert forms["412"] == forms["428"] == {"$ref": "#/components/schemas/Error"} != forms["200"]


async def test_the_description_has_the_defaults_and_the_statuses_that_are_served(tmp_path: Path) -> None:
    async with running(tmp_path, rows=7) as made:
        described = (await ask(made, "/openapi.json")).json["paths"]["/1.0/metric"]["get"]
        schemas = {each["name"]: each["schema"] for each in described["parameters"]}
        rows = (await ask(made, "/1.0/metric", expression="1", limit=8)).json
        assert schemas["limit"]["default"] == len(rows) == 7
        first, second = (instant.parse(row["time"]) for row in rows[:2])
        assert schemas["step"]["default"] == second - first
        for step in schemas["step"]["examples"]:
            assert (await ask(made, "/1.0/metric", expression="1", step=step)).status == 200
        assert [name for name, each in schemas.items() if "default" not in each] == [
            "expression",
            "start",
            "stop",
        ]
        refused = await ask(made, "/1.0/metric", expression="1", step=7)
        assert {str(refused.status), "200", "413", "415", "500", "503"} < set(described["responses"])
        assert "Retry-After" in described["responses"]["503"]["headers"]


async def test_its_own_work_is_stored_only_where_that_is_asked_for(tmp_path: Path) -> None:
    for asked in (False, True):
        async with running(tmp_path, self_events=asked) as made:
            await made.save(event(DAY - 60_000))
            await ask(made, "/1.0/metric", expression="sum(test)", step=1000, start=DAY - 60_000, stop=DAY)
        async with running(tmp_path) as after:
            assert (await ask(after, "/1.0/types")).json == (
                ["cube_compute", "cube_request", "test"] if asked else ["test"]
            )
    async with running(tmp_path, now=DAY + 1) as after:
        (row,) = (await ask(after, "/1.0/event", expression="cube_compute(expression, ms)")).json
        assert row["data"]["expression"] == "sum(test)"
        assert row["data"]["ms"] >= 0
