"""The Eye's clients, which are any HTTP clients, against a running collector and evaluator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from cube.client import Evaluator
from cube.model import instant
from tests.daemon import daemon
from tests.mongo_server import MongoServer
from tests.tools import tool

SECONDS = 10
DAY = 86_400_000

# From the README of the-eye.
EXAMPLE: dict[str, Any] = {
    "session_id": "e2085be5-9137-4e4e-80b5-f1ffddc25423",
    "category": "page interaction",
    "name": "pageview",
    "data": {"host": "www.consumeraffairs.com", "path": "/"},
    "timestamp": "2021-01-01 09:15:27.243860",
}

ENVIRONMENT = """
[environments.{name}]
database = "{name}"

[[environments.{name}.keys]]
name = "both"
key = "{name}-key"

[[environments.{name}.keys]]
name = "writer"
key = "{name}-writes"
scopes = ["write"]
"""


@dataclass(frozen=True, slots=True)
class Eye:
    """A client of The Eye, and of the metrics over what it sent."""

    http: requests.Session
    address: str
    evaluator: Evaluator

    def send(self, **change: Any) -> requests.Response:
        return self.http.post(f"{self.address}/api/event/", json={**EXAMPLE, **change}, timeout=SECONDS)

    def get(self, address: str = "", **parameters: Any) -> requests.Response:
        target = address or f"{self.address}/api/event/"
        return self.http.get(target, params=parameters, timeout=SECONDS)

    def page(self, address: str = "", **parameters: Any) -> Any:
        answer = self.get(address, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metric(self, expression: str, day: str) -> float | None:
        start = instant.parse(day)
        (metric,) = self.evaluator.metrics(expression, step=DAY, start=start, stop=start + DAY)
        return metric.value


@pytest.fixture(scope="module")
def eye(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Eye]:
    directory = tmp_path_factory.mktemp("eye")
    store = f"sqlite:{directory}"
    with (
        daemon("collector", store, directory) as collector,
        daemon("evaluator", store, directory) as evaluator,
        requests.Session() as http,
        Evaluator(evaluator.http) as metrics,
    ):
        yield Eye(http, collector.http, metrics)


def curl(*arguments: str) -> tuple[int, Any]:
    """Run curl as a README has it; return the status and the JSON of the reply."""
    command = (
        tool("curl"),
        "--silent",
        "--show-error",
        "--max-time",
        str(SECONDS),
        "--write-out",
        "\n%{http_code}",
    )
    shown = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout
    body, _, status = shown.rpartition("\n")
    return int(status), json.loads(body)


def test_an_event_that_is_sent_is_answered_and_measured(eye: Eye) -> None:
    answer = eye.send()
    assert (answer.status_code, answer.json()) == (201, {"success": True})
    assert eye.page(session_id=EXAMPLE["session_id"])["results"] == [
        {**EXAMPLE, "timestamp": "2021-01-01T09:15:27.243860Z"}
    ]
    assert eye.metric('sum(eye.eq(category,"page interaction").eq(data.path,"/"))', "2021-01-01") == 1


def test_curl_sends_json_forms_and_multipart_with_and_without_the_slash(eye: Eye) -> None:
    fields = {**EXAMPLE, "session_id": "curl", "data": '{"n": 1}'}
    pairs = [f"{name}={value}" for name, value in fields.items()]
    body = json.dumps(
        {**EXAMPLE, "session_id": "curl", "timestamp": "2021-02-01T00:00:00Z", "data": {"n": 1}}
    )
    success = (201, {"success": True})
    json_flags = ("-X", "POST", "-H", "Content-Type: application/json", "-d", body)
    assert curl(f"{eye.address}/api/event/", *json_flags) == success
    form = [flag for pair in pairs for flag in ("--data-urlencode", pair)]
    assert curl(f"{eye.address}/api/event", *form, "-d", "timestamp=2021-02-02+00:00") == success
    parts = [flag for pair in pairs if not pair.startswith("timestamp") for flag in ("-F", pair)]
    assert curl(f"{eye.address}/api/event/", *parts, "-F", "timestamp=2021-02-03 00:00") == success
    status, page = curl(f"{eye.address}/api/event?session_id=curl")
    assert (status, page["count"]) == (200, 3)
    assert [one["data"] for one in page["results"]] == [{"n": 1}] * 3
    assert sum(eye.metric("sum(eye(data.n))", f"2021-02-0{day}") or 0 for day in (1, 2, 3)) == 3


def test_an_exact_resend_is_stored_once(eye: Eye) -> None:
    for _ in range(3):
        assert eye.send(session_id="resent").json() == {"success": True}
    assert eye.send(session_id="resent", timestamp="2021-01-01 09:15:27.243861").json() == {"success": True}
    assert eye.page(session_id="resent")["count"] == 2


def test_what_is_wrong_is_no_success_and_becomes_a_rejected_event(eye: Eye) -> None:
    for change in ({"timestamp": "yesterday"}, {"data": None}, {"data": json.loads("[" * 60 + "]" * 60)}):
        answer = eye.send(session_id="wrong", **change)
        assert (answer.status_code, answer.json()) == (201, {"success": False})
    assert eye.page(session_id="wrong")["count"] == 0
    rejected = [
        event.data
        for event in eye.evaluator.events("cube_rejected(dialect,reason,payload)", stop="9999-01-01")
        if "wrong" in str(event.data["payload"])
    ]
    assert [one["dialect"] for one in rejected] == ["eye"] * 3
    assert any('Got the timestamp "yesterday"' in one["reason"] for one in rejected)


def test_filters_and_pages(eye: Eye) -> None:
    for number in range(7):
        eye.send(
            session_id="pages",
            category="form" if number % 2 else "page",
            name=f"n{number}",
            timestamp=f"2021-03-01 00:00:00.00000{number}",
        )
    names = [one["name"] for one in eye.page(session_id="pages")["results"]]
    assert names == [f"n{number}" for number in range(6, -1, -1)]
    assert eye.page(session_id="pages", category="form")["count"] == 3
    assert eye.page(session_id="pages", name="n4")["count"] == 1
    assert eye.page(session_id="pages", name="n9") == {
        "count": 0,
        "next": None,
        "previous": None,
        "results": [],
    }
    for low, high in (("timestamp_start", "timestamp_end"), ("timestamp_after", "timestamp_before")):
        within = eye.page(**{low: "2021-03-01T00:00:00.000002Z", high: "2021-03-01 00:00:00.000004"})
        assert [one["name"] for one in within["results"]] == ["n4", "n3", "n2"]

    page = eye.page(session_id="pages", limit=3)
    walked = []
    while True:
        walked += [one["name"] for one in page["results"]]
        if page["next"] is None:
            break
        page = eye.page(page["next"])
    assert walked == names
    assert [one["name"] for one in eye.page(page["previous"])["results"]] == names[3:6]


def test_statuses_are_those_of_the_eye(eye: Eye) -> None:
    address = f"{eye.address}/api/event/"
    assert eye.get(timestamp_start="x").json() == {"timestamp": ["Enter a valid date/time."]}
    assert eye.get(timestamp_start="x").status_code == 400
    for method in ("PUT", "PATCH", "DELETE"):
        answer = eye.http.request(method, address, data=b"{}", timeout=SECONDS)
        assert (answer.status_code, answer.json()) == (405, {"detail": f'Method "{method}" not allowed.'})
        assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    plain = eye.http.post(address, data=b"a", headers={"Content-Type": "text/plain"}, timeout=SECONDS)
    assert (plain.status_code, plain.json()) == (
        415,
        {"detail": 'Unsupported media type "text/plain" in request.'},
    )
    broken = eye.http.post(address, data=b"{", headers={"Content-Type": "application/json"}, timeout=SECONDS)
    assert broken.status_code == 400
    assert broken.json()["detail"].startswith("JSON parse error - ")
    options = eye.http.options(address, timeout=SECONDS)
    assert (options.status_code, set(options.json()["actions"]["POST"])) == (200, set(EXAMPLE))
    assert eye.http.head(address, timeout=SECONDS).status_code == 200
    assert eye.get(f"{eye.address}/api/").text == "Hello from The Eye!"


def test_the_bounds_of_searches_are_settings_and_the_parameters_are_described(tmp_path: Path) -> None:
    flags = ("--dialects-eye-events", "2", "--dialects-eye-seconds", "20")
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags) as running, requests.Session() as http:
        client = Eye(http, running.http, Evaluator(running.http))
        for number in range(3):
            client.send(session_id=str(number))
        page = client.page(limit=3)
        assert (page["count"], len(page["results"])) == (3, 2)
        assert len(client.page(page["next"])["results"]) == 1
        description = http.get(f"{running.http}/openapi.json", timeout=SECONDS).json()
    described = {one["name"] for one in description["paths"]["/api/event/"]["get"]["parameters"]}
    documented = {"session_id", "category", "name", "limit", "offset", "timestamp_start", "timestamp_end"}
    assert described == documented | {"timestamp_after", "timestamp_before"}


def test_a_key_is_needed_where_keys_are_configured_and_must_allow_to_read(tmp_path: Path) -> None:
    settings = tmp_path / "collector.toml"
    settings.write_text("".join(ENVIRONMENT.format(name=name) for name in ("dev", "prod")))
    with (
        daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--config", str(settings)) as collector,
        requests.Session() as http,
    ):
        address = f"{collector.http}/api/event/"

        def ask(method: str, key: str | None) -> requests.Response:
            headers = {} if key is None else {"X-Api-Key": key}
            body = EXAMPLE if method == "POST" else None
            return http.request(method, address, json=body, headers=headers, timeout=SECONDS)

        assert ask("POST", None).status_code == 401
        assert "key" in ask("GET", None).json()["detail"]
        assert ask("POST", "prod-writes").json() == {"success": True}
        assert ask("GET", "prod-writes").status_code == 403
        assert ask("GET", "prod-key").json()["count"] == 1
        assert ask("GET", "dev-key").json()["count"] == 0


def test_a_store_that_is_away_is_a_503(tmp_path: Path) -> None:
    with MongoServer(tmp_path / "db") as server:
        url = f"{server.url}/?serverSelectionTimeoutMS=1000"
        with daemon("collector", url, tmp_path) as collector, requests.Session() as http:
            client = Eye(http, collector.http, Evaluator(collector.http))
            assert client.send().json() == {"success": True}
            assert client.page()["results"][0]["timestamp"] == "2021-01-01T09:15:27.243860Z"
            server.kill()
            for answer in (client.get(), client.send(session_id="later")):
                assert answer.status_code == 503
                assert "MongoDB does not answer" in answer.json()["detail"]
                assert int(answer.headers["Retry-After"]) >= 1
            server.start()
            assert client.send(session_id="later").json() == {"success": True}
            assert client.page(session_id="later")["count"] == 1
