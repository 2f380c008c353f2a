"""Cubism.js 1.6 with D3 3, both as they are, drawing from a running evaluator in a real browser."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from cube.cli.cubism_page import Example, cubism_page
from cube.client import Emitter
from cube.errors import InvalidRequest
from cube.model import instant
from tests.both_daemons import Both, both_daemons
from tests.browser.chromium import Page, artefact, chromium
from tests.browser.pages import pages
from tests.docs.blocks import of
from tests.tools import NODE, node_package

STEP = 10_000
SIZE = 360
OVERLAP = 6  # columns that Cubism asks for again
COLOURS = ("#08519c", "#3182bd", "#6baed6", "#bdd7e7", "#bae4b3", "#74c476", "#31a354", "#006d2c")
PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with both_daemons(tmp_path_factory.mktemp("cubism")) as both:
        yield both


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


def requests_of_two_hours() -> Iterator[dict[str, Any]]:
    """Yield requests as `cube demo` sends them, one a minute and region: each chart has something to show."""
    now = int(time.time() * 1000)
    for minute in range(-120, 5):
        for number, region in enumerate(("eu-west", "us-east", "ap-south")):
            status = 500 if minute % 2 else 200
            data = {"region": region, "path": "/checkout", "status": status, "duration_ms": 40 + 10 * number}
            yield {"type": "request", "time": now + minute * 60_000, "data": data}


SEEN = """
JSON.stringify(Array.from(document.querySelectorAll(".horizon, .comparison"), chart => {
  const canvas = chart.querySelector("canvas");
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return [chart.querySelector(".title").textContent, pixels.some(value => value > 0)];
}))
"""
"""The title of each chart, and whether anything is drawn in it."""

TITLES = [
    "all requests",
    "requests, eu-west",
    "requests, us-east",
    "requests, ap-south",
    "median ms",
    "95 % are faster than, ms",
    "% errors",
    "checkouts",
    "requests, against an hour before",
]


async def test_the_demo_s_page_of_cubism_draws_all_of_its_charts(daemons: Both, tmp_path: Path) -> None:
    node_package("cubism")
    collector, evaluator = daemons.collector, daemons.evaluator
    with Emitter(collector.http) as emitter:
        emitter.send(requests_of_two_hours())
    example = Example.of(NODE, evaluator.http)
    with cubism_page(example) as origin:
        async with chromium() as browser:
            for fragment in ("", "#key=a%20key"):
                page = await browser.open(f"{origin}/{fragment}")
                drawn_charts = f"JSON.parse({SEEN.strip()}).filter(each => each[1]).length"
                assert await page.until(f"{drawn_charts} === {len(TITLES)}")
                assert json.loads(await page.evaluate(SEEN.strip())) == [[title, True] for title in TITLES]
                asked = await page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
                questions = [url for url in asked if "/1.0/metric" in url]
                assert len(questions) >= len(TITLES)
                assert all(("&api_key=a%20key" in url) == bool(fragment) for url in questions)
                assert page.said == []
            await page.screenshot(artefact("cubism-demo.png"))


async def test_the_code_on_the_page_of_the_documents_draws_its_charts(daemons: Both, tmp_path: Path) -> None:
    node_package("cubism")
    collector, evaluator = daemons.collector, daemons.evaluator
    with Emitter(collector.http) as emitter:
        emitter.send(requests_of_two_hours())
    charts, keyed = (block.text for block in of("docs/cubism.md", "js"))
    program = f'var key = "a key";\n{keyed}{charts}'.replace("http://127.0.0.1:1081", evaluator.http)
    (tmp_path / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body>'
        f'<script src="/d3.js"></script><script src="/cubism.js"></script><script>{program}</script>'
    )
    packages = NODE / "node_modules"
    content = {
        "/": tmp_path / "index.html",
        "/d3.js": packages / "d3" / "d3.js",
        "/cubism.js": packages / "cubism" / "cubism.v1.js",
    }
    async with pages(content) as origin, chromium() as browser:
        page = await browser.open(f"{origin}/")
        assert await page.until(f"JSON.parse({SEEN.strip()}).filter(each => each[1]).length === 2")
        titles = [title for title, _ in json.loads(await page.evaluate(SEEN.strip()))]
        assert titles == ["sum(request)", "median ms"]
        asked = await page.evaluate("performance.getEntriesByType('resource').map(each => each.name)")
        assert sum("&api_key=a%20key" in url for url in asked) >= 2
        assert page.said == []


def test_a_directory_without_the_libraries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"npm install cubism@1\.6\.0 d3@3"):
        Example.of(tmp_path, "http://127.0.0.1:1081")


def asked(url: str) -> tuple[str, str, int, int, int]:
    """Return what a request asks for: path, expression, stop, columns, step."""
    parts = urlsplit(url)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    start, stop, step = instant.parse(given["start"]), instant.parse(given["stop"]), int(given["step"])
    return parts.path, given["expression"], stop, (stop - start) // step, step


async def test_cubism_draws_horizon_charts_and_keeps_them_up(daemons: Both) -> None:
    node_package("cubism")
    packages = NODE / "node_modules"
    content = {
        "/": Path(__file__).with_name("horizon.html"),
        "/d3.js": packages / "d3" / "d3.js",
        "/cubism.js": packages / "cubism" / "cubism.v1.js",
    }
    collector, evaluator = daemons.collector, daemons.evaluator
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
