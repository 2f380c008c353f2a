"""Payloads with the names that real systems give: stored, asked for and answered, on both stores."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.both_daemons import Both
from tests.daemon import daemon
from tests.mongo_server import mongo_server

__all__ = ["mongo_server"]

DAY = 1_700_006_400_000 // 86_400_000 * 86_400_000
PAYLOADS: dict[str, list[Any]] = {
    "request": [
        {"ms": 5, "headers": {"user-agent": "curl", "X-Id": {"value": 1}}},
        {"ms": 7, "headers": {"user-agent": "wget", "X-Id": {"value": 2}}},
    ],
    "conn": [
        {"id.orig_h": "10.0.0.1", "id.resp_p": 53, "orig_bytes": 10},
        {"id.orig_h": "10.0.0.2", "id.resp_p": 443, "orig_bytes": 20},
        {"id": {"orig_h": "10.0.0.1"}, "orig_bytes": 40},
    ],
    "linked": [
        {"@type": "Person", "@context": ["https://schema.org"], "age": 9},
        {"@type": "Place", "age": 1},
    ],
    "seen": [
        {"$browser": "Firefox", "$screen": {"$width": 800}},
        {"$browser": "Safari", "$screen": {"$width": 400}},
    ],
    "reactions": [{"+1": 5, "-1": 2}, {"-1": 20, "+1": 50}],
    "film": [{"US Gross": 100, "Title": "A"}, {"US Gross": 50, "Title": "B"}],
    "pod": [{"annotations": {"authorization.k8s.io/decision": "allow"}}, {"annotations": {}}],
    "sale": [{"価格": 100, "数量": 2}, {"数量": 3, "価格": 10}],
    "odd": [{"a%2Eb": 1, 'say "hi"': [{"x\\y": 2}], "größe": 3, "\0": 4}],
}
METRICS: list[tuple[str, Any]] = [
    ('sum(request(ms).eq(headers["user-agent"],"wget"))', 7),
    ('sum(request(headers["X-Id"].value))', 3),
    ('sum(conn(orig_bytes).eq(["id.orig_h"],"10.0.0.1"))', 10),
    ('sum(conn(orig_bytes).eq(id.orig_h,"10.0.0.1"))', 40),
    ('max(conn(["id.resp_p"]))', 443),
    ('sum(linked(age).eq(["@type"],"Person").eq(["@context"],"https://schema.org"))', 9),
    ('sum(seen(["$screen"]["$width"]).in(["$browser"],["Safari","Opera"]))', 400),
    ('sum(reactions(["+1"]))', 55),
    ('sum(reactions(["+1"] - ["-1"]))', 33),
    ('mean(film(["US Gross"]).re(Title,"^[AB]$"))', 75),
    ('count(pod.eq(annotations["authorization.k8s.io/decision"],"allow"))', 1),
    ("sum(sale(価格 * 数量))", 230),
    ("sum(sale(数量).gt(価格,50))", 2),
    ("distinct(odd(größe))", 1),
    ('sum(odd(["a%2Eb"] + ["say \\"hi\\""][0]["x\\\\y"] + ["\\0"]))', 7),
    ('count(odd.exists(["a.b"]))', 0),
]
GROUPS: list[tuple[str, dict[Any, Any]]] = [
    ('sum(request(ms)).group(headers["user-agent"])', {"curl": 5, "wget": 7}),
    ('sum(conn(orig_bytes)).group(["id.orig_h"])', {"10.0.0.1": 10, "10.0.0.2": 20}),
    ('sum(seen(["$screen"]["$width"])).group(["$browser"])', {"Firefox": 800, "Safari": 400}),
    ("sum(sale(価格)).group(数量)", {2: 100, 3: 10}),
]


@pytest.fixture(scope="module", params=["sqlite", "mongodb"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both daemons on one store, that hold all payloads."""
    directory = tmp_path_factory.mktemp("names")
    store, name = f"sqlite:{directory / 'data'}", "test"
    if request.param == "mongodb":
        server = request.getfixturevalue("mongo_server")
        store, name = server.url, server.database()
    with (
        daemon("collector", store, directory, database=name) as collector,
        daemon("evaluator", store, directory, database=name) as evaluator,
    ):
        events = [
            {"type": type, "time": DAY + place, "id": place, "data": data}
            for type, payloads in PAYLOADS.items()
            for place, data in enumerate(payloads)
        ]
        assert put(collector.http, events) == {}
        yield Both(collector, evaluator)


def put(collector: str, events: Any) -> Any:
    body = json.dumps(events).encode()
    with urlopen(Request(f"{collector}/1.0/event", body), timeout=30) as answer:
        return json.load(answer)


def test_every_payload_comes_back_as_it_was_sent(both: Both) -> None:
    for type, payloads in PAYLOADS.items():
        assert [event["data"] for event in both.events(f"{type}(*)")] == payloads


@pytest.mark.parametrize("again", [False, True], ids=["cold", "warm"])
def test_metrics_reach_every_name(both: Both, again: bool) -> None:
    for expression, value in METRICS:
        assert both.metric(expression, start=DAY, stop=DAY + 1) == [value], expression


def test_groups_are_by_any_name(both: Both) -> None:
    for expression, values in GROUPS:
        parameters = {"expression": expression, "start": DAY, "stop": DAY + 1, "step": 86_400_000}
        rows = both.ask("/1.0/metric", parameters)
        assert {row["group"]: row["value"] for row in rows} == values, expression


def test_an_event_query_shows_the_named_fields_as_they_are_nested(both: Both) -> None:
    shown = both.events('odd(["say \\"hi\\""][0]["x\\\\y"],größe)')
    assert [event["data"] for event in shown] == [{'say "hi"': [{"x\\y": 2}], "größe": 3}]
    assert len(both.events('conn(["id.orig_h"])')) == 2
    assert [event["data"] for event in both.events("conn(id.orig_h)")] == [{"id": {"orig_h": "10.0.0.1"}}]


def test_an_event_that_changes_its_names_changes_its_metrics(both: Both) -> None:
    type = f"changing_{time.monotonic_ns()}"
    for data, dotted, nested in (({"a.b": 1}, 1, 0), ({"a": {"b": 2}}, 0, 2), ({"a.b": 4, "$": 1}, 4, 0)):
        put(both.collector.http, {"type": type, "time": DAY, "id": 1, "data": data})
        for expression, value in ((f'sum({type}(["a.b"]))', dotted), (f"sum({type}(a.b))", nested)):
            assert both.metric(expression, start=DAY, stop=DAY + 1) == [value]


def test_a_wrong_name_is_refused_where_it_stands(both: Both) -> None:
    with pytest.raises(HTTPError) as refused:
        both.metric("sum(conn(@type))", start=DAY, stop=DAY + 1)
    told = json.load(refused.value)
    assert (refused.value.code, told["line"], told["column"]) == (400, 1, 10)
