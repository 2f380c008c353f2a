"""Prometheus' HTTP API: its own client, another's, and what Grafana asks, as its source has it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from cube.errors import InvalidQuery
from evaluator.prometheus.lookups import Lookups
from evaluator.prometheus.selectors import Matcher
from tests.evaluator_running import DAY, Running, event, running
from tests.foreign_client import run_node, run_python
from tests.tools import tool
from tests.web_client import Answer, connection

MINUTE = 60_000
NOW = DAY + 10 * MINUTE
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, now=NOW + 500) as running_:
        rows = [("a", 500, 1), ("a", 200, 2), ("b", "500", 4), ("b", True, 8)]
        for minute in range(4):
            data = [
                {"host": host, "status": status, "ms": ms, "user agent": "x"} for host, status, ms in rows
            ]
            moments = [DAY + minute * MINUTE + number for number in range(4)]
            await running_.save(
                *(event(at, each, type="request") for at, each in zip(moments, data, strict=True))
            )
        await running_.save(event(DAY, {"v": 1}, type="deploy"))
        yield running_


async def ask(made: Running, path: str, *, post: bool = False, **parameters: Any) -> Answer:
    text = urlencode(parameters, doseq=True)
    async with connection(made.port) as client:
        if post:
            return await client.ask("POST", f"/prometheus{path}", text.encode(), headers=FORM)
        return await client.ask("GET", f"/prometheus{path}?{text}")


async def data(made: Running, path: str, **parameters: Any) -> Any:
    answer = await ask(made, f"/api/v1/{path}", **parameters)
    assert answer.status == 200, answer.body
    assert answer.json["status"] == "success"
    return answer.json["data"]


def at(minutes: float) -> str:
    return str((DAY + int(minutes * MINUTE)) / 1000)


async def test_a_point_has_what_happened_in_the_step_before_it(made: Running) -> None:
    found = await data(made, "query_range", query="sum(request(ms))", start=at(0), end=at(12), step="60")
    (series,) = found["result"]
    assert series["metric"] == {}
    times = [DAY // 1000 + 60 * minute for minute in range(11)]  # those after now are left out
    sums = ["0", "15", "15", "15", "15", "0", "0", "0", "0", "0", "0"]
    assert series["values"] == [list(pair) for pair in zip(times, sums, strict=True)]


@pytest.mark.parametrize(("step", "phase"), [("7", 0), ("90s", 13), ("2m30s", 7.5), ("1h", 30)])
async def test_any_step_in_any_phase_is_exact(made: Running, step: str, phase: float) -> None:
    length = {"7": 7, "90s": 90, "2m30s": 150, "1h": 3600}[step]
    start = DAY // 1000 + phase
    found = await data(
        made, "query_range", query="sum(request)", start=start, end=start + 4 * length, step=step
    )
    for time, value in found["result"][0]["values"]:
        assert (time - start) % length == 0
        edge = int(time) * 1000
        moments = [DAY + minute * MINUTE + number for minute in range(4) for number in range(4)]
        assert int(value) == sum(edge - length * 1000 <= moment < edge for moment in moments)


async def test_groups_are_labels_and_a_series_without_points_is_left_out(made: Running) -> None:
    query = {"query": "mean(request(ms)).group(host, status)", "start": at(1), "end": at(6), "step": "1m"}
    found = (await data(made, "query_range", **query))["result"]
    assert [series["metric"] for series in found] == [
        {"host": "a", "status": "200", "status_kind": "number"},
        {"host": "a", "status": "500", "status_kind": "number"},
        {"host": "b", "status": "500"},
        {"host": "b", "status": "true", "status_kind": "boolean"},
    ]
    assert found[0]["values"] == [[DAY // 1000 + 60 * minute, "2"] for minute in range(1, 5)]
    named = await data(made, "query", query='sum(request).group(["user agent"])', time=at(1))
    assert named["result"][0]["metric"] == {"user_agent": "x"}
    nothing = await data(made, "query_range", query="mean(none(ms))", start=at(1), end=at(2), step="1m")
    assert nothing == {"resultType": "matrix", "result": []}


async def test_a_moment_is_of_five_minutes_or_of_a_window(made: Running) -> None:
    assert await data(made, "query", query="1+1", time="4") == {"resultType": "scalar", "result": [4, "2"]}
    found = await data(made, "query", query="request", time=at(4.5))
    assert found["result"] == [{"metric": {"__name__": "request"}, "value": [DAY / 1000 + 270, "16"]}]
    found = await data(made, "query", query="sum(request)", time=at(4), lookback_delta="60")
    assert found["result"][0]["value"] == [DAY // 1000 + 240, "4"]
    window = await data(made, "query", query='request{host="a"}[120s]', time=at(4))
    assert (window["resultType"], len(window["result"][0]["values"])) == ("matrix", 120)
    assert sum(int(value) for _, value in window["result"][0]["values"]) == 4
    assert (await data(made, "query", query="sum(request)"))["result"][0]["value"][0] == (NOW + 500) / 1000


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("request{}", 16),
        ('request{host="a"}', 8),
        ("request{host='a', }", 8),
        ('request{host!="a"}', 8),
        ('request{status="500"}', 8),
        ('request{status=~"200|500"}', 12),
        ('request{status=~"(200|true)"}', 8),
        ('request{host=~"[a-z]"}', 16),
        ('request{host!~"b.*"}', 8),
        ('request{status="true"}', 4),
        ('request{nothing=""}', 16),
        ('request{host!=""}', 16),
        ('request{host="a",status!="500"}', 4),
        ('{__name__="request",host="b"}', 8),
        ('sum(request{host="b"}) + 0', 8),
        ('count(request{user_agent="x"})', 16),
    ],
)
async def test_selectors_of_promql_are_read(made: Running, selector: str, count: int) -> None:
    found = await data(made, "query", query=selector, time=at(5))
    assert found["result"][0]["value"][1] == str(count)


async def test_names_labels_values_and_series_are_those_of_the_types(made: Running) -> None:
    labels = ["__name__", "host", "ms", "status", "user_agent"]
    assert await data(made, "labels", **{"match[]": "request"}) == labels
    assert await data(made, "labels", post=True) == sorted([*labels, "v"])
    assert await data(made, "label/__name__/values", limit=40_000) == ["deploy", "request"]
    assert await data(made, "label/host/values") == ["a", "b"]
    assert await data(made, "label/status/values") == ["200", "500", "true"]
    assert await data(made, "label/nothing/values") == []
    named = {"match[]": ['request{host!=""}', '{__name__=~"dep.*"}']}
    assert await data(made, "series", **named) == [
        {"__name__": "request", "host": "a"},
        {"__name__": "request", "host": "b"},
        {"__name__": "deploy"},
    ]
    assert list(await data(made, "metadata")) == ["deploy", "request"]
    assert await data(made, "metadata", metric="request") == {
        "request": [{"type": "gauge", "help": "events of this type, counted", "unit": ""}]
    }


async def test_each_of_several_quantiles_has_a_label(made: Running) -> None:
    """Without one, a Prometheus that scrapes them would refuse all series of a group but one."""
    query = "quantiles(0, 1, request(ms)).group(host) / sum(request).group(host)"
    found = await data(made, "query", query=query, time=at(5))
    labels = [
        {"host": host, "quantile": quantile, "quantile_kind": "number"}
        for host in ("a", "b")
        for quantile in ("0", "1")
    ]
    assert [each["metric"] for each in found["result"]] == labels
    answer = await ask(made, "/federate", expression="quantiles(0.5, request(ms))", name="q", step=600)
    assert 'q{quantile="0.5",quantile_kind="number"} 3' in answer.body.decode()


async def define(made: Running, name: str, expression: str) -> None:
    async with connection(made.port) as client:
        saved = await client.ask(
            "PUT",
            f"/1.0/definitions/{name}",
            json.dumps({"expression": expression}).encode(),
            headers={"If-None-Match": "*", "Content-Type": "application/json"},
        )
    assert saved.status == 201, saved.body


async def test_saved_names_are_metrics(made: Running) -> None:
    await define(made, "slow_share", "sum(request.ge(ms, 4)) / sum(request)")
    found = await data(made, "query", query="slow_share", time=at(5))
    assert found["result"][0] == {"metric": {"__name__": "slow_share"}, "value": [DAY // 1000 + 300, "0.5"]}
    assert "slow_share" in await data(made, "label/__name__/values")
    assert (await data(made, "metadata", metric="slow_share"))["slow_share"][0]["help"].startswith("sum(")
    refused = await ask(made, "/api/v1/query", query='slow_share{host="a"}')
    assert (refused.status, "is a saved name" in refused.json["error"]) == (400, True)
    some = {"match[]": '{__name__=~"slow.*"}'}
    assert await data(made, "label/__name__/values", **some) == ["slow_share"]
    assert await data(made, "series", **some) == [{"__name__": "slow_share"}]
    assert await data(made, "series", **{"match[]": 'slow_share{host="a"}'}) == []
    scraped = await ask(made, "/federate", expression=["slow_share", "1", "slow_share"])
    families = [one.name for one in text_string_to_metric_families(scraped.body.decode())]
    assert families == ["slow_share", "cube_metric_2", "cube_metric_3"]


async def test_a_saved_name_has_the_labels_of_its_groups(made: Running) -> None:
    """Grafana's variables, ``label_values(slow, host)``: by either endpoint, and over any time."""
    await define(made, "slow", "sum(request.ge(ms, 2)).group(host)")
    await define(made, "by_status", "sum(request).group(lower(host), status)")
    queried = await data(made, "query", query="by_status", time=at(10), step=600)
    assert len(queried["result"]) > 2
    for span in ({}, {"start": at(-3), "end": at(60 * 24 * 400)}, {"start": at(0), "end": at(10)}):
        slow, by_status = ({"match[]": name, **span} for name in ("slow", "by_status"))
        assert await data(made, "label/host/values", **slow) == ["a", "b"], span
        assert await data(made, "labels", **slow) == ["__name__", "host"]
        assert await data(made, "series", **slow) == [
            {"__name__": "slow", "host": host} for host in ("a", "b")
        ]
        assert await data(made, "labels", **by_status) == ["__name__", "lower_host_", "status", "status_kind"]
        assert await data(made, "series", **by_status) == [each["metric"] for each in queried["result"]]
        chained = {**by_status, "match[]": '{__name__="by_status",status="true"}'}
        assert await data(made, "label/lower_host_/values", **chained) == ["b"]
        assert await data(made, "label/host/values", **{**slow, "match[]": '{__name__=~"slow"}'}) == []
    for start, end in ((-10, -5), (5, 0), (60 * 24, 60 * 25)):
        assert (
            await data(made, "label/host/values", start=at(start), end=at(end), **{"match[]": "slow"}) == []
        )
    refused = await ask(made, "/api/v1/labels", start="x", **{"match[]": "slow"})
    assert (refused.status, refused.json["errorType"]) == (400, "bad_data")


