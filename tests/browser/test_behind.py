"""The events behind a point of a chart, in a real Chromium: by a click and by keys, of each kind."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.playwright_page import launched, opened
from tests.evaluator_running import DAY, Running, event, running
from tests.web_client import connection

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE = 60_000
HOSTS = ("web1", '<b id="tag">bold</b>')
GO = "(query) => { history.pushState(null, '', query); dispatchEvent(new Event('cube:state')); }"
BUCKET = {"from": "2011-07-17T23:59:00.000Z", "to": "2011-07-18T00:00:00.000Z"}
TAGGED = 'eq(host,"<b id=\\"tag\\">bold</b>")'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evaluator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Ten minutes of requests: in each four of one host, and one, a failure, of another."""
    async with running(tmp_path_factory.mktemp("behind")) as made:
        data = [{"host": HOSTS[i % 5 == 4], "status": 500 if i % 5 == 4 else 200, "ms": i} for i in range(50)]
        await made.save(
            *(event(DAY - (i // 5 + 1) * MINUTE + 1_000, data[i], type="request") for i in range(50))
        )
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(evaluator: Running) -> AsyncIterator[Page]:
    async with launched() as browser, opened(browser) as (page, said):
        await page.goto(f"http://127.0.0.1:{evaluator.port}/?view=explore")
        yield page
        assert said == []


async def explore(page: Page, chart: str, *expressions: str, **more: str) -> None:
    """Open a chart of ten minutes, and wait until it is drawn."""
    span = {"from": "2011-07-17T23:50Z", "to": "2011-07-18T00:00Z", "step": MINUTE}
    asked = {"view": "explore", "chart": chart, "e": expressions, **span, **more}
    await page.evaluate(GO, f"?{urlencode(asked, doseq=True)}")
    await drawn(page)


async def drawn(page: Page) -> None:
    await expect(page.locator(".status")).to_contain_text("10 buckets of 1 min")


async def shows_events(page: Page, count: int, *filters: str) -> None:
    """Wait until the events of the last minute are shown that pass these filters."""
    await expect(page.locator(".events-table tbody tr")).to_have_count(count)
    found: dict[str, Any] = parse_qs(urlsplit(page.url).query)
    wanted = {name: [text] for name, text in {"view": "events", "type": "request", **BUCKET}.items()}
    assert found == (wanted if not filters else {**wanted, "f": list(filters)})


async def click_last(page: Page, selector: str, down: float) -> None:
    """Click the last bucket of a chart, at a part of its height."""
    box = await page.locator(selector).bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + box["width"] - 30, box["y"] + down * box["height"])


async def test_a_lone_series_is_opened_by_a_click_or_by_enter(page: Page) -> None:
    await explore(page, "line", "sum(request)")
    await click_last(page, ".plot", 0.2)
    await shows_events(page, 5)
    await page.go_back()
    await drawn(page)
    await page.locator(".plot").focus()
    for key in ("End", "Enter"):
        await page.keyboard.press(key)
    await shows_events(page, 5)


async def test_the_events_without_a_group_are_opened_by_their_name(page: Page) -> None:
    await explore(page, "bars", 'sum(request).group(zone, "none")')
    await click_last(page, ".plot", 0.7)
    await shows_events(page, 5, 'or(eq(zone,"none"),eq(zone,null))')


@pytest.mark.parametrize(
    ("chart", "selector", "down"),
    [
        ("bars", ".plot", 0.8),
        ("area", ".plot", 0.72),
        ("heat", ".plot", 0.7),
        ("horizon", ".horizon .row:first-child", 0.5),
    ],
)
async def test_of_groups_the_one_under_the_pointer_is_opened(
    page: Page, chart: str, selector: str, down: float
) -> None:
    await explore(page, chart, "sum(request).group(host)")
    await click_last(page, selector, down)
    await shows_events(page, 1, TAGGED)
    assert await page.locator("#tag").count() == 0
    await expect(page.locator(".chips")).to_contain_text(f"host = {HOSTS[1]}")


async def test_rows_of_a_table_and_a_number_are_opened(page: Page) -> None:
    await explore(page, "table", "sum(request).group(host)")
    await page.locator("tbody tr").first.locator("td").first.click()
    await shows_events(page, 1, TAGGED)
    await explore(page, "table", "sum(request)")
    await page.locator("tbody tr").first.get_by_role("button").press("Enter")
    await shows_events(page, 5)
    await explore(page, "number", "sum(request.ge(status,500))")
    await page.locator(".number").get_by_role("button", name="1").click()
    await shows_events(page, 1, "ge(status,500)")


async def test_where_several_may_be_meant_they_are_offered(page: Page) -> None:
    await explore(page, "line", "sum(request.ge(status,500)) / sum(request)")
    await click_last(page, ".plot", 0.9)
    offered = page.locator(".behind a")
    await expect(offered).to_have_text(["request.ge(status,500)", "request"])
    await page.keyboard.press("Escape")
    await expect(offered).to_have_count(0)
    await page.keyboard.press("Enter")  # the crosshair is where it was
    await offered.first.click()
    await shows_events(page, 1, "ge(status,500)")

    await explore(page, "horizon", "sum(request).group(host)")
    await page.locator(".horizon").focus()
    for key in ("End", "Enter"):
        await page.keyboard.press(key)
    await expect(offered).to_have_text(["request", 'request.eq(host,"web1")', f"request.{TAGGED}"])
    await page.keyboard.press("Escape")
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        await page.keyboard.press(key)
    await shows_events(page, 4, 'eq(host,"web1")')


async def test_expressions_of_other_units_that_are_far_apart_have_panes_of_their_own(page: Page) -> None:
    drawn_panes = """async () => {
      const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
      const {panesOf, unitIn} = await import(`${folder}panes.js`);
      const one = (letter, max, unit) => ({letter, summary: {min: 0, max}, unit});
      const panes = (scale, ...series) => {
        const units = Object.fromEntries(series.map(({letter, unit}) => [letter, unit]));
        const found = panesOf({shown: series, units}, scale);
        return found.map((pane) => pane.map(({letter}) => letter).join("")).join();
      };
      return [
        panes(null, one("A", 900, ""), one("B", 8, "ms"), one("C", 5, "ms")),
        panes(null, one("A", 900, ""), one("B", 8, "")),
        panes(null, one("A", 9, ""), one("B", 8, "ms")),
        panes("one", one("A", 900, ""), one("B", 8, "ms")),
        panes("each", one("A", 9, ""), one("A", 7, ""), one("B", 8, "")),
        unitIn("sum(a)", [{expression: "sum(a)", value: null}]),
        unitIn("median(a(ms)) * 2", [{expression: "median(a(ms))", value: "ms"}]),
        unitIn("max(a(ms))", [{expression: "max(a(ms))", value: "ms"}]),
      ];
    }"""
    found = await page.evaluate(drawn_panes)
    assert found == ["A,BC", "AB", "AB", "AB", "AA,B", "", "median(a(ms)) * 2", "ms"]

    await explore(page, "line", "sum(request)", "median(request(ms))", scale="each")
    await expect(page.get_by_label("Scale")).to_have_value("each")
    await click_last(page, ".plot", 0.24)  # of the first pane
    await shows_events(page, 5)
    assert await page.locator(".behind").count() == 0


async def test_the_rest_of_a_ranking_comes_last_and_grey_with_the_events_behind_it(page: Page) -> None:
    await explore(page, "line", "sum(request).group(host, status).top(1)")
    names = page.locator(".legend tbody button span")
    await expect(names).to_have_text([f"{HOSTS[0]} · 200", "other"])
    colours = await page.locator(".legend tbody button i").evaluate_all(
        "(marks) => marks.map((mark) => getComputedStyle(mark).backgroundColor)"
    )
    first, rest = ([int(part) for part in colour[4:-1].split(",")] for colour in colours)
    assert max(rest) - min(rest) < 30 < max(first) - min(first)

    await explore(page, "table", "sum(request).group(host).top(1)")
    await expect(page.locator(".buckets thead th")).to_have_text(["Time", HOSTS[0], "other"])
    await page.locator(".buckets tbody tr").first.locator("td").nth(1).click()
    await shows_events(page, 1, f'nin(host,[null,"{HOSTS[0]}"])')


async def test_the_events_of_a_group_of_several_parts_have_them_all(page: Page) -> None:
    await explore(page, "table", "count(request).group(each(host), floor(ms / 25))")
    heads = page.locator(".buckets thead th")
    await expect(heads).to_have_text(
        ["Time", *(f"{host} · {each}" for host in sorted(HOSTS) for each in ("0 – 25", "25 – 50"))]
    )
    await page.locator(".buckets tbody tr").first.locator("td").nth(2).click()
    await shows_events(page, 4, f'eq(host,"{HOSTS[0]}")', "ge(ms,0)", "lt(ms,25)")


async def test_each_side_has_the_group_in_its_filters(page: Page) -> None:
    for expression in (
        "quantiles(0.5, request(ms)).group(host)",
        "sum(request).group(status, host) / sum(request).group(host)",
    ):
        await explore(page, "table", expression)
        group = re.compile(r"bold</b>( · 0\.5)?$")
        column = page.locator(".buckets thead th").filter(has_text=group)
        place = await column.first.evaluate("(head) => head.cellIndex - 1")
        await page.locator(".buckets tbody tr").first.locator("td").nth(place).click()
        if "status" in expression:
            offered = page.locator(".behind a")
            await expect(offered).to_have_text([f"request.eq(status,500).{TAGGED}", f"request.{TAGGED}"])
            await offered.last.click()
        await shows_events(page, 1, TAGGED)


async def test_what_a_name_stood_for_is_not_kept(page: Page, evaluator: Running) -> None:
    async with connection(evaluator.port) as client:
        for filters in ((), ("ge(status,500)",)):
            text = ".".join(("request", *filters))
            body = json.dumps({"expression": f"sum({text})"}).encode()
            await client.ask(
                "PUT",
                "/1.0/definitions/asked",
                body,
                headers={"If-Match": "*"} if filters else {"If-None-Match": "*"},
            )
            await explore(page, "table", "asked")
            await page.locator(".buckets tbody tr").first.locator("td").first.click()
            await shows_events(page, 1 if filters else 5, *filters)
