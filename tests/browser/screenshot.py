"""Make the README's picture: `python -m tests.browser.screenshot`, of a day as `cube demo` makes it up.

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

from cube.cli.demo import RATE
from cube.cli.demo_traffic import DAY, traffic
from cube.client import Emitter
from tests.browser.playwright_page import launched, opened
from tests.daemon import daemon

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "explore.png"
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
SIZE = {"width": 1200, "height": 1034}
PATIENCE = 120_000  # milliseconds


async def photograph(evaluator: str, picture: Path) -> None:
    """Open the page with the question, and write what it shows once all is drawn."""
    look = {"viewport": SIZE, "color_scheme": "light", "locale": "en-GB"}
    async with launched() as browser, opened(browser, **look) as (page, said):
        for _ in range(2):  # the second time the answers are kept, as they are for most who look
            await page.goto(f"{evaluator}/?{QUESTION}")
            await expect(page.locator(".horizon .row")).to_have_count(ROWS, timeout=PATIENCE)
            await expect(page.locator(".chart.waits")).to_have_count(0, timeout=PATIENCE)
        await page.locator(".horizon").hover(position={"x": 735, "y": 60})  # in the outage
        await page.screenshot(path=picture, animations="disabled")
        assert said == [], said


def main() -> None:
    """Store the day, look at it, and write the file that is named, or the README's."""
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    picture.parent.mkdir(exist_ok=True)
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
            asyncio.run(photograph(evaluator.http, picture))


if __name__ == "__main__":
    main()
