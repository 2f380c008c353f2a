"""From the start over a chart to the events, on both stores, without keys and with one that shows a part."""

from __future__ import annotations

import re
import time

import pytest
from playwright.async_api import Browser, Page, expect

from cube.model.environment import DEFAULT, Environment, Scope
from cube.web import Authenticator, KeyRing
from tests.authenticators import key, open_authenticator
from tests.browser.playwright_page import opened
from tests.evaluator_running import Running, Start, event, start
from tests.mongo_server import mongo_server

__all__ = ["mongo_server", "start"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "acme-0K4xq9ZpWr7"
PATIENCE = 30_000  # milliseconds


def one_customers() -> Authenticator:
    """Access with a key that shows the requests of one customer."""
    acme = key(SECRET, Scope.READ, types=frozenset({"request"}), filter='eq(customer,"acme")')
    return Authenticator((Environment(DEFAULT, "test"),), KeyRing([acme]))


async def come(made: Running, acme: int, others: int) -> None:
    """Store events of the present second, and let some seconds go by for the evaluator."""
    made.clock.now = now = int(time.time() * 1000)
    customers = ["acme"] * acme + ["other"] * others
    await made.save(*(event(now, {"customer": one, "path": "/a"}, type="request") for one in customers))
    made.clock.now = now + 5_000


async def give_key(page: Page) -> None:
    for given in ("wrong-0K4xq9ZpWr7", SECRET):
        await page.get_by_label("Key of scope").fill(given)
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("This evaluator answers only with a key.")).to_have_count(0)
    await expect(page.get_by_role("button", name="Forget the key")).to_be_visible()


@pytest.mark.parametrize("has_keys", [False, True], ids=["open", "keys"])
async def test_from_the_start_over_a_live_chart_to_live_events(
    browser: Browser, start: Start, has_keys: bool
) -> None:
    access = one_customers() if has_keys else open_authenticator()
    async with start(access=access) as made, opened(browser) as (page, said):
        made.clock.now = now = int(time.time() * 1000)
        for number, customer in enumerate(("acme", "other", "acme")):
            data = {"customer": customer, "path": "/a"}
            await made.save(event(now - 60_000 + 1_000 * number, data, type="request"))
        await made.save(event(now - 60_000, type="secret"))
        seen = 2 if has_keys else 3

        await page.goto(f"http://127.0.0.1:{made.port}/")
        if has_keys:
            await give_key(page)
        cards = page.locator(".card")
        await expect(cards).to_have_count(1 if has_keys else 2, timeout=PATIENCE)
        await expect(cards.first).to_contain_text(f"{seen} in the last hour", timeout=PATIENCE)

        await cards.first.get_by_role("link", name="Chart", exact=True).click()
        await page.get_by_label("Step").select_option("1000")
        await expect(page.locator(".status")).to_contain_text("live", timeout=PATIENCE)
        greatest = page.locator(".legend tbody .more").last
        await expect(greatest).to_have_text("1")
        await come(made, acme=4, others=3)
        await expect(greatest).to_have_text("4" if has_keys else "7", timeout=PATIENCE)

        await page.get_by_role("link", name="Events", exact=True).click()
        rows = page.locator(".events-table tbody tr")
        await expect(rows).to_have_count(seen + (4 if has_keys else 7), timeout=PATIENCE)
        await come(made, acme=1, others=1)
        await expect(rows).to_have_count(seen + (5 if has_keys else 9), timeout=PATIENCE)
        await rows.first.get_by_role("button", name=re.compile("acme|other")).click()
        await expect(page.locator(".chips li")).to_have_count(1)
        assert SECRET not in page.url
        assert [text for text in said if "401" not in text] == []
