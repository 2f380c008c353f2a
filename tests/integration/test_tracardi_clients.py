"""Tracardi's clients against a running collector and evaluator."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from cube.client import Evaluator, FoundEvent
from cube.model import instant
from tests.daemon import daemon

SECONDS = 10
DAY = 86_400_000

ENVIRONMENT = """
[environments.{name}]
database = "{name}"

[[environments.{name}.keys]]
name = "shop"
key = "source-of-{name}"
"""


@dataclass(frozen=True, slots=True)
class Tracardi:
    """The address of a collector, and the metrics over what was sent to it."""

    address: str
    evaluator: Evaluator

    def track(self, query: str = "", headers: dict[str, str] | None = None, **payload: Any) -> Any:
        body = {"source": {"id": "src"}, **payload}
        return requests.post(f"{self.address}/track{query}", json=body, headers=headers, timeout=SECONDS)

    def metric(self, expression: str, day: str) -> float | None:
        start = instant.parse(day)
        (metric,) = self.evaluator.metrics(expression, step=DAY, start=start, stop=start + DAY)
        return metric.value

    def events(self, expression: str) -> list[FoundEvent]:
        return self.evaluator.events(expression, stop="9999-01-01")


@pytest.fixture(scope="module")
def tracardi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracardi]:
    directory = tmp_path_factory.mktemp("tracardi")
    store = f"sqlite:{directory}"
    with (
        daemon("collector", store, directory) as collector,
        daemon("evaluator", store, directory) as evaluator,
        Evaluator(evaluator.http) as metrics,
    ):
        yield Tracardi(collector.http, metrics)


def python_client(address: str, source: str, profile: str | None, session: str, *event: Any) -> None:
    """Call ``track`` of tracardi-track-client, whose models warn that Pydantic has changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tracardi_track_client.tracker import track

        track(address, source, profile, session, *event)


def test_the_python_client_is_answered_and_measured(
    tracardi: Tracardi, capsys: pytest.CaptureFixture[str]
) -> None:
    for price in (13.45, 1.05):
        python_client(
            tracardi.address, "src-1", "p1", "py", "purchase-order", {"price": price}, {"c": 1}, {"r": 1}
        )
    shown = capsys.readouterr().out
    assert shown.count(f"{tracardi.address}/track 200 ") == 2
    assert "'profile': {'id': 'p1'}, 'session': {'id': 'py'}, 'errors': []" in shown
    events = tracardi.events('purchase_order(*).eq(session.id,"py")')
    assert len(events) == 2
    metadata = events[0].data["payload"].pop("metadata")
    assert instant.parse(metadata["time"]["insert"]) == events[0].time
    assert instant.parse(events[0].data.pop("time")["received"]) >= events[0].time
    request = events[0].data.pop("request")
    assert request["r"] == 1
    assert request["headers"]["user-agent"].startswith("python-requests/")
    assert events[0].data == {
        "type": "purchase-order",
        "source": {"id": "src-1"},
        "session": {"id": "py"},
        "profile": {"id": "p1"},
        "payload": {"options": {"profile": False}},
        "context": {"c": 1},
        "properties": {"price": 13.45},
    }
    day = instant.format(events[0].time)[:10]
    assert tracardi.metric('sum(purchase_order(properties.price).eq(session.id,"py"))', day) == 14.5


def test_payloads_that_cross_are_of_one_profile(tracardi: Tracardi) -> None:
    """As a browser's are, whose fired events are under way before the first reply."""

    def track(number: int) -> Any:
        event = {"type": "view", "time": {"create": "2021-01-01T00:00:00Z"}, "properties": {"n": number}}
        return tracardi.track(session={"id": "crossing"}, profile=None, events=[event]).json()

    with ThreadPoolExecutor(8) as threads:
        profiles = {told["profile"]["id"] for told in threads.map(track, range(16))}
    assert len(profiles) == 1
    assert tracardi.metric("sum(view)", "2021-01-01") == 16
    assert tracardi.metric("distinct(view(profile.id))", "2021-01-01") == 1


def test_collectors_that_know_nothing_of_each_other_agree_on_the_profile(tmp_path: Path) -> None:
    told = []
    for _ in range(2):
        with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as collector:
            client = Tracardi(collector.http, Evaluator())
            told.append(client.track(session={"id": "s"}, events=[{"type": "a"}]).json()["profile"]["id"])
    assert told[0] == told[1]


def test_an_event_with_an_id_is_stored_once(tracardi: Tracardi) -> None:
    event = {"id": "e1", "type": "resent", "time": {"insert": "2021-01-02T00:00:00Z"}}
    for _ in range(3):
        answer = tracardi.track(session={"id": "s"}, events=[event], options={"debugger": True})
        assert answer.json()["events"] == ["e1"]
    assert tracardi.metric("sum(resent)", "2021-01-02") == 1


