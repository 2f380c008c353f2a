"""Snowplow's Python and Node trackers against a running collector, and metrics over what they sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.daemon import daemon
from tests.foreign_client import (
    Running,
    front,
    run_node,
    run_node_text,
    run_python,
    run_python_text,
    running,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dialects" / "snowplow.md"
BODY_BYTES = 50_000
PATH = "/com.snowplowanalytics.snowplow/tp2"
SCREEN_VIEW = "iglu:com.snowplowanalytics.snowplow/screen_view/jsonschema/1-0-0"
ONCE = ("page_view", "page_ping", "saved_game", "link_click", "transaction")
OF_PYTHON = ("add_to_cart", "remove_from_cart", "change_form", "submit_form", "site_search")

run_python_tracker = partial(run_python, "send_snowplow.py")
run_node_example = partial(run_node_text, "@snowplow/node-tracker")
run_node_tracker = partial(run_node, "@snowplow/node-tracker", "send_snowplow.mjs")
TRACKERS = pytest.mark.parametrize(
    ("name", "run"), [("py", run_python_tracker), ("node", run_node_tracker)], ids=["python", "node"]
)


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    flags = ("--limits-body-bytes", str(BODY_BYTES), "--dialects-snowplow-paths", "/com.acme/track")
    with running(tmp_path_factory.mktemp("snowplow"), *flags) as made:
        yield made


def mine(expression: str, namespace: str) -> str:
    return f'{expression}.eq(tracker.namespace, "{namespace}")'


def check(cube: Running, namespace: str) -> None:
    """The metrics of what both trackers send, each event of it counted once."""
    for type in ONCE:
        assert (type, cube.metric(f"sum({mine(type, namespace)})")) == (type, 1)
    views = mine(f'screen_view.eq(schema, "{SCREEN_VIEW}")', namespace)
    assert cube.metric(f"sum({views})") == 1
    value = mine('struct_event(struct.value).eq(struct.category, "shop").eq(struct.action, "add")', namespace)
    assert cube.metric(f"sum({value})") == 3.5
    assert cube.metric(f"max({mine('page_ping(ping.max_y)', namespace)})") == 250
    assert cube.metric(f"sum({mine('transaction(transaction.total)', namespace)})") == 26
    assert cube.metric(f"max({mine('transaction_item(item.price)', namespace)})") == 10.5
    fields = "app, browser, contexts, page, user.id"
    assert cube.data(mine(f"page_view({fields})", namespace)) == [
        {
            "app": "shop",
            "browser": {"screen": [1920, 1080]} | ({"lang": "en"} if "py" in namespace else {}),
            "contexts": {"user_type": [{"type": "trial", "naïve": "é"}]},
            "page": {
                "url": "https://shop.example/a?b=1",
                "host": "shop.example",
                "path": "/a",
                "title": "A é",
                "referrer": "https://r.example",
            },
            "user": {"id": "u1"},
        }
    ]
    assert cube.data(mine("saved_game(name, schema, event)", namespace)) == [
        {
            "name": "saved-game",
            "schema": "iglu:com.acme/saved-game/jsonschema/1-0-0",
            "event": {"level": 3, "by name": "é?>"},
        }
    ]


@TRACKERS
async def test_what_a_tracker_sends_again_is_measured_once(
    cube: Running, name: str, run: Callable[..., str]
) -> None:
    async with front(cube.collector, losses=2) as between:
        assert await asyncio.to_thread(run, between.address, "post") == ""
    assert {passed.status for passed in between.passed} == {200}
    assert between.passed[0].body != between.passed[1].body, "sent again with another stm"
    check(cube, f"{name}-post")


@TRACKERS
def test_a_tracker_that_asks_for_pixels_is_measured_alike(
    cube: Running, name: str, run: Callable[..., str]
) -> None:
    assert run(cube.collector, "get") == ""
    check(cube, f"{name}-get")


def test_every_call_of_the_python_tracker_is_a_type(cube: Running) -> None:
    assert run_python_tracker(cube.collector, "post") == ""
    for type in OF_PYTHON:
        assert cube.metric(f'sum({type}.eq(app, "shop"))')
    assert cube.data("site_search(event).eq(event.totalResults, 7)")[0]["event"]["terms"] == ["a", "b"]
    assert cube.metric('sum(struct_event.eq(user.id, "u2"))')


@pytest.mark.parametrize("tracker", ["python", "node"])
def test_the_pages_examples_send(cube: Running, tracker: str) -> None:
    blocks = re.findall(r"^```(?:python|js)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (example,) = (block for block in blocks if f"https://shop.example/{tracker}" in block)
    text = example.replace("1080", cube.collector.rpartition(":")[2])
    run: Callable[[str], str] = {"python": run_python_text, "node": run_node_example}[tracker]
    assert run(text) == ""
    found = cube.evaluator.events(f'page_view(app, tracker.namespace).eq(page.path, "/{tracker}")')
    assert [event.data for event in found] == [{"app": "web", "tracker": {"namespace": "shop"}}]


def test_a_bad_event_costs_only_itself_and_too_large_a_request_is_not_sent_again(cube: Running) -> None:
    good = {"e": "pv", "eid": "GOOD-1", "ttm": "1767323045678", "aid": "mixed"}
    mixed = {"data": [good, {"e": "xx", "url": "https://a"}, 7]}
    large: dict[str, Any] = {"data": [good | {"eid": "large", "page": "x" * BODY_BYTES}]}
    for body in (mixed, mixed, large):
        answer = requests.post(cube.collector + PATH, json=body, timeout=10)
        assert (answer.status_code, answer.text) == (200, "ok")
    assert cube.metric('sum(page_view.eq(app, "mixed"))') == 1
    letters = [
        (letter["reason"].partition(";")[0], letter["payload"]) for letter in cube.rejected("snowplow")
    ]
    assert sorted(letters, key=lambda letter: str(letter[0])) == [
        ("Got 7 as an event", 7),
        ('Got the kind of event (e) "xx"', {"e": "xx", "url": "https://a"}),
        (f"The body is over {BODY_BYTES} bytes (inflated), which is the limit.", None),
    ]


def test_what_will_never_be_taken_is_not_sent_again(cube: Running) -> None:
    """Trackers send what meets a 413, 414, 415 or 431 again and again."""
    long = requests.get(f"{cube.collector}/i", params={"e": "pv", "page": "x" * 40_000}, timeout=10)
    packed = {"Content-Encoding": "br"}
    odd = requests.post(cube.collector + PATH, data=b"x", headers=packed, timeout=10)
    assert (long.status_code, odd.status_code) == (422, 422)


def test_a_pixel_is_shown_to_get_and_head_alike(cube: Running) -> None:
    before = len(cube.data('page_view(*).eq(app, "mail")'))
    query = {"e": "pv", "aid": "mail", "ttm": "1767323045678", "eid": "pixel-1"}
    for ask in (requests.get, requests.head):
        for path in ("/i", "/ice.png"):
            answer = ask(cube.collector + path, params=query, timeout=10)
            assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/gif")
            assert int(answer.headers["Content-Length"]) == 43
            assert "no-store" in answer.headers["Cache-Control"]
    assert len(cube.data('page_view(*).eq(app, "mail")')) == before + 1


def test_a_path_of_ones_own_is_in_the_settings(cube: Running) -> None:
    body = {"data": [{"e": "pv", "ttm": "1767323045678", "aid": "own path"}]}
    for _ in range(2):
        assert requests.post(f"{cube.collector}/com.acme/track", json=body, timeout=10).text == "ok"
    assert requests.post(f"{cube.collector}/com.acme/other", json=body, timeout=10).status_code == 404
    assert cube.metric('sum(page_view.eq(app, "own path"))') == 1


def test_switched_off_its_paths_are_gone(tmp_path: Path) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, "--dialects-snowplow", "false") as collector:
        for path in (PATH, "/tp2", "/i"):
            assert requests.get(f"{collector.http}{path}?e=pv", timeout=10).status_code == 404
