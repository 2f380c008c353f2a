"""The page's start and its events in a real Chromium: data is shown as text, and both move by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from cube.client import Emitter
from tests.both_daemons import Both, both_daemons
from tests.browser.playwright_page import opened
from tests.daemon import Daemon

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAGS = '<b id="tag">bold</b>'
PATIENCE = 20_000  # milliseconds


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with both_daemons(tmp_path_factory.mktemp("views")) as both:
        yield both


def send(collector: Daemon, type: str, *data: dict[str, Any]) -> None:
    with Emitter(collector.http) as emitter:
        emitter.send([{"type": type, "id": f"{TAGS}{one['n']}", "data": one} for one in data])


def visit(number: int, path: str = "/") -> dict[str, Any]:
    return {"n": number, "path": path, "ms": 10 * number, TAGS: number, "more": {"of it": TAGS}}


def rows(page: Page) -> Locator:
    return page.locator("tbody tr:not(.full)")


async def heads(page: Page, *names: str) -> None:
    """Wait until these are the columns."""
    await expect(page.locator("thead th > button")).to_have_text(list(names), timeout=PATIENCE)


async def test_the_start_tells_how_to_begin_and_goes_on_by_itself(browser: Browser, daemons: Both) -> None:
    collector, evaluator = daemons.collector, daemons.evaluator
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/")
        await page.get_by_label("collector’s address").fill(collector.http)
        demo, curl, _ = await page.locator("code").all_text_contents()
        assert demo == f"bin/cube demo --url {collector.http} --evaluator {evaluator.http}"
        assert curl.startswith(f'curl -s {collector.http}/1.0/event -d \'{{"type"')

        send(collector, "greeting", *(visit(number) for number in range(3)))
        card = page.locator(".card")
        await expect(card).to_contain_text("3 in the last hour", timeout=PATIENCE)
        for field in ("path", "ms", '["<b id=\\"tag\\">bold</b>"]', 'more["of it"]'):
            await expect(card.get_by_role("link", name=field, exact=True)).to_be_visible(timeout=PATIENCE)
        await expect(page.locator("#tag")).to_have_count(0)
        await card.get_by_role("link", name="Chart", exact=True).click()
        await expect(page).to_have_url(re.compile(r"view=explore&e=sum%28greeting%29"))
        assert said == []


async def test_events_are_filtered_by_a_click_and_come_live_unless_paused(
    browser: Browser, daemons: Both
) -> None:
    collector, evaluator = daemons.collector, daemons.evaluator
    send(collector, "visit", visit(1), visit(2, TAGS), visit(3))
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/?view=events&type=visit&col=n&col=path")
        await expect(rows(page)).to_have_count(3, timeout=PATIENCE)
        await page.locator("tbody").get_by_role("button", name=TAGS).click()
        await expect(rows(page)).to_have_count(1, timeout=PATIENCE)
        await page.locator(".chips").get_by_role("button", name="path =").first.click()  # turned round
        await expect(rows(page)).to_have_count(2, timeout=PATIENCE)

        send(collector, "visit", visit(4))
        await expect(rows(page)).to_have_count(3, timeout=PATIENCE)
        await page.get_by_role("button", name="Pause").click()
        send(collector, "visit", visit(5))
        await expect(page.locator(".status")).to_contain_text("paused, 1 more", timeout=PATIENCE)
        await expect(rows(page)).to_have_count(3)
        await page.get_by_role("button", name="Resume").click()
        await expect(rows(page)).to_have_count(4, timeout=PATIENCE)
        await expect(rows(page).first.locator("td")).to_have_text(["5", "/"])
        await page.get_by_role("button", name="Remove the filter").click()
        await expect(rows(page)).to_have_count(5, timeout=PATIENCE)
        await page.get_by_label("Field").select_option("ms")
        await page.get_by_label("Comparison").select_option("ge")
        await page.get_by_label("Value").fill("40")
        await page.get_by_role("button", name="Add filter").click()
        await expect(rows(page)).to_have_count(2, timeout=PATIENCE)
        await expect(page.locator("#tag")).to_have_count(0)
        assert said == []


async def test_a_filter_that_no_event_can_pass_and_a_type_that_is_not_there_are_told(
    browser: Browser, daemons: Both
) -> None:
    collector, evaluator = daemons.collector, daemons.evaluator
    send(collector, "told", visit(1))
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/?view=events&type=told&col=n&f=ge(path,5)")
        hint = page.locator("main > .hint")
        await expect(hint).to_contain_text("compares with a number, so no event passes", timeout=PATIENCE)
        await page.get_by_role("button", name="Remove the filter").click()
        await expect(rows(page)).to_have_count(1, timeout=PATIENCE)
        await expect(hint).to_be_hidden()
        await page.goto(f"{evaluator.http}/?view=events&type=tolt")
        await expect(hint).to_contain_text(
            "no events of the type tolt; the nearest is told", timeout=PATIENCE
        )
        assert said == []


@pytest.mark.parametrize(
    ("times", "wrong"),
    [
        ("from=rubbish", "rubbish"),
        ("from=-1h&to=rubbish", "rubbish"),
        ("from=-9999999999d", "-9999999999d"),
        ("from=99999999999999999", "99999999999999999"),
    ],
)
async def test_a_time_in_the_address_that_is_none_is_named_and_the_page_goes_on(
    browser: Browser, daemons: Both, times: str, wrong: str
) -> None:
    collector, evaluator = daemons.collector, daemons.evaluator
    send(collector, "odd", visit(1))
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/?view=events&type=odd&col=n")
        await expect(rows(page)).to_have_count(1, timeout=PATIENCE)
        await page.evaluate(
            "query => history.pushState(null, '', query)", f"?view=events&type=odd&col=n&{times}"
        )
        await page.evaluate("dispatchEvent(new Event('cube:state'))")
        await expect(page.locator(".problem")).to_contain_text(
            f"says {wrong}, which is no time", timeout=PATIENCE
        )
        await expect(rows(page)).to_have_count(0)
        await page.get_by_label("Time").select_option("-6h")
        await expect(rows(page)).to_have_count(1, timeout=PATIENCE)
        await expect(page.locator(".problem")).to_be_hidden()

        await page.goto(f"{evaluator.http}/?view=explore&e=sum(odd)&{times}")  # Explore shows the last hour
        await expect(page.locator("canvas").first).to_be_visible(timeout=PATIENCE)
        assert said == []


async def test_an_event_is_shown_in_full_and_columns_are_moved_hidden_and_charted(
    browser: Browser, daemons: Both
) -> None:
    collector, evaluator = daemons.collector, daemons.evaluator
    send(collector, "call", visit(1), visit(2))
    tagged, nested = '["<b id=\\"tag\\">bold</b>"]', 'more["of it"]'
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/?view=events&type=call")
        await heads(page, "n", "path", "ms", tagged, nested)  # as they were sent
        await rows(page).first.get_by_role("button").first.click()
        await expect(page.locator(".full pre")).to_contain_text('"of it": "<b id=\\"tag\\">bold</b>"')
        await expect(page.get_by_role("button", name="Resume")).to_be_visible()

        await page.locator("thead").get_by_role("button", name="path").click()
        await page.get_by_role("button", name="Move left").click()
        await heads(page, "path", "n", "ms", tagged, nested)
        await page.locator("thead").get_by_role("button", name="ms").click()
        await page.get_by_role("button", name="Hide").click()
        await heads(page, "path", "n", tagged, nested)
        await page.go_back()
        await heads(page, "path", "n", "ms", tagged, nested)
        await page.locator("thead").get_by_role("button", name="ms").click()
        await page.get_by_role("link", name="Chart this field").click()
        await expect(page).to_have_url(re.compile(r"e=sum%28call%29.group%28ms%29"))
        assert said == []
