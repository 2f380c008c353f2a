"""Snowplow's browser tracker in a real Chromium, on a page of another origin than the collector's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Browser, Page, chromium
from tests.browser.pages import pages
from tests.foreign_client import DAY, Running, running
from tests.tools import NODE, node_package

TRACKER = NODE / "node_modules/@snowplow/browser-tracker/dist/index.umd.min.js"
HTML = """<!doctype html><meta charset="utf-8"><title>T é</title><script src="/sp.js"></script>
<body style="height: 5000px">"""
SETTINGS = """
[environments.web]
database = "test"
origins = ["*://127.0.0.1:*"]

[[environments.web.keys]]
name = "web"
key = "KEY1"
"""
ZEROS = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("snowplow-browser")) as made:
        yield made


@pytest.fixture
async def site() -> AsyncIterator[str]:
    node_package("@snowplow/browser-tracker")
    async with pages({"/shop": HTML, "/sp.js": TRACKER}) as origin:
        yield origin


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as made:
        yield made


async def track(page: Page, script: str) -> None:
    """Run a script of the page's, in which ``sp`` is the tracker."""
    await page.evaluate(f"(() => {{ const sp = snowplowBrowserTracking; {script} }})()")


async def found(cube: Running, expression: str, count: int) -> list[Any]:
    """The data of so many events, once they are there."""
    async with asyncio.timeout(20):
        while True:
            events = cube.evaluator.events(expression, start="2020-01-01", stop="9999-01-01")
            if len(events) >= count:
                return [event.data for event in events]
            await asyncio.sleep(0.05)


def total(cube: Running, expression: str) -> float:
    """A sum over all days around today, whatever the clock of the test says."""
    newest = cube.evaluator.events("page_view", start="2020-01-01", stop="9999-01-01")[-1].time
    metrics = cube.evaluator.metrics(expression, step=DAY, start=newest - 2 * DAY, stop=newest + 2 * DAY)
    return sum(metric.value or 0 for metric in metrics)


@pytest.mark.parametrize("method", ["post", "get"])
async def test_a_page_is_tracked_and_measured(
    cube: Running, site: str, browser: Browser, method: str
) -> None:
    page = await browser.open(f"{site}/shop?utm=1")
    own = {"schema": "iglu:com.acme/saved-game/jsonschema/1-0-0", "data": {"level": 3, "by name": "é?>"}}
    user = {"schema": "iglu:com.acme/user_type/jsonschema/1-0-0", "data": {"type": "trial"}}
    options = {"appId": method, "eventMethod": method, "contexts": {"webPage": True}}
    await track(
        page,
        f"sp.newTracker('sp', '{cube.collector}', {json.dumps(options)}); sp.setUserId('u1');"
        "sp.enableActivityTracking({minimumVisitLength: 1, heartbeatDelay: 1});"
        f"sp.trackPageView({{context: [{json.dumps(user)}]}});"
        "sp.trackStructEvent({category: 'shop', action: 'add', value: 2.5});"
        "sp.trackStructEvent({category: 'shop', action: 'add', value: 1});"
        f"sp.trackSelfDescribingEvent({{event: {json.dumps(own)}}});",
    )
    (view,) = await found(cube, f'page_view(*).eq(app, "{method}")', 1)
    assert view["page"] == {
        "url": f"{site}/shop?utm=1",
        "host": "127.0.0.1",
        "path": "/shop",
        "title": "T é",
    }
    assert (view["platform"], view["user"]["id"], view["tracker"]["namespace"]) == ("web", "u1", "sp")
    assert view["contexts"]["user_type"] == [{"type": "trial"}]
    assert set(view["contexts"]["web_page"][0]) == {"id"}
    assert view["browser"]["charset"] == "UTF-8"
    assert len(view["browser"]["viewport"]) == 2
    (saved,) = await found(cube, f'saved_game(*).eq(app, "{method}")', 1)
    assert (saved["name"], saved["event"]) == ("saved-game", {"level": 3, "by name": "é?>"})
    await found(cube, f'struct_event.eq(app, "{method}")', 2)
    assert total(cube, f'sum(struct_event(struct.value).eq(app, "{method}"))') == 3.5
    await page.evaluate("scrollTo(0, 300)")
    ping = (await found(cube, f'page_ping(ping).eq(app, "{method}")', 1))[0]["ping"]
    assert set(ping) == {"min_x", "max_x", "min_y", "max_y"}
    assert cube.rejected("snowplow") == []


async def test_a_browser_is_known_again_by_the_collectors_cookie_unless_it_is_anonymous(
    cube: Running, site: str, browser: Browser
) -> None:
    for app, anonymous in (
        ("known", "false"),
        ("known", "false"),
        ("anonymous", "{withServerAnonymisation: true}"),
    ):
        page = await browser.open(f"{site}/shop")
        await track(
            page,
            f"sp.newTracker('sp', '{cube.collector}', {{appId: '{app}', anonymousTracking: {anonymous}}});"
            "sp.trackPageView();",
        )
        answered = "performance.getEntriesByType('resource').some(one => one.name.endsWith('/tp2'))"
        await page.until(answered)
    first, second = await found(cube, 'page_view(user, ip, user_agent).eq(app, "known")', 2)
    assert first["user"]["network"] == second["user"]["network"] != ZEROS
    assert (first["ip"], "Chrome" in first["user_agent"]) == ("127.0.0.1", True)
    (hidden,) = await found(cube, 'page_view(*).eq(app, "anonymous")', 1)
    assert hidden["user"] == {"network": ZEROS}
    assert "ip" not in hidden
    assert "user_agent" not in hidden


async def test_with_a_key_the_pages_of_its_environment_alone_may_send(
    tmp_path: Path, site: str, browser: Browser
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    with running(tmp_path, "--config", str(settings)) as cube:
        for host in ("localhost", "127.0.0.1"):
            page = await browser.open(f"{site.replace('127.0.0.1', host)}/shop")
            await track(
                page,
                "window.failed = []; sp.newTracker('sp', '" + cube.collector + "', {"
                f"appId: '{host}', customHeaders: {{'X-Api-Key': 'KEY1'}}, retryFailedRequests: false,"
                "onRequestFailure: failure => window.failed.push(failure.message)}); sp.trackPageView();",
            )
            if host == "localhost":
                assert "Failed to fetch" in (await page.until("window.failed.length && window.failed"))[0]
        assert len(await found(cube, 'page_view.eq(app, "127.0.0.1")', 1)) == 1
        assert cube.evaluator.events('page_view.eq(app, "localhost")', start="2020-01-01") == []
