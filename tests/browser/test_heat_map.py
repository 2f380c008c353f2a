"""Heat maps in a real Chromium: a distribution over time, its bounds, its gaps, and the way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.playwright_page import launched, opened
from tests.evaluator_running import DAY, Running, event, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE = 60_000
SPAN = {"view": "explore", "from": "2011-07-17T23:50Z", "to": "2011-07-18T00:00Z", "step": MINUTE}
POWERS = "sum(request).group(floor(log2(ms)))"
GO = "(query) => { history.pushState(null, '', query); dispatchEvent(new Event('cube:state')); }"

ROWS = """async ({bins, isAdditive, groups, most}) => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const {SeriesSet} = await import(`${folder}series.js`);
  const {panelsOf} = await import(`${folder}heat-rows.js`);
  const set = new SeriesSet({start: 0, step: 1e3, count: 3, expressions: {A: ""}});
  set.groupings.A = {bins, isAdditive};
  const times = [0, 1, 2].map((i) => new Date(i * 1e3).toISOString());
  for (const [group, ...values] of groups) {
    set.take("A", times.map((time, i) => ({time, group, ...(values[i] === null ? {} : {value: values[i]})})));
  }
  set.settle();
  const [{rows}] = panelsOf(set, most);
  const known = (value) => Number.isNaN(value) ? null : value;
  return rows.map(({name, values}) => [name, ...[...values.slice(0, 3)].map(known)]);
}"""
"""The rows of three buckets of groups, [group, value, …], lowest first."""

OPAQUE = """(canvas) => {
  const {width, height} = canvas.getBoundingClientRect();
  const copy = new OffscreenCanvas(width, height);
  copy.getContext("2d").drawImage(canvas, 0, 0, width, height);
  const {data} = copy.getContext("2d").getImageData(0, height - 60, width, 12);
  const isOpaque = (x, y) => data[4 * (y * width + x) + 3] > 200;
  const all = Array.from({length: 144}, (_, i) => [i % 12, Math.floor(i / 12)]);
  const at = (i) => Math.floor(60 + (i + 0.5) * (width - 80) / 10);
  return Array.from({length: 10}, (_, i) => all.filter(([x, y]) => isOpaque(at(i) + x, y)).length / 144);
}"""
"""Which share of ten places in the lowest row of a chart is opaque."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evaluator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Ten minutes of requests, each of 1, 3 and 70 ms; in the last one of 300 ms as well."""
    async with running(tmp_path_factory.mktemp("heat")) as made:
        times = [DAY - (number + 1) * MINUTE + 1_000 for number in range(10)]
        data = [{"ms": ms, "status": 200, "size": number} for number, ms in enumerate([1, 3, 70] * 10)]
        await made.save(
            *(event(times[number // 3], each, type="request") for number, each in enumerate(data)),
            event(times[0], {"ms": 300, "status": 500, "size": 0}, type="request"),
        )
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(evaluator: Running) -> AsyncIterator[Page]:
    async with launched() as browser, opened(browser) as (page, said):
        await page.goto(f"http://127.0.0.1:{evaluator.port}/?view=explore")
        yield page
        assert said == []


async def explore(page: Page, **asked: Any) -> None:
    await page.evaluate(GO, f"?{urlencode({**SPAN, **asked})}")
    await expect(page.locator(".status")).to_contain_text("10 buckets of 1 min")


async def test_a_distribution_is_read_by_its_bounds_and_its_cells_open_their_events(page: Page) -> None:
    await explore(page, chart="heat", e=POWERS)
    await expect(page.locator(".legend tbody td:first-child")).to_have_text(
        ["1 – 2", "2 – 4", "64 – 128", "256 – 512"]
    )
    await page.locator(".plot").focus()
    await page.keyboard.press("End")
    said = page.locator(".values div")
    await expect(said).to_have_text(["256 – 5121", "64 – 1281", "2 – 41", "1 – 21"])
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".values .marked")).to_have_text("256 – 5121")
    await expect(page.locator(".cell")).to_be_visible()
    await page.keyboard.press("Enter")
    await expect(page.locator(".events-table tbody tr")).to_have_count(1)
    assert parse_qs(urlsplit(page.url).query)["f"] == ["ge(ms,256)", "lt(ms,512)"]


async def test_choosing_the_heat_map_of_a_number_offers_its_distribution(page: Page) -> None:
    await explore(page, e="median(request(ms).eq(status,200))")
    await page.get_by_role("radio", name="Heat map", exact=True).check()
    await page.locator(".hints").get_by_role("link", name="ms", exact=True).click()
    box = page.get_by_label("Expression A", exact=True)
    await expect(box).to_have_value("sum(request.eq(status,200)).group(floor(log2(ms)))")
    await expect(page.locator(".status")).to_contain_text("3 series")
    await expect(page.locator(".hints:visible")).to_have_count(0)


async def test_a_field_of_events_is_charted_as_a_heat_map(page: Page) -> None:
    await page.evaluate(GO, "?view=events&type=request&to=2011-07-18T00:00Z&from=2011-07-17T23:50Z")
    links = page.get_by_role("link", name="this field").filter(visible=True)
    await page.get_by_role("columnheader", name="ms").get_by_role("button").click()
    await expect(links).to_have_text(["Chart this field"])  # four values are groups
    await page.keyboard.press("Escape")
    await page.get_by_role("columnheader", name="size").get_by_role("button").click()
    await links.filter(has_text="Heat map").click()
    await expect(page.locator(".status")).to_contain_text("series")
    box = page.get_by_label("Expression A", exact=True)
    await expect(box).to_have_value("sum(request).group(floor(log2(size)))")
    await expect(page.get_by_role("radio", name="Heat map", exact=True)).to_be_checked()


async def test_empty_bins_stand_between_others_and_many_share_a_row(page: Page) -> None:
    hundred = {"value": "ms", "base": None, "step": 100, "width": 100}
    groups = [[-1, 1, 0, None], [2, 5, 2, None], [10, 1, None, None]]
    asked = {"bins": hundred, "isAdditive": True, "groups": groups}
    rows = await page.evaluate(ROWS, {**asked, "most": 100})
    assert len(rows) == 12
    assert rows[0] == ["-100 – 0", 1, 0, None]
    assert rows[1] == ["0 – 100", 0, 0, None]  # nothing happened; in the third bucket nothing is known
    assert rows[-1] == ["1,000 – 1,100", 1, 0, None]
    few = await page.evaluate(ROWS, {**asked, "most": 3})
    assert few == [
        ["-500 – 0", 1, 0, None],
        ["0 – 500", 5, 2, None],
        ["500 – 1,000", 0, 0, None],
        ["1,000 – 1,500", 1, 0, None],
    ]
    greatest = await page.evaluate(ROWS, {**asked, "isAdditive": False, "most": 1})
    assert greatest == [["-2,000 – 0", 1, 0, None], ["0 – 2,000", 5, 2, None]]


async def test_groups_of_numbers_stand_in_their_order(page: Page) -> None:
    groups = [[name, 1, 1, 1] for name in ("b", True, 10, -1, 1.5, 1.25, -20)]
    rows = await page.evaluate(ROWS, {"bins": None, "isAdditive": False, "groups": groups, "most": 100})
    assert [name for name, *_ in rows] == ["-20", "-1", "1.25", "1.5", "10", "b", "true"]


async def test_gaps_and_zeros_differ(page: Page) -> None:
    await explore(page, chart="heat", e="max(request(ms).eq(status,500)) * 0")
    canvas = page.locator(".plot canvas")
    await expect(canvas).to_be_visible()
    *gaps, zero = await canvas.evaluate(OPAQUE)
    assert all(share < 0.5 for share in gaps)  # hatched
    assert zero == 1