def test_a_bad_event_costs_none_beside_it(tracardi: Tracardi) -> None:
    time = {"create": "2021-01-03T00:00:00Z"}
    good, untyped, too_deep = {"type": "good", "time": time}, {"time": time}, {"type": "deep", "time": time}
    too_deep["properties"] = json.loads('{"a":' * 60 + "1" + "}" * 60)
    answer = tracardi.track(session={"id": "s"}, events=[untyped, good, too_deep])
    assert answer.status_code == 226
    assert answer.json()["profile"]["id"]
    assert len(answer.json()["errors"]) == 2
    assert tracardi.metric("sum(good)", "2021-01-03") == 1
    reasons = [
        event.data["reason"] for event in tracardi.events('cube_rejected(reason).eq(dialect,"tracardi")')
    ]
    assert any("Got no type" in reason for reason in reasons)
    assert any("nested more than" in reason for reason in reasons)

    assert tracardi.track(events=[untyped]).status_code == 422
    assert tracardi.track(events=[too_deep]).status_code == 406


def test_webhooks_are_answered_and_measured(tracardi: Tracardi) -> None:
    address = f"{tracardi.address}/collect/Order%20placed/src"
    answers = [
        requests.post(f"{address}/s%201", json={"total": 2}, timeout=SECONDS),
        requests.post(address, data={"total": "3"}, timeout=SECONDS),
        requests.get(f"{address}/s%201", params={"total": 4}, timeout=SECONDS),
        requests.get(address, params={"total": 5}, timeout=SECONDS),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert [answer.json()["session"]["id"] for answer in answers] == ["s 1", None, "s 1", None]
    events = tracardi.events("order_placed(type,properties.total)")
    assert [event.data["type"] for event in events] == ["Order placed"] * 4
    assert [event.data["properties"]["total"] for event in events] == [2, "3", "4", "5"]
    day = instant.format(events[0].time)[:10]
    assert tracardi.metric('sum(order_placed.eq(session.id,"s 1"))', day) == 2


def test_without_a_profile_or_events_the_answers_are_tracardis(tracardi: Tracardi) -> None:
    answer = tracardi.track("?profile_less=true", session={"id": "s"}, events=[{"type": "a"}])
    assert answer.json()["profile"] == {"id": None}
    assert tracardi.track().json() is None
    put = requests.put(f"{tracardi.address}/track", timeout=SECONDS)
    assert (put.status_code, put.json()) == (200, None)
    wrong = requests.post(f"{tracardi.address}/track", data=b"{", timeout=SECONDS)
    assert (wrong.status_code, wrong.json()["detail"][0]["loc"]) == (422, ["body"])
    assert tracardi.track(source={"id": "@x"}, events=[{"type": "a"}]).status_code == 401


def test_a_source_is_the_key_of_an_environment_and_is_not_stored(tmp_path: Path) -> None:
    settings = tmp_path / "cube.toml"
    settings.write_text("".join(ENVIRONMENT.format(name=name) for name in ("staging", "production")))
    store, flags = f"sqlite:{tmp_path}", ("--config", str(settings))
    with (
        daemon("collector", store, tmp_path, *flags) as collector,
        daemon("evaluator", store, tmp_path, *flags) as evaluator,
        Evaluator(evaluator.http, key="source-of-staging") as staging,
        Evaluator(evaluator.http, key="source-of-production") as production,
    ):
        client = Tracardi(collector.http, staging)

        def track(source: str, **headers: str) -> Any:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            event = {"type": "sold", "properties": {"to": source}}
            payload = {"source": {"id": source}, "session": {"id": "s"}, "events": [event, {"key": source}]}
            return client.track(headers=named, **payload)

        answer = track("source-of-nothing")
        assert (answer.status_code, answer.json()) == (401, {"detail": "Access denied. Invalid source."})
        assert track("source-of-production", X_Context="staging").status_code == 401
        assert track("source-of-staging", X_Context="staging").status_code == 226
        assert track("source-of-production").status_code == 226
        webhook = f"{collector.http}/collect/hooked/source-of-staging"
        assert requests.post(webhook, timeout=SECONDS).status_code == 200
        python_client(collector.http, "source-of-staging", None, "s", "py", {})
        assert staging.types() == ["cube_rejected", "hooked", "py", "sold"]
        assert production.types() == ["cube_rejected", "sold"]
        (event,) = staging.events("sold(source,profile)")
        assert event.data["source"] == {"id": "shop"}
        (rejected,) = staging.events("cube_rejected(*)")
        assert "source-of-staging" not in str(rejected.data)
        (other,) = production.events("sold(profile)")
        assert other.data["profile"] != event.data["profile"]
