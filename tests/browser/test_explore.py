"""Explore in a real Chromium: typed, seen, zoomed, reloaded, with data that looks like markup."""

from __future__ import annotations

import asyncio
import csv
import json
import shlex
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from cube.client import Emitter
from tests.both_daemons import Both, both_with
from tests.browser.playwright_page import opened
from tests.tools import NODE, node_package

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE = 60_000
TAG = '<b id="tag">bold</b>'
HOSTS = ("web1", "web2", TAG)

COLOURED = """(canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  const {data} = context.getImageData(0, 0, copy.width, copy.height);
  let count = 0;
  for (let i = 0; i < data.length; i += 4) {
    const colour = data.subarray(i, i + 3);
    if (data[i + 3] > 100 && Math.max(...colour) - Math.min(...colour) > 30) count += 1;
  }
  return count;
}"""
"""How many pixels of a canvas are coloured, as series are; text and axes are grey."""

DRAW_A_YEAR = """async () => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const {SeriesSet} = await import(`${folder}series.js`);
  const {drawLines} = await import(`${folder}chart-lines.js`);
  const set = new SeriesSet({start: 0, step: 36e5, count: 8760, expressions: {A: "sum(a)"}});
  const time = (i) => new Date(i * 36e5).toISOString();
  set.take("A", Array.from({length: 8760}, (_, i) => ({time: time(i), value: Math.sin(i / 9) * i})));
  set.settle();
  const canvas = document.createElement("canvas");
  let drawn = 0;
  const lineTo = CanvasRenderingContext2D.prototype.lineTo;
  CanvasRenderingContext2D.prototype.lineTo = function (x, y) { drawn += 1; lineTo.call(this, x, y); };
  drawLines(canvas, 1200, 400, "line", set, {zone: "utc"});
  CanvasRenderingContext2D.prototype.lineTo = lineTo;
  return drawn;
}"""