async def test_what_grafana_asks_before_its_first_panel_succeeds(made: Running) -> None:
    """Its test, its rules, its look for exemplars (in milliseconds), its editor."""
    assert (await data(made, "query", post=True, query="1+1", time=4))["result"] == [4, "2"]
    build = await data(made, "status/buildinfo")
    assert build["version"] == "2.42.0"
    assert "features" not in build
    assert await data(made, "rules") == {"groups": []}
    exemplars = {"query": "test", "start": NOW - 1000, "end": NOW}
    assert await data(made, "query_exemplars", post=True, **exemplars) == []
    assert await data(made, "format_query", query="sum( request )") == "sum(request)"
    for path, status in (("", 200), ("/-/healthy", 200), ("/-/ready", 200)):
        assert (await ask(made, path)).status == status


@pytest.mark.parametrize(
    ("path", "parameters", "status", "kind", "sentence"),
    [
        ("query", {}, 400, "bad_data", "no expression found"),
        ("query", {"query": "sum("}, 400, "bad_data", "1:5: parse error: Expected"),
        ("query", {"query": 'median{host="a"})'}, 400, "bad_data", "braces are for a type"),
        ("query", {"query": 'request{host="a"'}, 400, "bad_data", "1:9: parse error: Expected a matcher"),
        ("query", {"query": "request{host=a}"}, 400, "bad_data", "Expected a matcher"),
        ("query", {"query": "1", "time": "now"}, 400, "bad_data", 'invalid parameter "time"'),
        ("query", {"query": "1", "time": "NaN"}, 400, "bad_data", 'invalid parameter "time"'),
        ("query_range", {"query": "1", "start": 0, "end": 1}, 400, "bad_data", 'parameter "step"'),
        ("query_range", {"query": "1", "start": 2, "end": 1, "step": 1}, 400, "bad_data", "before start"),
        ("query_range", {"query": "1", "start": 0, "end": 1, "step": 0}, 400, "bad_data", "zero or negative"),
        ("query_range", {"query": "1", "start": 0, "end": 1, "step": 1.5}, 400, "bad_data", "whole seconds"),
        (
            "query_range",
            {"query": "1", "start": 0, "end": 11_001, "step": 1},
            400,
            "bad_data",
            "11,000 points",
        ),
        ("series", {}, 400, "bad_data", "no match[] parameter"),
        ("labels", {"match[]": "sum(x)"}, 400, "bad_data", 'parameter "match[]"'),
        ("metadata", {"limit": "x"}, 400, "bad_data", 'parameter "limit"'),
        ("query", {"query": 'sum(request{host="a)'}, 400, "bad_data", "Expected a matcher"),
        ("query", {"query": 'sum(request) + "{'}, 400, "bad_data", "Expected a string that ends"),
        ("query", {"query": 'request{host="\\ud800"}'}, 400, "bad_data", "half a surrogate pair"),
        ("query", {"query": 'request{host=~"x)|(b"}'}, 400, "bad_data", "unexpected ): x)|(b"),
        ("series", {"match[]": 'request{host=~"x)|(b"}'}, 400, "bad_data", "unexpected ): x)|(b"),
        ("labels", {"match[]": '{__name__=~"("}'}, 400, "bad_data", "missing ): ("),
        ("series", {"match[]": 'request{host="\\ud800"}'}, 400, "bad_data", "half a surrogate pair"),
        ("nothing", {}, 404, "not_found", "nothing at"),
    ],
)
async def test_errors_are_told_in_the_envelope(
    made: Running, path: str, parameters: dict[str, Any], status: int, kind: str, sentence: str
) -> None:
    answer = await ask(made, f"/api/v1/{path}", **parameters)
    assert answer.status == status
    assert answer.json["status"] == "error"
    assert answer.json["errorType"] == kind
    assert sentence in answer.json["error"]


