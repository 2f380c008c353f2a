"""Datacoral's Python client, its pixel and its recorded bytes against running daemons of two environments."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from cube.client import Evaluator
from tests.daemon import daemon
from tests.foreign_client import Running, run_apart, run_node
from tests.tools import python_packages

SETTINGS = """
[environments.dev]
database = "dev"
origins = ["*://127.0.0.1:*", "*://a.example, *://b.example"]

[[environments.dev.keys]]
name = "web"
key = "KEY1"

[environments.prod]
database = "prod"
origins = ["https://company.example"]

[[environments.prod.keys]]
name = "web"
key = "KEY2"
"""

EVENTS = 6  # that the client sends
# What datacoral-tracker-py 0.0.12 puts on the wire, used as its README has it.
RECORDED = (
    b"POST /tp2 HTTP/1.1\r\nHost: 127.0.0.1:9917\r\nUser-Agent: python-requests/2.34.2\r\n"
    b"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
    b"content-type: application/json; charset=utf-8\r\nX-Api-Key : ['KEY1']\r\n"
    b"x-datacoral-environment: dev\r\nContent-Length: 502\r\n\r\n"
    b'{"schema":"iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-2","data":[{"e":"ue",'
    b'"ue_px":"eyJzY2hlbWEiOiAiaWdsdTpjb20uc25vd3Bsb3dhbmFseXRpY3Muc25vd3Bsb3cvdW5zdHJ1Y3RfZXZlbnQvanNvbnNj'
    b"aGVtYS8xLTAtMCIsICJkYXRhIjogeyJzY2hlbWEiOiAidGVzdCIsICJkYXRhIjogeyJmb28iOiAiYmFyIiwgIm1ldGFkYXRhIjog"
    b'eyJzdWIiOiAiZGF0YSJ9fX19","eid":"22880d02-9645-45b8-b192-682e14e24e03","dtm":"1767323045678",'
    b'"tv":"py-0.0.12","tna":"recorded","aid":"app","p":"pc","x_api_key":"[\'KEY1\']",'
    b'"x_datacoral_environment":"dev"}]}'
)


@dataclass(frozen=True, slots=True)
class Datacoral:
    """A collector of two environments, and what is stored in each."""

    collector: str
    dev: Running
    prod: Running

    @property
    def place(self) -> str:
        """Host and port, as the client is told them."""
        return urlsplit(self.collector).netloc

    def failed(self, error: str) -> float:
        """How many requests ended in an error."""
        figures = requests.get(f"{self.collector}/metrics", timeout=10).text
        name = f'cube_dialect_failed_total{{dialect="snowplow",error="{error}"}} '
        return sum(float(line.removeprefix(name)) for line in figures.splitlines() if line.startswith(name))

    def types(self) -> list[list[str]]:
        """The types in each environment."""
        return [running.evaluator.types() for running in (self.dev, self.prod)]


@pytest.fixture(scope="module")
def datacoral(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datacoral]:
    directory = tmp_path_factory.mktemp("datacoral")
    settings = directory / "settings.toml"
    settings.write_text(SETTINGS)
    store = f"sqlite:{directory}"
    with ExitStack() as stack:
        collector = stack.enter_context(daemon("collector", store, directory, "--config", str(settings)))
        sides = []
        for name in ("dev", "prod"):
            evaluator = stack.enter_context(daemon("evaluator", store, directory, database=name))
            sides.append(Running(collector.http, stack.enter_context(Evaluator(evaluator.http))))
        yield Datacoral(collector.http, *sides)


def mine(expression: str, namespace: str) -> str:
    return f'{expression}.eq(tracker.namespace, "{namespace}")'


@pytest.mark.parametrize("method", ["post", "get"])
@pytest.mark.parametrize(("environment", "key"), [("dev", "KEY1"), ("prod", "KEY2")])
def test_the_client_writes_to_the_environment_of_its_key(
    datacoral: Datacoral, method: str, environment: str, key: str
) -> None:
    packages = python_packages("datacoral")
    before = datacoral.failed("Unauthenticated") + datacoral.failed("AccessDenied")
    said = run_apart(packages, "send_datacoral.py", datacoral.place, method, environment, key)
    assert said == ""
    namespace = f"datacoral-{method}"
    own = datacoral.dev if environment == "dev" else datacoral.prod
    for type in ("test", "page_view", "transaction", "transaction_item"):
        assert (type, own.metric(f"sum({mine(type, namespace)})")) == (type, 1)
    assert own.metric(f"sum({mine('struct_event(struct.value)', namespace)})") == 3.5
    (event,) = own.data(mine("test(*)", namespace))
    assert event["event"] == {"foo": "bar", "metadata": {"sub": "data"}}
    assert "KEY" not in json.dumps(event)
    assert datacoral.failed("Unauthenticated") + datacoral.failed("AccessDenied") == before


@pytest.mark.parametrize(
    ("method", "key", "error"), [("post", "KEY3", "Unauthenticated"), ("get", "KEY2", "AccessDenied")]
)
def test_a_wrong_key_and_an_environment_of_another_store_nothing(
    datacoral: Datacoral, method: str, key: str, error: str
) -> None:
    packages = python_packages("datacoral")
    before = datacoral.failed(error), datacoral.types()
    counts = [side.metric("sum(page_view)") for side in (datacoral.dev, datacoral.prod)]
    said = run_apart(packages, "send_datacoral.py", datacoral.place, method, "dev", key)
    assert said == "lost 1\n" * EVENTS
    assert (datacoral.failed(error), datacoral.types()) == (before[0] + EVENTS, before[1])
    assert [side.metric("sum(page_view)") for side in (datacoral.dev, datacoral.prod)] == counts


def test_the_recorded_bytes_are_taken_whenever_they_are_sent(datacoral: Datacoral) -> None:
    host, _, port = datacoral.place.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        for _ in range(3):
            client.sendall(RECORDED)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert datacoral.dev.metric(f"sum({mine('test', 'recorded')})") == 1
    assert datacoral.prod.data(mine("test(*)", "recorded")) == []


def test_the_pixel_has_its_key_in_the_query(datacoral: Datacoral) -> None:
    event = base64.urlsafe_b64encode(b'{"data":{"name":"test event","data":{"a":1}}}').decode().rstrip("=")
    query = f"?&env=dev&apiKey=KEY1&e=ue&ue_px={event}&dtm=1767323045678&eid=p1&p=web&tv=no-js-0.1.0"
    for _ in range(2):
        answer = requests.get(f"{datacoral.collector}/i{query}", timeout=10)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
    (stored,) = datacoral.dev.data("test_event(*)")
    assert (stored["name"], stored["event"]) == ("test event", {"a": 1})
    assert "KEY1" not in json.dumps(stored)
    for wrong in (query.replace("dev", "prod"), query.replace("KEY1", "KEY2"), f"{query}&x_api_key=KEY2"):
        refused = requests.get(f"{datacoral.collector}/i{wrong}", timeout=10)
        assert refused.status_code == 403
        assert "environment" in refused.json()["error"] or "different keys" in refused.json()["error"]
    assert "test_event" not in datacoral.types()[1]


@pytest.mark.parametrize(
    "where", ["header and body", "query and body", "two events", "environment of header and body"]
)
def test_keys_and_environments_that_disagree_are_refused_and_counted(
    datacoral: Datacoral, where: str
) -> None:
    first = {"e": "pv", "x_api_key": "KEY1", "x_datacoral_environment": "dev", "aid": "disagreeing"}
    events, headers, query = [first], {}, ""
    match where:
        case "header and body":
            headers = {"X-Api-Key": "KEY2"}
        case "query and body":
            query = "?apiKey=KEY2"
        case "two events":
            events = [first, first | {"x_api_key": "KEY2"}]
        case _:
            headers = {"X-Datacoral-Environment": "prod"}
    before = datacoral.failed("AccessDenied")
    answer = requests.post(
        f"{datacoral.collector}/tp2{query}", json={"data": events}, headers=headers, timeout=10
    )
    assert answer.status_code == 403
    assert datacoral.failed("AccessDenied") == before + 1
    for side in (datacoral.dev, datacoral.prod):
        assert side.evaluator.events('page_view(*).eq(app, "disagreeing")') == []


@pytest.mark.parametrize(
    ("key", "origin", "allowed"),
    [
        ("KEY1", "http://127.0.0.1:8000", True),
        ("KEY1", "https://a.example", True),
        ("KEY1", "http://b.example", True),
        ("KEY1", "http://b.example:8080", False),
        ("KEY1", "https://company.example", False),
        ("KEY2", "https://company.example", True),
        ("KEY2", "http://company.example", False),
        ("KEY2", "http://127.0.0.1:8000", False),
    ],
)
def test_replies_are_for_the_pages_of_the_keys_environment(
    datacoral: Datacoral, key: str, origin: str, allowed: bool
) -> None:
    answer = requests.post(
        f"{datacoral.collector}/tp2",
        json={"data": [{"e": "pv", "x_api_key": key}]},
        headers={"Origin": origin},
        timeout=10,
    )
    shown = answer.headers.get("Access-Control-Allow-Origin")
    credentials = answer.headers.get("Access-Control-Allow-Credentials")
    assert (shown, credentials) == ((origin, "true") if allowed else (None, None))


def test_snowplows_own_tracker_has_its_key_in_a_header(datacoral: Datacoral) -> None:
    run = partial(run_node, "@snowplow/node-tracker", "send_snowplow.mjs", datacoral.collector, "post")
    assert run("KEY2") == ""
    assert datacoral.prod.metric(f"sum({mine('page_view', 'node-post')})") == 1
    assert datacoral.dev.metric(f"sum({mine('page_view', 'node-post')})") in (None, 0)


def test_what_passes_through_is_stored_as_it_is(datacoral: Datacoral) -> None:
    headers = {"x-api-key": "KEY1", "x-datacoral-environment": "dev", "x-datacoral-passthrough": "true"}
    body = json.dumps([{"data": {"dbt_version": "1.3", "project": n}} for n in (1, 2)])
    answer = requests.post(f"{datacoral.collector}/tp2", body, headers=headers, timeout=10)
    assert (answer.status_code, answer.text) == (200, "ok")
    found = datacoral.dev.evaluator.events("passthrough(*)", stop="9999-01-01")
    assert sorted(event.data["project"] for event in found) == [1, 2]


def test_switched_off_its_header_is_refused(tmp_path: Path) -> None:
    with (
        daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--dialects-datacoral", "false") as collector,
        socket.create_connection((collector.host, collector.port), timeout=10) as client,
    ):
        client.sendall(RECORDED)
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
