"""What the page does with values that come by themselves, made up in the page (`feed.js`), by the hundred."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.browser.playwright_page import launched, opened
from tests.evaluator_running import running
from tests.tools import LONG

pytestmark = pytest.mark.asyncio(loop_scope="module")

FEED = Path(__file__).with_name("feed.js")
UNEVEN = Path(__file__).with_name("uneven.js")
BEGINNING, SECONDS = 300, 900
GROWTH = 1_000_000  # bytes; 90 000 rows come meanwhile, of which none may stay

BANDS = """async () => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const {drawBands} = await import(`${folder}bands.js`);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [60, 40];
  const context = canvas.getContext("2d", {willReadFrequently: true});
  drawBands(context, 0, canvas, [0, NaN, 4, -4, 8, 4], {count: 6}, [0, 0, 4, 0, 0, 8]);
  return [0, 1, 2, 3, 4, 5].map((i) => {
    const seen = (top, high) => {
      const {data} = context.getImageData(10 * i, top, 10, high);
      const colours = new Set(new Uint32Array(data.buffer));
      const [red, green, , opacity] = data;
      return [colours.size, opacity === 0 ? "paper" : green > red ? "more" : "less"].join(" ");
    };
    return [seen(0, 32), seen(33, 7)];
  });
}"""
"""The colours that six buckets have in their bands, and in their comparison: how many, and which first."""

DRAWN = """async () => {
  const frames = [];
  let drawn = 0;
  const put = CanvasRenderingContext2D.prototype.putImageData;
  CanvasRenderingContext2D.prototype.putImageData = function (...given) {
    drawn += 1;
    put.apply(this, given);
  };
  feed.tick(1000);
  for (let still = 0; still < 10; still = drawn ? 0 : still + 1) {
    drawn = 0;
    await new Promise(requestAnimationFrame);
    frames.push(drawn);
  }
  CanvasRenderingContext2D.prototype.putImageData = put;
  return frames;
}"""
"""How many rows each of the frames after a second of new values has drawn."""

LIVE_ON = """async (seconds) => {
  for (let i = 0; i < seconds; i++) {
    feed.tick(1000);
    if (i % 6 === 0) await new Promise(requestAnimationFrame);
  }
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Page]:
    size = {"width": 1000, "height": 3_600}  # a hundred rows are in sight
    async with (
        running(tmp_path_factory.mktemp("live")) as made,
        launched() as browser,
        opened(browser, viewport=size) as (page, said),
    ):
        await page.add_init_script(path=FEED)
        asked = "view=explore&chart=horizon&from=-1m&step=1000&e=sum(request).group(host)"
        await page.goto(f"http://127.0.0.1:{made.port}/?{asked}")
        await expect(page.locator(".horizon .row")).to_have_count(100)
        await page.evaluate("feed.ready()")
        yield page
        assert said == []


async def test_in_horizons_gaps_are_not_zeros_and_what_was_before_is_a_strip(page: Page) -> None:
    assert await page.evaluate(BANDS) == [
        ["1 paper", "1 paper"],
        ["2 paper", "2 paper"],  # hatched
        ["1 more", "1 paper"],
        ["1 less", "1 less"],
        ["1 more", "1 more"],
        ["1 more", "1 less"],
    ]


async def test_buckets_are_as_wide_as_they_are_long(page: Page) -> None:
    seen: dict[str, tuple[list[float], list[int]]] = await page.evaluate(UNEVEN.read_text())
    edges = {"line": (0.05, 0.7), "bars": (0, 0.1, 0.4, 1), "heat": (0.1, 0.4), "horizon": (0.1, 0.4)}
    for kind, (changes, pointed) in seen.items():
        assert pointed == [0, 1, 1, 2, 2], kind
        assert {min(edges[kind], key=lambda edge: abs(edge - each)) for each in changes} == set(edges[kind])
        for each in changes:  # a few pixels are between bars, and a point is as wide
            assert min(abs(each - edge) for edge in edges[kind]) < 0.01, (kind, changes)


async def test_of_a_hundred_rows_that_change_at_once_ten_are_drawn_in_a_frame(page: Page) -> None:
    await page.evaluate(DRAWN)  # what was begun before
    frames: list[int] = await page.evaluate(DRAWN)
    assert (sum(frames), max(frames)) == (100, 10)
    last = "[...document.querySelectorAll('.horizon .row b')].map((one) => one.textContent)"
    before = await page.evaluate(last)
    await page.evaluate(DRAWN)
    assert sum(a != b for a, b in zip(before, await page.evaluate(last), strict=True)) > 50


async def test_a_group_that_went_while_the_connection_was_lost_is_gone(page: Page) -> None:
    # Exactly: the row of host-4 has the text "host-42" too while its newest value begins with 2.
    row = page.locator(".horizon .row").filter(has=page.get_by_text("host-42", exact=True))
    await expect(row).to_have_count(1)
    await page.evaluate("feed.lose('host-42')")
    await expect(row).to_have_count(0)
    await expect(page.locator(".horizon .row")).to_have_count(99)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not LONG, reason="CUBE_TEST_LONG is not set")
async def test_live_values_leave_nothing_in_memory(page: Page) -> None:
    devtools = await page.context.new_cdp_session(page)

    async def used() -> int:
        await devtools.send("HeapProfiler.collectGarbage")
        usage: dict[str, Any] = await devtools.send("Runtime.getHeapUsage")
        return int(usage["usedSize"])

    await page.evaluate(LIVE_ON, BEGINNING)
    before = await used()
    await page.evaluate(LIVE_ON, SECONDS)
    after = await used()
    elements = await page.evaluate("document.querySelectorAll('*').length")
    assert after - before < GROWTH, f"{before:,} bytes have become {after:,}"
    assert elements < 1_000
