"""Make the pictures of the README and of the guide, of a day as `cube demo` makes it up.

`python -m tests.browser.screenshot` writes them into docs/images, or into the directory that is named.
The day is a fixed one, so that the picture changes only where the page does.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlencode

from playwright.async_api import expect

from cube.cli.cubism_page import Example, cubism_page
from cube.cli.demo import RATE
from cube.cli.demo_traffic import DAY, traffic
from cube.client import Emitter
from cube.client.evaluator import Evaluator
from tests.browser.playwright_page import launched, opened
from tests.daemon import daemon
from tests.docs.console import commands
from tests.tools import NODE

DOCS = Path(__file__).resolve().parents[2] / "docs"
MIDNIGHT = 20_736 * DAY  # 10 October 2026
QUESTION = urlencode(
    {
        "view": "explore",
        "chart": "horizon",
        "zone": "utc",
        "step": 300_000,
        "from": "2026-10-10T06:00Z",
        "to": "2026-10-10T22:00Z",
        "e": [
            "sum(request).group(region)",
            "median(request(duration_ms)).group(host)",
            "sum(request.ge(status, 500)).group(region)",
        ],
    },
    doseq=True,
)
ROWS = 3 + 8 + 3
BOARD = urlencode(
    {
        "view": "board",
        "board": "shop",
        "zone": "utc",
        "from": "2026-10-10T08:00Z",
        "to": "2026-10-10T12:00Z",
    }
)
CHARTS = 4
PART = {"x": 0, "y": 0, "width": 1200, "height": 936}
SIZE = {"width": 1200, "height": 1066}
DRAWN = "() => Array.from(document.querySelectorAll('.horizon .value')).every(one => one.textContent)"
CUBISM_SIZE = {"width": 1010, "height": 480}
PATIENCE = 120_000  # milliseconds


async def photograph_cubism(evaluator: str, picture: Path) -> None:
    """Write what the page of `cube demo --cubism` shows in the evening of that day, once all is drawn."""
    with cubism_page(Example.of(NODE, evaluator)) as origin:
        async with (
            launched() as browser,
            opened(browser, viewport=CUBISM_SIZE, timezone_id="UTC") as (page, said),
        ):
            await page.clock.install(time=(MIDNIGHT + 22 * 3_600_000) / 1_000)
            await page.goto(origin)
            await page.wait_for_function(DRAWN, timeout=PATIENCE)
            await page.screenshot(path=picture)
            assert said == [], said


async def photograph(evaluator: str, pictures: Path) -> None:
    """Open the page with the question, and then the board, and write what it shows once all is drawn."""
    look = {"viewport": SIZE, "color_scheme": "light", "locale": "en-GB"}
    async with launched() as browser, opened(browser, **look) as (page, said):
        for _ in range(2):  # the second time the answers are kept, as they are for most who look
            await page.goto(f"{evaluator}/?{QUESTION}")
            await expect(page.locator(".horizon .row")).to_have_count(ROWS, timeout=PATIENCE)
            await expect(page.locator(".chart.waits")).to_have_count(0, timeout=PATIENCE)
        await page.locator(".horizon").hover(position={"x": 735, "y": 60})  # in the outage
        await page.screenshot(path=pictures / "explore.png", animations="disabled")
        for _ in range(2):
            await page.goto(f"{evaluator}/?{BOARD}")
            await expect(page.locator(".panel canvas")).to_have_count(CHARTS, timeout=PATIENCE)
            await expect(page.locator(".chart.waits, .panel .waits")).to_have_count(0, timeout=PATIENCE)
        await page.screenshot(path=pictures / "board.png", animations="disabled", clip=PART)
        assert said == [], said


def main() -> None:
    """Store the day and the guide's board, look at both, and write the pictures."""
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "images"
    pictures.mkdir(exist_ok=True)
    put = next(one.text for one in commands((DOCS / "guide.md").read_text()) if "board put" in one.text)
    with tempfile.TemporaryDirectory(prefix="cube-screenshot-") as name:
        directory = Path(name)
        store = f"sqlite:{directory / 'store'}"
        with (
            daemon("collector", store, directory) as collector,
            daemon("evaluator", store, directory) as evaluator,
        ):
            made = traffic(1, MIDNIGHT, lambda _: RATE)
            with Emitter(collector.http) as emitter:
                emitter.send(takewhile(lambda event: event["time"] < MIDNIGHT + DAY, made))
            with Evaluator(evaluator.http) as client:
                client.save_board("shop", put[put.index("{") : put.rindex("}") + 1].encode())
            asyncio.run(photograph(evaluator.http, pictures))
            asyncio.run(photograph_cubism(evaluator.http, pictures / "cubism.png"))


if __name__ == "__main__":
    main()
