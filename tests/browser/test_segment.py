"""Segment's analytics.js in a real Chromium, on a page of another origin than the collector's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import chromium
from tests.browser.pages import pages
from tests.foreign_client import Running, running
from tests.tools import NODE, node_package

LIBRARY = NODE / "node_modules/@segment/analytics-next/dist/umd/index.js"
HTML = """<!doctype html><title>Shop</title><script src="/analytics.js"></script>"""
SETTINGS = """
[environments.web]
database = "test"
origins = ["*://127.0.0.1:*"]

[[environments.web.keys]]
name = "web"
key = "KEY1"
scopes = ["write"]
"""
TYPES = ("page", "identify", "item_purchased", "group", "alias", "screen")
SCRIPT = """(async () => {
    const integrations = {"Segment.io": %s};
    const analytics = AnalyticsNext.AnalyticsBrowser.load({writeKey: "KEY1", cdnSettings: {integrations}});
    await analytics.page("Docs", "Home");
    await analytics.identify("u1", {plan: "pro"});
    await analytics.track("Item Purchased", {price: 4.5});
    await analytics.group("g1", {name: "Acme"});
    await analytics.alias("u2", "u1");
    await analytics.screen("Main");
    window.done = true;
})()"""


async def stored(cube: Running, type: str) -> list[Any]:
    """The data of a type's events, once there are any."""
    async with asyncio.timeout(20):
        while True:
            events = cube.evaluator.events(f"{type}(*)", start="2020-01-01")
            if events:
                return [event.data for event in events]
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("strategy", ["standard", "batching"])
async def test_all_calls_of_a_page_are_measured(tmp_path: Path, strategy: str) -> None:
    node_package("@segment/analytics-next")
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    with running(tmp_path, "--config", str(settings)) as cube:
        async with pages({"/shop": HTML, "/analytics.js": LIBRARY}) as origin, chromium() as browser:
            page = await browser.open(f"{origin}/shop")
            host = cube.collector.partition("://")[2]
            delivery = {"strategy": strategy, "config": {"size": 6, "timeout": 500}}
            options = {"apiKey": "KEY1", "apiHost": f"{host}/v1", "protocol": "http"}
            await page.evaluate(SCRIPT % json.dumps({**options, "deliveryStrategy": delivery}))
            assert await page.until("window.done")
            found = {type: await stored(cube, type) for type in TYPES}
        assert {type: len(events) for type, events in found.items()} == dict.fromkeys(TYPES, 1)
        bought = found["item_purchased"][0]
        assert (bought["properties"], bought["user_id"]) == ({"price": 4.5}, "u1")
        assert bought["context"]["library"]["name"] == "analytics.js"
