"""What Tracardi's JavaScript tracker sends, sent by a real Chromium from a page of another origin.

The tracker is in no package registry. The page sends the requests that were recorded of its
``liliput.min.js``, through the same calls of the browser, and keeps of the replies what it keeps.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cube.client import Evaluator
from tests.browser.chromium import Browser, Page, chromium
from tests.browser.pages import pages
from tests.daemon import daemon
from tests.end_to_end.serving import wait_until
from tests.tools import tool

PAGE = """<!doctype html><title>Shop</title><script>
let profile = null;
const device = {id: "54984b9a-b7f5-4b2e-8b4a-6a2b1f7c9d10"};
const context = {
  time: {local: "11/22/2026, 4:30:43 AM", tz: "UTC"},
  browser: {local: {browser: {name: "Netscape", engine: "Gecko", language: "en-US"}}},
  screen: {width: 800, height: 600}, storage: {local: {}, cookies: {}},
};
const event = (type, properties, create) => ({
  time: {create}, properties, type, options: {},
  context: {page: {url: location.href, path: location.pathname}, performance: {}},
});
const payload = (api, source, session, events) => JSON.stringify({
  source: {id: source}, context, profile, device, session: {id: session}, options: {}, events,
});
async function track(api, source, session, ...events) {
  const reply = await fetch(`${api}/track`, {
    method: "POST", credentials: "omit", body: payload(api, source, session, events),
    headers: {"Content-Type": "application/json", "x-timestamp": String(Date.now())},
  });
  const told = await reply.json();
  if (told && told.profile) profile = told.profile;
  return {status: reply.status, told};
}
const beacon = (api, source, session, ...events) => navigator.sendBeacon(
  `${api}/track`, new Blob([payload(api, source, session, events)], {type: "application/json"}));
</script>"""

DAY = {"step": 86_400_000, "start": "2026-11-22", "stop": "2026-11-23"}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    tool("chromium")
    async with chromium() as running:
        yield running


async def test_what_a_page_sends_is_of_one_visitor_and_measured(browser: Browser, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}"
    with (
        daemon("collector", store, tmp_path) as collector,
        daemon("evaluator", store, tmp_path) as evaluator,
        Evaluator(evaluator.http) as metrics,
    ):
        async with pages({"/": PAGE}) as origin:
            page = await browser.open(f"{origin}/")
            # As recorded: one fired, one by beacon, two in a batch; none waits for a reply.
            told = await page.evaluate(f"""Promise.all([
                track("{collector.http}", "src-1", "s1",
                    event("signed-in", {{}}, "2026-11-22T04:30:43.430Z")),
                beacon("{collector.http}", "src-1", "s1",
                    event("left", {{}}, "2026-11-22T04:30:43.432Z")),
                track("{collector.http}", "src-1", "s1",
                    event("purchase-order", {{id: "x", price: 13.45}}, "2026-11-22T04:30:43.431Z"),
                    event("page-view", {{a: 1}}, "2026-11-22T04:30:43.433Z")),
            ])""")
            assert [told[0]["status"], told[1], told[2]["status"]] == [200, True, 200]
            assert told[0]["told"]["profile"] == told[2]["told"]["profile"]
            # A later visit: another session, and the profile that the page has kept.
            again = await page.evaluate(
                f'track("{collector.http}", "src-1", "s2", event("page-view", {{}}, "2026-11-22T05:00:00Z"))'
            )
            assert again["told"]["profile"] == told[0]["told"]["profile"]

        wait_until(lambda: "left" in metrics.types(), "the beacon's event is stored")
        (revenue,) = metrics.metrics("sum(purchase_order(properties.price))", **DAY)
        (views,) = metrics.metrics("sum(page_view)", **DAY)
        assert (revenue.value, views.value) == (13.45, 2)
        found = [
            event
            for type in ("signed_in", "left", "purchase_order", "page_view")
            for event in metrics.events(f"{type}(profile.id,device.id,request.headers.origin)")
        ]
        assert len(found) == 5
        assert {event.data["profile"]["id"] for event in found} == {told[0]["told"]["profile"]["id"]}
        assert {event.data["request"]["headers"]["origin"] for event in found} == {origin}


SETTINGS = """
[environments.shop]
database = "shop"
origins = ["{origin}"]

[[environments.shop.keys]]
name = "web"
key = "source-of-the-shop"
"""


async def test_pages_of_other_origins_store_nothing(browser: Browser, tmp_path: Path) -> None:
    async with pages({"/": PAGE}) as own, pages({"/": PAGE}) as other:
        settings = tmp_path / "cube.toml"
        settings.write_text(SETTINGS.format(origin=own))
        store, flags = f"sqlite:{tmp_path}", ("--config", str(settings))
        with (
            daemon("collector", store, tmp_path, *flags) as collector,
            daemon("evaluator", store, tmp_path, *flags) as evaluator,
            Evaluator(evaluator.http, key="source-of-the-shop") as metrics,
        ):
            stranger = await browser.open(f"{other}/")
            assert await refused(stranger, collector.http, "source-of-the-shop") == "TypeError"
            page = await browser.open(f"{own}/")
            denied = await page.evaluate(f'track("{collector.http}", "unknown", "s", event("a", {{}}, 0))')
            assert denied == {"status": 401, "told": {"detail": "Access denied. Invalid source."}}
            assert metrics.types() == []
            sent = f'"{collector.http}", "source-of-the-shop", "s", event("a", {{}}, "2026-11-22T00:00:00Z")'
            assert (await page.evaluate(f"track({sent})"))["status"] == 200
            assert await page.evaluate(f"beacon({sent})") is True
            wait_until(lambda: len(metrics.events("a")) == 2, "the beacon's event is stored")


async def refused(page: Page, api: str, source: str) -> str:
    """Track, and return the name of the error that the browser raises."""
    name: str = await page.evaluate(
        f'track("{api}", "{source}", "s", event("a", {{}}, 0)).then(() => "", error => error.name)'
    )
    return name
