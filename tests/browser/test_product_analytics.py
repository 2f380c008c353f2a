"""PostHog's and Mixpanel's libraries in a real Chromium, on a page of another origin than the collector's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Page, chromium
from tests.browser.pages import pages
from tests.foreign_client import Running, running
from tests.tools import NODE, node_package

POSTHOG = NODE / "node_modules/posthog-js/dist/array.js"
MIXPANEL = NODE / "node_modules/mixpanel-browser/dist/mixpanel.umd.js"
HTML = """<!doctype html><title>Shop</title><script src="/library.js"></script><button>Buy</button>"""
KEY = "phc_0123456789"
AGENT = "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
"""That of a headless browser is a robot's to the libraries."""
SETTINGS = f"""
[environments.web]
database = "test"
origins = ["*://127.0.0.1:*"]

[[environments.web.keys]]
name = "web"
key = "{KEY}"
scopes = ["write"]
"""


@pytest.fixture
def cube(tmp_path: Path) -> Iterator[Running]:
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    with running(tmp_path, "--config", str(settings)) as made:
        yield made


async def stored(cube: Running, *types: str) -> dict[str, list[Any]]:
    """The data of all events by type, once there are any of some types."""
    found: dict[str, list[Any]] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(40):
            while not all(found.get(type) for type in types):  # a type may be there before its events
                await asyncio.sleep(0.05)
                for type in cube.evaluator.types():
                    events = cube.evaluator.events(f"{type}(*)", start="2020-01-01", stop="9999-01-01")
                    found[type] = [event.data for event in events]
    assert all(found.get(type) for type in types), {type: len(events) for type, events in found.items()}
    return found


async def run(page: Page, script: str) -> None:
    await page.evaluate(f"({script}, 0)")


async def test_posthogs_page_is_measured_up_to_its_last_words(cube: Running) -> None:
    node_package("posthog-js")
    content = {"/shop": HTML, "/library.js": POSTHOG, "/next": "<!doctype html>"}
    options = {"api_host": cube.collector, "opt_out_useragent_filter": True}
    async with pages(content) as origin, chromium(AGENT) as browser:
        page = await browser.open(f"{origin}/shop")
        await run(page, f"posthog.init('{KEY}', {json.dumps(options)})")
        await run(page, "posthog.capture('Item Bought', {price: 4.5})")
        await run(page, "posthog.identify('u1', {plan: 'pro'})")
        # The flags are asked for once the page is configured: from then on clicks are captured.
        await page.until("performance.getEntriesByType('resource').some(one => one.name.includes('/flags/'))")
        await run(page, "document.querySelector('button').click()")
        await stored(cube, "item_bought", "identify", "autocapture")
        await run(page, "posthog.capture('Last Words')")
        await page.goto(f"{origin}/next")
        found = await stored(cube, "pageview", "last_words", "pageleave")
    assert {type: len(events) for type, events in found.items()} == dict.fromkeys(
        ("autocapture", "identify", "item_bought", "last_words", "pageleave", "pageview"), 1
    )
    assert found["item_bought"][0]["properties"]["price"] == 4.5
    assert found["identify"][0]["distinct_id"] == found["last_words"][0]["distinct_id"] == "u1"
    assert 'text="Buy"' in found["autocapture"][0]["properties"]["$elements_chain"]
    assert not [said for said in page.said if "rror" in said]


async def test_mixpanels_page_is_measured_up_to_its_last_words(cube: Running) -> None:
    node_package("mixpanel-browser")
    content = {"/shop": HTML, "/library.js": MIXPANEL}
    options = {"api_host": cube.collector, "debug": True, "autocapture": True, "flags": True}
    options |= {"batch_flush_interval_ms": 500, "remote_settings_mode": "fallback"}
    async with pages(content) as origin, chromium(AGENT) as browser:
        page = await browser.open(f"{origin}/shop")
        await run(page, f"mixpanel.init('{KEY}', {json.dumps(options)})")
        await run(page, "mixpanel.track('Item Bought', {price: 4.5})")
        await run(page, "mixpanel.identify('u1'), mixpanel.people.set({plan: 'pro'})")
        await run(page, "mixpanel.get_group('company', 'acme').set({size: 5})")
        await run(page, "document.querySelector('button').click()")
        await stored(cube, "item_bought", "mixpanel_profile", "mixpanel_group", "mp_click")
        await page.until(
            "performance.getEntriesByType('resource').some("
            "one => one.name.includes('/settings/') && one.responseStatus === 200)"
        )
        assert await page.evaluate("mixpanel.flags.get_variant_value('beta', 'none')") == "none"
        await run(page, "mixpanel.track('At Once', {}, {transport: 'sendBeacon', send_immediately: true})")
        await run(page, "mixpanel.track('Last Words')")
        await page.goto(f"{origin}/shop")
        # What a request under way kept from being sent is sent by the next page that uses the library.
        await run(page, f"mixpanel.init('{KEY}', {json.dumps(options)})")
        found = await stored(cube, "at_once", "last_words", "mp_web_page_view")
    counts = {type: len(events) for type, events in found.items()}
    once = ("at_once", "identify", "item_bought", "last_words", "mp_click")
    assert {type: counts[type] for type in once} == dict.fromkeys(once, 1)
    assert found["item_bought"][0]["properties"]["price"] == 4.5
    assert "pro" in [update.get("$set", {}).get("plan") for update in found["mixpanel_profile"]]
    assert found["mixpanel_group"][0]["$set"] == {"size": 5}
    assert "cube_rejected" not in found
    assert not [said for said in page.said if "No flags in" in said or "remote settings" in said]
