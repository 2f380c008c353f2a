"""Answers that are cut say so, and how to read on: pages of events, and of a metric's buckets."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
import pytest_asyncio

from cube.client import Evaluator
from cube.model.event import Event
from cube.process.threads import run_in_thread
from tests.evaluator_running import DAY, Running, event, running
from tests.web_client import Answer, connection

PATH = "/1.0/event"


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as running_:
        yield running_


async def ask(made: Running, path: str, **parameters: Any) -> Answer:
    async with connection(made.port) as client:
        target = f"{path}?{urlencode(parameters)}" if parameters else path
        return await client.ask("GET", target, headers={"Origin": "http://localhost:3000"})


def following(answer: Answer, path: str) -> str | None:
    """Return the path and query of the next page, as a client of RFC 8288 finds it."""
    link = answer.headers.get("link")
    assert (link is None) == ("cube-truncated" not in answer.headers)
    if link is None:
        return None
    found = re.fullmatch(r'<(.+)>; rel="next"', link)
    assert found is not None
    return urljoin(path, found[1])


async def walk(made: Running, path: str, **parameters: Any) -> list[list[Any]]:
    """Follow the links to the end."""
    answer = await ask(made, path, **parameters)
    pages = []
    while True:
        assert answer.status == 200, answer.body
        pages.append(answer.json)
        target = following(answer, path)
        if target is None:
            return pages
        answer = await ask(made, target)


def many(count: int, per_time: int = 1) -> list[Event]:
    return [event(DAY + i // per_time, {"i": i, "even": i % 2 == 0}, i) for i in range(count)]


async def test_the_latest_events_are_what_they_were_and_link_to_those_before(made: Running) -> None:
    await made.save(*many(10, per_time=10))
    made.clock.now = DAY + 1
    answer = await ask(made, PATH, expression="test(i)", limit=4)
    assert [row["id"] for row in answer.json] == [6, 7, 8, 9]
    assert answer.headers["cube-truncated"] == "limit"
    exposed = answer.headers["access-control-expose-headers"]
    assert {"Link", "Cube-Cursor", "Cube-Truncated"} <= set(exposed.split(", "))
    pages = await walk(made, PATH, expression="test(i)", limit=4)
    assert [[row["id"] for row in page] for page in pages] == [[6, 7, 8, 9], [2, 3, 4, 5], [0, 1]]


async def test_after_nothing_the_first_events_come_first(made: Running) -> None:
    await made.save(*many(10, per_time=10))
    made.clock.now = DAY + 1
    pages = await walk(made, PATH, expression="test.eq(even, true)", limit=2, after="")
    assert [[row["id"] for row in page] for page in pages] == [[0, 2], [4, 6], [8]]


async def test_more_events_of_one_instant_than_an_answer_has_are_read_to_the_end(made: Running) -> None:
    await made.save(*many(14_000, per_time=14_000))
    made.clock.now = DAY + 1
    for after in ({}, {"after": ""}):
        pages = await walk(made, PATH, expression="test", **after)
        assert sorted(len(page) for page in pages) == [4_000, 10_000]
        assert sorted(row["id"] for page in pages for row in page) == list(range(14_000))


async def test_a_whole_answer_has_a_cursor_and_no_link(made: Running) -> None:
    await made.save(*many(3))
    made.clock.now = DAY + 3
    answer = await ask(made, PATH, expression="test", limit=3)
    assert len(answer.json) == 3
    assert "link" not in answer.headers
    answer = await ask(made, PATH, expression="test", after="")
    last = answer.headers["cube-cursor"]
    made.clock.now = DAY + 10
    await made.save(event(DAY + 5, None, "new"))
    answer = await ask(made, PATH, expression="test", after=last)
    assert [row["id"] for row in answer.json] == ["new"]
    answer = await ask(made, PATH, expression="test", after=answer.headers["cube-cursor"])
    assert answer.json == []
    assert answer.headers["cube-cursor"] != last


async def test_a_walk_ends_though_events_go_on_to_arrive(made: Running) -> None:
    await made.save(*many(4))
    made.clock.now = DAY + 4
    answer = await ask(made, PATH, expression="test", limit=2, after="")
    made.clock.now = DAY + 1_000
    await made.save(event(DAY + 500, None, "later"), event(DAY + 3, None, "meanwhile"))
    pages = []
    while (target := following(answer, PATH)) is not None:
        answer = await ask(made, target)
        pages.append([row["id"] for row in answer.json])
    assert pages == [[2, 3], ["meanwhile"]]


async def test_relative_times_stay_what_they_were_as_the_walk_began(made: Running) -> None:
    await made.save(*many(4))
    made.clock.now = DAY + 4
    relative = {"expression": "test", "limit": 2, "start": "-2s", "stop": "now"}
    answer = await ask(made, PATH, **relative, after="")
    made.clock.now = DAY + 10_000
    await made.save(event(DAY + 5_000, None, "later"))
    answer = await ask(made, PATH, **relative, after=answer.headers["cube-cursor"])
    assert [row["id"] for row in answer.json] == [2, 3]
    assert "cube-truncated" not in answer.headers
    answer = await ask(made, PATH, **{**relative, "start": "-1h"}, after=answer.headers["cube-cursor"])
    assert [row["id"] for row in answer.json] == ["later"]


async def test_a_page_ends_before_it_has_more_bytes_than_an_answer_may(tmp_path: Path) -> None:
    async with running(tmp_path, answer_bytes=1_000) as made:
        await made.save(*(event(DAY + i, {"text": "x" * 300}, i) for i in range(10)))
        made.clock.now = DAY + 10
        answer = await ask(made, PATH, expression="test(text)")
        assert answer.status == 400
        for start in ({"after": ""}, {"before": ""}):
            pages = await walk(made, PATH, expression="test(text)", **start)
            assert [len(page) for page in pages] == [2] * 5
            assert sorted(row["id"] for page in pages for row in page) == list(range(10))
        await made.save(event(DAY, {"text": "x" * 2_000}, 0))
        answer = await ask(made, PATH, expression="test(text)", after="")
        assert answer.status == 400
        assert "more than 1000 bytes" in answer.json["error"]


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        (
            {"after": "x"},
            "The parameter after is not valid. Got the cursor 'x'; accepted is one that an answer",
        ),
        ({"before": "é"}, "The parameter before is not valid."),
        (
            {"after": "", "before": ""},
            "Got the parameter after with before beside it; accepted is one of them.",
        ),
    ],
)
async def test_what_is_no_cursor_is_refused(made: Running, parameters: dict[str, str], part: str) -> None:
    answer = await ask(made, PATH, expression="test", **parameters)
    assert answer.status == 400
    assert part.replace("'", '"') in answer.json["error"].replace("'", '"')


async def test_a_link_that_proxies_would_refuse_is_left_out(made: Running) -> None:
    await made.save(*many(3))
    made.clock.now = DAY + 3
    expression = "test.in(i, [" + ", ".join(map(str, range(1_000))) + "])"
    answer = await ask(made, PATH, expression=expression, limit=2)
    assert answer.headers["cube-truncated"] == "limit"
    assert "link" not in answer.headers
    answer = await ask(made, PATH, expression=expression, limit=2, before=answer.headers["cube-cursor"])
    assert [row["id"] for row in answer.json] == [0]


async def test_no_link_has_the_key(made: Running) -> None:
    await made.save(*many(3))
    made.clock.now = DAY + 3
    answer = await ask(made, PATH, expression="test", limit=2, api_key="secret")
    assert "secret" not in answer.headers["link"]


async def test_a_metric_whose_buckets_are_cut_links_to_those_before(made: Running) -> None:
    await made.save(*many(10))
    asked = {"expression": "sum(test)", "step": 60_000, "start": DAY, "stop": DAY + 300_000}
    answer = await ask(made, "/1.0/metric", **asked)
    assert len(answer.json) == 5
    assert not {"link", "cube-truncated"} & answer.headers.keys()
    pages = await walk(made, "/1.0/metric", **asked, limit=2)
    assert [[row["time"][14:16] for row in page] for page in pages] == [["03", "04"], ["01", "02"], ["00"]]
    asked["step"] = "month"
    pages = await walk(made, "/1.0/metric", **asked | {"stop": DAY + 40 * 86_400_000}, limit=1)
    assert [page[0]["time"][:7] for page in pages] == ["2011-08", "2011-07"]


@pytest.mark.parametrize("asked", [{}, {"start": DAY + 60_500}, {"stop": DAY}, {"start": "0001-01-01"}])
async def test_a_metric_that_asks_for_no_more_than_it_gets_is_not_cut(
    made: Running, asked: dict[str, Any]
) -> None:
    made.clock.now = DAY + 61_500
    step = "31536000s" if asked.get("start") == "0001-01-01" else 60_000
    answer = await ask(made, "/1.0/metric", expression="sum(test)", step=step, **asked)
    assert answer.status == 200, answer.body
    assert not {"link", "cube-truncated"} & answer.headers.keys()


async def test_a_socket_has_pages_too(made: Running) -> None:
    await made.save(*many(5, per_time=5))
    socket = await made.socket("/1.0/event/get")
    request = {"expression": "test", "stop": DAY + 1, "limit": 3, "id": "q"}
    await socket.ask(**request, after="")
    assert [row["event"] for row in await socket.some(3)] == [0, 1, 2]
    ending = await socket.next()
    assert ending.keys() == {"id", "end", "cursor", "truncated"}
    await socket.ask(**request, after=ending["cursor"])
    assert [row["event"] for row in await socket.some(2)] == [3, 4]
    assert (await socket.next()).keys() == {"id", "end", "cursor"}
    await socket.ask(**request, before="")
    assert [row["event"] for row in await socket.some(3)] == [4, 3, 2]
    ending = await socket.next()
    await socket.ask(**request, before=ending["cursor"])
    assert [row["event"] for row in await socket.some(2)] == [1, 0]
    await socket.next()
    await socket.ask(**request)
    assert (await socket.some(4))[-1] == {"id": "q", "end": True}
    await socket.ask(expression="test", after="", id="s")
    assert "Got the parameter after with a stream" in (await socket.next())["error"]


@pytest.mark.parametrize(
    "expression",
    ["sum(test).group(even).top(1)", "1 + cumulative(sum(test))", "shift(cumulative(sum(test)), 1h)"],
)
async def test_no_link_leads_to_values_of_another_span(made: Running, expression: str) -> None:
    await made.save(*many(10))
    asked = {"step": 60_000, "start": DAY, "stop": DAY + 300_000, "limit": 2}
    answer = await ask(made, "/1.0/metric", expression=expression, **asked)
    assert answer.headers["cube-truncated"] == "limit"
    assert "link" not in answer.headers


async def test_the_client_reads_all_pages(made: Running) -> None:
    await made.save(*many(10, per_time=10))

    def read() -> list[list[int]]:
        with Evaluator(f"http://127.0.0.1:{made.port}") as evaluator:
            pages = evaluator.event_pages("test(i)", stop=DAY + 1, limit=3)
            return [[json.loads(bytes(row))["id"] for row in page.rows] for page in pages]

    assert await run_in_thread(read) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