async def test_what_only_the_data_shows_to_be_too_much_is_an_execution_error(tmp_path: Path) -> None:
    async with running(tmp_path, now=NOW, groups=2) as made:
        await made.save(*(event(DAY, {"n": number}, type="request") for number in range(3)))
        answer = await ask(made, "/api/v1/query", query="sum(request).group(n)", time=at(1))
        assert (answer.status, answer.json["errorType"]) == (422, "execution")


def test_what_is_wrong_with_a_pattern_is_told_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    for pattern in ("(", "x)|(b"):
        with pytest.raises(InvalidQuery, match="regular expression"):
            Matcher("host", "=~", pattern).passes("x")
    assert capfd.readouterr().err == ""


async def test_series_of_more_values_than_can_be_told_are_refused(tmp_path: Path) -> None:
    async with running(tmp_path, now=NOW) as made:
        labels = ("a", "b", "c")
        rows = ({label: f"{label}{number}" for label in labels} for number in range(25))
        await made.save(*(event(DAY, row, type="request") for row in rows))
        every = [f'{label}=~".+"' for label in labels]
        found = await data(made, "series", **{"match[]": f"request{{{','.join(every[:2])}}}"})
        assert len(found) == 25**2
        answer = await ask(made, "/api/v1/series", **{"match[]": f"request{{{','.join(every)}}}"})
        assert (answer.status, answer.json["errorType"]) == (422, "execution")


