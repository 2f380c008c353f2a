"""Cubism.js 1.6 with D3 3, both as they are, drawing from a running evaluator in a real browser."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from cube.client import Emitter
from cube.model import instant
from tests.browser.chromium import Page, artefact, chromium
from tests.browser.pages import pages
from tests.daemon import daemon
from tests.tools import NODE, node_package

STEP = 10_000
SIZE = 360
OVERLAP = 6  # columns that Cubism asks for again
COLOURS = ("#08519c", "#3182bd", "#6baed6", "#bdd7e7", "#bae4b3", "#74c476", "#31a354", "#006d2c")
PATIENCE_SECONDS = 20.0


def value(time: int) -> int:
    """Return the value of a column: from 0 to 4, each for two minutes, so that the picture can be read."""
    return time // STEP // 12 % 5


CHARTS: dict[str, tuple[Callable[[int], float | None], int]] = {
    'sum(horizon(value).eq(host, "a"))': (value, 4),
    "sum(horizon(value)) - 2": (lambda time: value(time) - 2, 2),  # below zero, too: drawn in blue
    "max(horizon(value))": (lambda time: value(time) or None, 4),  # without a value where there are no events
}
"""Expressions, what each is in a column, and its greatest value."""


def colour(value: float | None, greatest: int) -> str:
    """Return the colour of a column: four bands, each a quarter of the greatest value, cover each other."""
    if not value:
        return ""
    band = round(4 * value / greatest)
    return COLOURS[3 + band] if band > 0 else COLOURS[4 + band]


def expected(span: list[int]) -> dict[str, Any]:
    """Return what is drawn of a span."""
    charts = [
        [[of(time), colour(of(time), greatest)] for time in range(*span, STEP)]
        for of, greatest in CHARTS.values()
    ]
    return {"span": span, "charts": charts}


async def drawn(page: Page, after: int = 0) -> list[int]:
    """Return the span of the charts once it is later than a time, and all columns are as expected."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        seen = await page.evaluate("drawn()")
        span: list[int] = seen["span"]
        if span[0] > after and (seen == expected(span) or time.monotonic() > deadline):
            assert seen == expected(span), page.said
            return span
        assert time.monotonic() < deadline, f"the charts still show {span}: {page.said}"
        await asyncio.sleep(0.05)


def send(collector: str) -> None:
    """Send an event for each column, of the next minutes as well."""
    now = int(time.time() * 1000) // STEP * STEP
    with Emitter(collector) as emitter:
        emitter.send(
            {"type": "horizon", "time": time + 5, "data": {"value": value(time), "host": "a"}}
            for time in range(now - (SIZE + 10) * STEP, now + 30 * STEP, STEP)
            if value(time)
        )


def asked(url: str) -> tuple[str, str, int, int, int]:
    """Return what a request asks for: path, expression, stop, columns, step."""
    parts = urlsplit(url)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    start, stop, step = instant.parse(given["start"]), instant.parse(given["stop"]), int(given["step"])
    return parts.path, given["expression"], stop, (stop - start) // step, step


async def test_cubism_draws_horizon_charts_and_keeps_them_up(tmp_path: Path) -> None:
    node_package("cubism")
    packages = NODE / "node_modules"
    content = {
        "/": Path(__file__).with_name("horizon.html"),
        "/d3.js": packages / "d3" / "d3.js",
        "/cubism.js": packages / "cubism" / "cubism.v1.js",
    }
    store = f"sqlite:{tmp_path}"
    with daemon("collector", store, tmp_path) as collector, daemon("evaluator", store, tmp_path) as evaluator:
        send(collector.http)
        async with pages(content) as origin, chromium() as browser:
            page = await browser.open(f"{origin}/#{quote('|'.join((evaluator.http, *CHARTS)))}")
            first = await drawn(page)
            await page.screenshot(artefact("cubism-horizon.png"))
            second = await drawn(page, after=first[0])
            requests = await page.evaluate("requests()")
            assert page.said == []
    assert second[0] > first[0]
    assert {status for _, status in requests} == {200}
    stop = asked(requests[0][0])[2]
    whole = [("/1.0/metric", expression, stop, SIZE, STEP) for expression in CHARTS]
    latest = [("/1.0/metric", expression, stop + STEP, OVERLAP + 1, STEP) for expression in CHARTS]
    assert [asked(url) for url, _ in requests[:6]] == whole + latest
