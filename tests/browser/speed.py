"""Measure the page: `python -m tests.browser.speed` prints the figures that `docs/performance.md` has.

Frames are told by the processor time of the page's main thread, as Chromium traces it, which other processes
on the machine do not change; the first chart, drawing, and the longest time between two frames by the clock.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

from cube.cli.demo_traffic import traffic
from cube.model.event import Event
from cube.store.sqlite import open_store
from tests.browser.playwright_page import launched, opened
from tests.daemon import daemon

EVENTS, HOURS = 200_000, 6
FEED = Path(__file__).with_name("feed.js")
SIZES = {"a window": 900, "all rows in sight": 3_500}
UPDATES, HOUR = 30, 3_600

DRAWN = """() => new Promise((done) => {
  const look = () => {
    const status = document.querySelector(".status")?.textContent ?? "";
    if (!status.includes("buckets")) return requestAnimationFrame(look);
    requestAnimationFrame(() => done(performance.now()));
  };
  look();
})"""
"""When the frame has begun that shows the first chart, in milliseconds since the page was asked for."""

UPDATE = """async ([updates, step]) => {
  let longest = 0, last = performance.now();
  for (let i = 0; i < updates; i++) {
    feed.tick(step);
    for (let frame = 0; frame < 15; frame++) {
      await new Promise(requestAnimationFrame);
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }
  }
  return longest;
}"""
"""The longest time between two frames while a hundred rows change again and again."""

YEAR = """async () => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const {SeriesSet} = await import(`${folder}series.js`);
  const {drawLines} = await import(`${folder}chart-lines.js`);
  const set = new SeriesSet({start: 0, step: 36e5, count: 8760, expressions: {A: "sum(a)"}});
  const row = (_, i) => ({time: new Date(i * 36e5).toISOString(), value: Math.sin(i / 9) * i});
  set.take("A", Array.from({length: 8760}, row));
  const canvas = document.createElement("canvas");
  const took = [];
  for (let i = 0; i < 15; i++) {
    const began = performance.now();
    drawLines(canvas, 1200, 400, "line", set, {zone: "utc"});
    canvas.getContext("2d").getImageData(0, 0, 1, 1);
    took.push(performance.now() - began);
  }
  return took.sort((a, b) => a - b)[7];
}"""
"""How long a year of hours takes, from values to pixels: the median of fifteen."""

LIVE_ON = """async (seconds) => {
  for (let i = 0; i < seconds; i++) {
    feed.tick(1000);
    if (i % 6 === 0) await new Promise(requestAnimationFrame);
  }
}"""


async def fill(directory: Path) -> None:
    """Store six hours of made-up requests, 200 000 of them."""
    now = int(time.time() * 1000)
    made = traffic(1, now - HOURS * 3_600_000, lambda _: EVENTS / HOURS / 3_600)
    rows = [Event(one["type"], one["time"], one["id"], one["data"]) for one in islice(made, EVENTS)]
    store = await open_store(directory, "test")
    try:
        for first in range(0, EVENTS, 5_000):
            await store.events.save("request", rows[first : first + 5_000])
    finally:
        await store.close()


async def first_charts(browser: Browser, evaluator: str) -> list[float]:
    """Open the page five times, each with nothing cached; the evaluator has just been started."""
    found = []
    for _ in range(5):
        async with opened(browser) as (page, _):
            asked = f"view=explore&from=-{HOURS}h&e=sum(request).group(host)"
            await page.goto(f"{evaluator}/?{asked}", wait_until="commit")
            found.append(await page.evaluate(DRAWN))
    return found


async def hundred_rows(page: Page, evaluator: str, step: int) -> tuple[float, float]:
    """Return the longest task of the main thread and the longest time between frames, in milliseconds."""
    asked = f"view=explore&chart=horizon&from=-{step * 900 // 1000}s&step={step}&e=sum(request).group(host)"
    await page.goto(f"{evaluator}/?{asked}")
    await expect(page.locator(".horizon .row")).to_have_count(100)
    await page.evaluate("feed.ready()")
    await page.evaluate(UPDATE, [3, step])  # until what is compiled is
    browser = page.context.browser
    assert browser is not None
    devtools = await browser.new_browser_cdp_session()
    events: list[dict[str, Any]] = []
    complete = asyncio.get_running_loop().create_future()
    devtools.on("Tracing.dataCollected", lambda told: events.extend(told["value"]))
    devtools.on("Tracing.tracingComplete", lambda _: complete.set_result(None))
    await devtools.send("Tracing.start", {"traceConfig": {"includedCategories": ["toplevel"]}})
    longest = await page.evaluate(UPDATE, [UPDATES, step])
    await devtools.send("Tracing.end")
    await complete
    main = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    tasks = [each.get("tdur", 0) / 1_000 for each in events if (each["pid"], each["tid"]) in main]
    return max(tasks), longest


async def growth(page: Page) -> int:
    """Return by how many bytes the heap has grown in an hour of a hundred live rows."""
    devtools = await page.context.new_cdp_session(page)
    used = []
    for seconds in (HOUR // 6, HOUR):
        await page.evaluate(LIVE_ON, seconds)
        await devtools.send("HeapProfiler.collectGarbage")
        used.append(int((await devtools.send("Runtime.getHeapUsage"))["usedSize"]))
    return used[1] - used[0]


async def measure(directory: Path) -> None:
    """Print all figures."""
    await fill(directory)
    with daemon("evaluator", f"sqlite:{directory}", directory) as evaluator:
        async with launched() as browser:
            opening = await first_charts(browser, evaluator.http)
            print(f"first chart of {EVENTS} events: {', '.join(f'{each:.0f}' for each in opening)} ms")
            for name, height in SIZES.items():
                async with opened(browser, viewport={"width": 1280, "height": height}) as (page, _):
                    await page.add_init_script(path=FEED)
                    for step in (1_000, 10_000):
                        task, frame = await hundred_rows(page, evaluator.http, step)
                        told = f"longest task {task:.1f} ms of the processor, longest frame {frame:.0f} ms"
                        print(f"a hundred rows at {step // 1_000} s, {name}: {told}")
                    if height == min(SIZES.values()):
                        print(f"a year at one hour: {await page.evaluate(YEAR):.1f} ms")
                        print(f"heap after an hour: {await growth(page):+,} bytes")


def main() -> None:
    """Measure on a temporary store."""
    with tempfile.TemporaryDirectory(prefix="cube-speed-") as name:
        asyncio.run(measure(Path(name)))


if __name__ == "__main__":
    main()