GAPS = """async () => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const {SeriesSet} = await import(`${folder}series.js`);
  const {drawLines} = await import(`${folder}chart-lines.js`);
  const found = {};
  for (const kind of ["line", "area", "stacked", "bars"]) {
    const set = new SeriesSet({start: 0, step: 1e3, count: 100, expressions: {A: "max(a(b))"}});
    const rows = Array.from({length: 100}, (_, i) => ({time: new Date(i * 1e3).toISOString(), value: 5}));
    set.take("A", rows.filter((_, i) => i < 40 || i >= 60));
    set.settle();
    const canvas = document.createElement("canvas");
  canvas.getContext("2d", {willReadFrequently: true});
    const at = drawLines(canvas, 600, 300, kind, set, {zone: "utc"});
    const reads = (index) => {
      const {data} = canvas.getContext("2d").getImageData(at.x(index), at.y(5) - 2, 1, 6);
      return data.some((value, i) => i % 4 === 3 && value > 30 && data[i - 1] !== data[i - 3]);
    };
    found[kind] = [reads(20), reads(50), reads(80)];
  }
  return found;
}"""


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A collector and an evaluator, with three hours of requests of three hosts."""
    now = int(time.time() * 1000)
    events = (
        {"type": "request", "time": at, "data": {"host": HOSTS[at // MINUTE % 3], "ms": at // MINUTE % 17}}
        for at in range(now - 180 * MINUTE, now - 2 * MINUTE, MINUTE // 2)
    )
    with both_with(events, tmp_path_factory.mktemp("explore")) as both:
        yield both


def explore(daemons: Both) -> str:
    return f"{daemons.evaluator.http}/?view=explore"


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


async def shows(page: Page, words: str) -> None:
    """Wait until the line above the chart says so, and the chart is not blank."""
    await expect(page.locator(".status")).to_contain_text(words)
    canvas = page.locator(".chart canvas").first
    await expect(canvas).to_be_visible()
    for _ in range(100):  # a horizon row is drawn in one of the next frames
        if await canvas.evaluate(COLOURED):
            return
        await asyncio.sleep(0.05)
    pytest.fail("The chart stays blank")


async def test_an_expression_is_typed_seen_zoomed_and_found_again(browser: Browser, daemons: Both) -> None:
    async with opened(browser) as (page, said):
        await page.goto(f"{explore(daemons)}")
        await page.get_by_label("Expression A", exact=True).fill("sum(request)")
        await page.keyboard.press("Enter")
        await shows(page, "1 series")
        assert query(page) == {"view": ["explore"], "e": ["sum(request)"]}

        await page.get_by_label("Time", exact=True).select_option("-6h")
        await shows(page, "360 buckets of 1 min")
        box = await page.locator(".plot").bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        await page.mouse.move(box["x"] + 300, middle)
        await expect(page.locator(".values")).to_contain_text("sum(request)")
        await page.mouse.down()
        await page.mouse.move(box["x"] + 600, middle, steps=4)
        await page.mouse.up()
        await expect(page.get_by_label("From", exact=True)).to_be_visible()
        await shows(page, "buckets of 10 s")
        zoomed = query(page)
        assert zoomed["from"] < zoomed["to"]

        await page.reload()
        await shows(page, "buckets of 10 s")
        await expect(page.get_by_label("Expression A", exact=True)).to_have_value("sum(request)")
        await page.go_back()
        await shows(page, "360 buckets of 1 min")
        assert said == []


async def test_every_chart_shows_groups_and_names_that_look_like_markup_as_text(
    browser: Browser,
    daemons: Both,
) -> None:
    async with opened(browser) as (page, said):
        await page.goto(f"{explore(daemons)}&from=-3h&e=sum(request).group(host)")
        for kind in ("Line", "Area", "Stacked", "Bars", "Horizon", "Heat map", "Number"):
            await page.get_by_role("radio", name=kind, exact=True).check()
            await shows(page, "3 series")
            if kind != "Heat map":
                await expect(page.get_by_text(TAG, exact=True).first).to_be_visible()
        await page.get_by_role("radio", name="Table", exact=True).check()
        await expect(page.get_by_role("columnheader", name=TAG)).to_be_visible()
        assert await page.locator("#tag").count() == 0
        assert said == []


async def test_a_chart_is_read_and_zoomed_with_the_keyboard_alone(browser: Browser, daemons: Both) -> None:
    async with opened(browser) as (page, said):
        await page.goto(f"{explore(daemons)}&from=-3h&chart=horizon&e=sum(request).group(host)")
        await shows(page, "3 series")
        await page.locator(".horizon").focus()
        for key in ("Home", "ArrowRight", *["Shift+ArrowRight"] * 5):
            await page.keyboard.press(key)
        await expect(page.locator(".when")).to_be_visible()
        await page.keyboard.press("Enter")
        await expect(page.get_by_label("From", exact=True)).to_be_visible()
        assert set(query(page)) == {"view", "e", "chart", "from", "to"}
        assert said == []


async def test_a_wrong_expression_is_marked_at_its_place_and_the_others_are_drawn(
    browser: Browser,
    daemons: Both,
) -> None:
    async with opened(browser) as (page, _):
        await page.goto(f"{explore(daemons)}&e=sum(request)%2Bfrob(x)&e=sum(request)")
        await expect(page.get_by_role("alert").first).to_contain_text("line 1, column 14")
        await expect(page.locator("mark")).to_have_text("frob")
        await shows(page, "1 series")


async def test_new_events_move_the_chart(browser: Browser, daemons: Both) -> None:
    async with opened(browser) as (page, said):
        await page.goto(f"{explore(daemons)}&from=-5m&chart=number&step=1000&e=sum(request)")
        await expect(page.locator(".status")).to_contain_text("live")
        now = int(time.time() * 1000)
        with Emitter(daemons.collector.http) as emitter:  # one each half of a second, of the next seconds
            emitter.send(
                {"type": "request", "time": now + 500 * i, "data": {"host": "web1"}} for i in range(40)
            )
        await expect(page.locator(".number strong")).to_have_text("2")
        assert said == []


async def test_days_are_those_of_the_zone_that_is_chosen(browser: Browser, daemons: Both) -> None:
    """The day on which clocks were set back in Berlin: whoever looks is elsewhere."""
    collector, evaluator = daemons.collector, daemons.evaluator
    days = ("2024-10-26T21:59:59Z", "2024-10-26T22:00:00Z", "2024-10-27T22:59:59Z", "2024-10-27T23:00:00Z")
    with Emitter(collector.http) as emitter:
        emitter.send({"type": "visit", "time": at} for at in days)
    span = "from=2024-10-25T22:00Z&to=2024-10-28T23:00Z"
    async with opened(browser, timezone_id="America/New_York") as (page, said):
        await page.goto(f"{evaluator.http}/?view=explore&e=sum(visit)&chart=table&{span}")
        await page.get_by_label("Clock", exact=True).select_option("Europe/Berlin")
        await page.get_by_label("Step", exact=True).select_option("86400000")
        await expect(page.locator(".status")).to_contain_text("3 buckets of 1 day in Europe/Berlin")
        rows = page.locator("table.buckets tbody tr")
        await expect(rows).to_have_text(["Mon, 28 Oct 20241", "Sun, 27 Oct 20242", "Sat, 26 Oct 20241"])
        assert query(page)["zone"] == ["Europe/Berlin"]

        await page.get_by_label("Step", exact=True).select_option("month")
        await expect(rows).to_have_text(["Tue, 1 Oct 20244"])
        assert said == []


async def test_weeks_begin_on_the_day_that_is_chosen(browser: Browser, daemons: Both) -> None:
    """By UTC, where the page knows the edges, and by the clocks of a zone, where the evaluator tells them."""
    collector, evaluator = daemons.collector, daemons.evaluator
    with Emitter(collector.http) as emitter:  # a Saturday, a Sunday, a Monday
        emitter.send(
            {"type": "trip", "time": f"2024-06-{day}T12:00Z"} for day in ("15", "16", "16", "17", "17", "17")
        )
    span = "from=2024-06-10T00:00Z&to=2024-06-24T00:00Z"
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/?view=explore&e=sum(trip)&chart=table&zone=utc&{span}&step=1w")
        rows = page.locator("table.buckets tbody tr")
        await expect(rows).to_have_text(["Mon, 17 Jun 20243", "Mon, 10 Jun 20243"])
        await page.get_by_label("Weeks from", exact=True).select_option("sunday")
        await expect(page.locator(".status")).to_contain_text("buckets of 1 week from Sunday")
        weeks = ["Sun, 23 Jun 20240", "Sun, 16 Jun 20245", "Sun, 9 Jun 20241"]
        await expect(rows).to_have_text(weeks)
        assert query(page)["week"] == ["sunday"]

        await page.get_by_label("Clock", exact=True).select_option("Europe/Berlin")
        await expect(page.locator(".status")).to_contain_text("1 week from Sunday in Europe/Berlin")
        await expect(rows).to_have_text(weeks)
        await page.get_by_label("Step", exact=True).select_option("86400000")
        await expect(page.get_by_label("Weeks from", exact=True)).to_have_count(0)
        await expect(page.locator(".status")).to_contain_text("1 day in Europe/Berlin")
        assert said == []


async def test_a_year_of_hours_takes_some_strokes_a_pixel_and_gaps_stay_gaps(
    browser: Browser,
    daemons: Both,
) -> None:
    async with opened(browser) as (page, said):
        await page.goto(f"{explore(daemons)}")
        spans = await page.get_by_label("Time", exact=True).locator("option").all_inner_texts()
        assert spans[-6:-1] == [
            f"Last {each}" for each in ("2 days", "1 week", "30 days", "90 days", "365 days")
        ]
        assert 1200 <= await page.evaluate(DRAW_A_YEAR) <= 4 * 1200
        gaps = await page.evaluate(GAPS)
        assert said == []
    assert gaps == {kind: [True, False, True] for kind in ("line", "area", "stacked", "bars")}


async def test_what_is_seen_is_handed_over_as_a_command_values_and_a_picture(
    browser: Browser, daemons: Both
) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    async with opened(browser, permissions=allowed) as (page, said):
        await page.goto(f"{explore(daemons)}&from=-3h&step=300000&e=sum(request).group(host)")
        await shows(page, "3 series")

        async def copied(name: str) -> str:
            await page.get_by_text("Share", exact=True).click()
            await page.get_by_role("button", name=name, exact=True).click()
            await expect(page.locator("#said")).to_contain_text("copied")
            text: str = await page.evaluate("navigator.clipboard.readText()")
            return text

        assert parse_qs(urlsplit(await copied("Copy link")).query) == query(page)
        command = await copied("Copy as curl")
        assert command.startswith(f"curl -s '{daemons.evaluator.http}/1.0/metric?expression=sum")
        lines = (await copied("Copy as CSV")).splitlines()
        assert sorted(next(csv.reader(lines[:1]))) == sorted(["time", *HOSTS])
        assert len(lines) == 1 + 36
        process = await asyncio.create_subprocess_exec(*shlex.split(command), stdout=asyncio.subprocess.PIPE)
        asked = (await process.communicate())[0]
        total = sum(row["value"] for row in json.loads(asked))
        assert total == sum(float(value) for line in lines[1:] for value in line.split(",")[1:])
        async with page.expect_download() as download:
            await page.get_by_text("Share", exact=True).click()
            await page.get_by_role("button", name="Save as PNG").click()
        assert (await (await download.value).path()).read_bytes().startswith(b"\x89PNG")
        assert said == []


@pytest.mark.parametrize(("chart", "scheme"), [("line", "light"), ("horizon", "dark")])
async def test_axe_finds_nothing_to_mend(browser: Browser, daemons: Both, chart: str, scheme: str) -> None:
    node_package("axe-core")
    axe = (NODE / "node_modules/axe-core/axe.min.js").read_text()
    violations = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
    async with opened(browser, color_scheme=scheme, bypass_csp=True) as (page, _):
        expressions = "e=sum(request).group(host)&e=sum(x)%2B"
        await page.goto(f"{explore(daemons)}&chart={chart}&{expressions}")
        await shows(page, "3 series")
        await page.evaluate(f"{axe};0")
        assert await page.evaluate(violations) == []


async def test_on_a_phone_in_the_dark_nothing_is_wider_than_the_screen(
    browser: Browser,
    daemons: Both,
) -> None:
    phone = {"width": 390, "height": 800}
    async with opened(browser, viewport=phone, color_scheme="dark", reduced_motion="reduce") as (page, said):
        await page.goto(f"{explore(daemons)}&from=-180m&e=sum(request).group(host)&e=max(request(ms))")
        await shows(page, "4 series")
        assert await page.get_by_label("Time", exact=True).input_value() == "-3h"
        assert await page.evaluate("document.documentElement.scrollWidth") <= phone["width"]
        told = await page.locator(".head .status").bounding_box()
        assert told is not None
        assert told["width"] > 0.9 * (phone["width"] - 24)
        assert said == []


async def test_an_expression_is_given_a_name_which_others_use(browser: Browser, daemons: Both) -> None:
    evaluator = daemons.evaluator
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/?view=explore&from=-3h&e=mean(request(ms))")
        await shows(page, "1 series")
        await page.get_by_role("button", name="Names", exact=True).click()
        await expect(page.get_by_text("No expression has a name yet.")).to_be_visible()
        await page.get_by_placeholder("error_rate").fill("wait_ms")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("wait_ms stands for mean(request(ms)) now.")).to_be_visible()

        await page.goto(f"{evaluator.http}/?view=explore&from=-3h&e=wait_ms - shift(wait_ms, 1h)")
        await shows(page, "1 series")
        await page.get_by_role("button", name="Names", exact=True).click()
        await expect(page.get_by_role("link", name="wait_ms")).to_be_visible()
        slow = f"{evaluator.http}/1.0/definitions/slow"
        made = {"If-None-Match": "*"}
        assert (await page.request.put(slow, data={"expression": "wait_ms / 2"}, headers=made)).status == 201
        await page.get_by_role("button", name="Delete wait_ms").click()
        used = page.get_by_role("dialog", name="wait_ms is used")
        await expect(used.get_by_role("listitem")).to_have_text(["the name slow"])
        await used.get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("link", name="wait_ms")).to_be_visible()
        await page.get_by_role("button", name="Delete wait_ms").click()
        await used.get_by_role("button", name="Delete it all the same").click()
        await expect(page.get_by_role("link", name="wait_ms")).to_have_count(0)
        assert (await page.request.delete(slow, headers={"If-Match": "*"})).status == 204
        assert all("409 (Conflict)" in each for each in said)