@pytest.mark.parametrize("part", ["a", " ", '\\"', "'\\'", "`", "_{"])
async def test_a_query_that_is_long_is_refused_unread(
    made: Running, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Lookups, "fields_of", None)  # what looks into the text comes after
    answer = await ask(made, "/api/v1/query", post=True, query='{"' + part * 20_000)
    assert (answer.status, answer.json["errorType"]) == (400, "bad_data")
    assert "accepted are at most 10000" in answer.json["error"]


async def test_promtool_reads_the_answers(made: Running) -> None:
    url, promtool = f"http://127.0.0.1:{made.port}/prometheus", tool("promtool")

    async def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [promtool, "query", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    time = f"--time={at(5)}"
    grouped = await run("instant", time, url, "sum(request(ms)).group(host)")
    assert (
        grouped.stdout
        == f'{{host="a"}} => 12 @[{DAY // 1000 + 300}]\n{{host="b"}} => 48 @[{DAY // 1000 + 300}]\n'
    )
    ranged = await run("range", f"--start={at(1)}", f"--end={at(2)}", "--step=60s", url, "request")
    assert ranged.stdout.count("4 @[") == 2
    assert (await run("labels", url, "host")).stdout == "a\nb\n"
    assert '__name__="request", host="a"' in (await run("series", '--match=request{host="a"}', url)).stdout
    wrong = await run("instant", url, "sum(")
    assert (wrong.returncode, "1:5: parse error" in wrong.stderr) == (1, True)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_javascript_client_reads_the_answers(made: Running, method: str) -> None:
    url = f"http://127.0.0.1:{made.port}/prometheus"
    arguments = (url, method, str(DAY + MINUTE), str(DAY + 4 * MINUTE))
    said = json.loads(await asyncio.to_thread(run_node, "prometheus-query", "ask_prometheus.mjs", *arguments))
    assert [(name, labels, value["value"]) for name, labels, value in said["instant"]] == [("request", {}, 4)]
    assert [(labels, [each["value"] for each in values]) for _, labels, values in said["range"]] == [
        ({"host": "a"}, [3, 3, 3, 3]),
        ({"host": "b"}, [12, 12, 12, 12]),
    ]
    assert said["values"] == ["a", "b"]
    assert said["series"] == [{"host": "a"}, {"host": "b"}]
    assert "parse error" in said["error"]


async def test_prometheus_may_scrape_metrics(made: Running) -> None:
    parameters = {"expression": ["sum(request(ms)).group(host)", "max(deploy(v))"], "name": ["ms_sum", "v"]}
    answer = await ask(made, "/federate", **parameters, step="10m")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {one.name: one for one in text_string_to_metric_families(answer.body.decode())}
    assert {name: one.type for name, one in families.items()} == {"ms_sum": "gauge", "v": "gauge"}
    assert families["v"].documentation == "max(deploy(v))"
    samples = [(each.labels, each.value, each.timestamp) for each in families["ms_sum"].samples]
    assert samples == [({"host": "a"}, 12.0, None), ({"host": "b"}, 48.0, None)]
    assert (await ask(made, "/federate")).status == 400
    assert (await ask(made, "/federate", expression=["1", "2"], name=["a", "a"])).status == 400


async def test_an_answer_that_is_cut_says_so(made: Running) -> None:
    grouped = {"query": "sum(request(ms)).group(host)"}
    ranged = {**grouped, "start": at(1), "end": at(2), "step": "60"}
    for path, parameters, size in (
        ("query", {**grouped, "time": at(5)}, lambda found: len(found["result"])),
        ("query_range", ranged, lambda found: len(found["result"])),
        ("label/host/values", {}, len),
        ("labels", {"match[]": "request"}, len),
        ("series", {"match[]": 'request{host!=""}'}, len),
    ):
        whole = (await ask(made, f"/api/v1/{path}", **parameters)).json
        cut = (await ask(made, f"/api/v1/{path}", **parameters, limit=1)).json
        assert (size(whole["data"]) > 1, size(cut["data"])) == (True, 1)
        assert "warnings" not in whole
        assert cut["warnings"] == ["results truncated due to limit"]


async def test_the_python_client_reads_the_answers(made: Running) -> None:
    url = f"http://127.0.0.1:{made.port}/prometheus"
    arguments = (url, str(DAY // 1000 + 60), str(DAY // 1000 + 240))
    said = json.loads(await asyncio.to_thread(run_python, "ask_prometheus.py", *arguments))
    assert said["connected"] is True
    assert said["metrics"] == ["deploy", "request"]
    assert said["labels"] == ["a", "b"]
    assert said["range"] == [
        [{"host": "a"}, ["3", "3", "3", "3"]],
        [{"host": "b"}, ["12", "12", "12", "12"]],
    ]
    assert said["selected"] == [{"__name__": "request"}]
    assert "parse error" in said["error"]


async def test_since_when_it_runs_is_told(made: Running) -> None:
    told = await data(made, "status/runtimeinfo")
    assert (told["reloadConfigSuccess"], told["startTime"][-1]) == (True, "Z")
