"""What Explore calls and colours series; what charts say that show nothing of what there is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Browser, Page, expect

from tests.both_daemons import Both, both_with
from tests.browser.playwright_page import opened

pytestmark = pytest.mark.asyncio(loop_scope="module")

FUNNEL = 'funnel(user, 1h, view, cart.eq(shop, "<b>"), buy)'

WRONG_SPANS = {
    "from=rubbish": "says rubbish, which is no time; accepted are times such as",
    "to=rubbish": "says rubbish, which is no time; accepted are times such as",
    "from=now&to=-2h": "from now to -2h, whose end is not after its start. The last hour is shown.",
    "from=9000-01-01&to=9000-01-02": "This span has not begun yet",
    "from=now%2B1h&to=now%2B2h": "This span has not begun yet",
    "zone=Mars/Base": "The address says zone=Mars/Base, which is no time zone; accepted are utc and names",
    "zone=%2B01:00": "zone=+01:00, which is no time zone; accepted are",
    "form=-1h": "The address has form, which is no parameter of this page and changes nothing; accepted are",
}

COLOURS = """async () => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const {colour, marked, theme} = await import(`${folder}colours.js`);
  const light = (text) => {
    const hex = text.match(/[0-9a-f]{2}/g)?.map((part) => parseInt(part, 16));
    const parts = text[0] === "#" ? hex : text.match(/\\d+/g).map(Number);
    const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = parts.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const colours = Array.from({length: 14}, (_, i) => colour(i));
  const paper = light(theme().paper);
  const contrasts = colours.map(light).map((one) => Math.max(one, paper) / Math.min(one, paper));
  const marks = Array.from({length: 21}, (_, i) => marked(i));
  return [new Set(colours).size, Math.min(...contrasts), new Set(marks).size];
}"""


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A collector and an evaluator, with a funnel of some users, all of it now."""
    now = int(time.time() * 1000)
    events = (
        {"type": type, "time": now - 60_000 + 1000 * at, "data": {"user": user, "shop": "<b>"}}
        for at, type in enumerate(("view", "cart", "buy"))
        for user in range(3 - at)
    )
    with both_with(events, tmp_path_factory.mktemp("legend")) as both:
        yield both


async def make_board(page: Page, daemons: Both, name: str, charts: list[dict[str, Any]], **more: str) -> None:
    made = await page.request.put(
        f"{daemons.evaluator.http}/1.0/boards/{name}",
        data={"title": name, "charts": charts, **more},
        headers={"If-None-Match": "*"},
    )
    assert made.status == 201, await made.text()


async def test_a_funnels_legend_names_its_steps(browser: Browser, daemons: Both) -> None:
    async with opened(browser) as (page, said):
        asked = urlencode({"view": "explore", "from": "-1h", "step": "10000", "e": FUNNEL})
        await page.goto(f"{daemons.evaluator.http}/?{asked}")
        await expect(page.locator(".legend button")).to_have_text(
            ["1 view", '2 cart.eq(shop,"<b>")', "3 buy"]
        )
        assert said == []


async def test_what_lies_in_the_open_bucket_alone_is_told(browser: Browser, daemons: Both) -> None:
    told = "all there is lies in the bucket that goes on"
    async with opened(browser) as (page, said):
        asked = {"view": "explore", "from": "-800d", "e": "sum(view)"}
        await page.goto(f"{daemons.evaluator.http}/?{urlencode({**asked, 'step': 'year'})}")
        await expect(page.locator(".status")).to_contain_text(told)
        await expect(page.locator(".status")).to_contain_text("buckets of 1 year")
        asked |= {"from": "-1h", "step": "10000"}
        await page.goto(f"{daemons.evaluator.http}/?{urlencode(asked)}")
        await expect(page.locator(".status")).to_contain_text("live")
        await expect(page.locator(".legend tbody td").last).to_have_text("3")
        await expect(page.locator(".status")).not_to_contain_text(told)
        assert said == []


async def test_a_board_tells_what_lies_in_the_open_bucket_alone(browser: Browser, daemons: Both) -> None:
    charts = [{"expressions": ["sum(view)"], "step": step} for step in ("year", "10s")]
    async with opened(browser) as (page, said):
        await make_board(page, daemons, "open", charts, span="800d")
        await page.goto(f"{daemons.evaluator.http}/?view=board&board=open")
        yearly, short = (page.locator(".panel").nth(place) for place in (0, 1))
        told = "Nothing yet: all there is lies in the bucket that goes on"
        await expect(yearly.locator(".error")).to_contain_text(told)
        await expect(short.locator("li")).to_contain_text("sum(view)")
        await expect(short.locator(".error")).to_be_hidden()
        assert said == []


async def test_a_span_that_cannot_be_shown_is_told_in_explore_and_on_boards(
    browser: Browser, daemons: Both
) -> None:
    async with opened(browser) as (page, said):
        await make_board(page, daemons, "span", [{"expressions": ["sum(view)"]}])
        for view in ("explore&e=sum(view)", "board&board=span"):
            await page.goto(f"{daemons.evaluator.http}/?view={view}")
            problem = page.locator("main .problem:visible")
            for asked, told in WRONG_SPANS.items():
                await expect(page.locator("canvas").first).to_be_visible()
                await expect(problem).to_have_count(0)
                query = f"?view={view}&{asked}"
                await page.evaluate("query => history.pushState(null, '', query)", query)
                await page.evaluate("dispatchEvent(new Event('cube:state'))")
                await expect(problem).to_contain_text(told)
                await page.evaluate("query => history.pushState(null, '', query)", f"?view={view}&from=-6h")
                await page.evaluate("dispatchEvent(new Event('cube:state'))")
        assert said == []


async def test_what_else_an_address_says_that_there_is_not_is_told_and_a_chart_is_shown(
    browser: Browser, daemons: Both
) -> None:
    asked = "step=soon&compare=never&chart=pie&week=someday"
    async with opened(browser) as (page, said):
        await page.goto(f"{daemons.evaluator.http}/?view=explore&e=sum(view)&{asked}")
        problem = page.locator("main .problem:visible")
        for wrong in asked.split("&"):
            await expect(problem).to_contain_text(f"The address says {wrong}; accepted are ")
        await expect(page.locator(".status")).to_contain_text("1 series")
        await expect(page.get_by_role("radio", name="Line")).to_be_checked()
        assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_fourteen_series_have_colours_of_their_own_that_stand_out(
    browser: Browser, daemons: Both, scheme: str
) -> None:
    async with opened(browser) as (page, _):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # a literal to mypy
        await page.goto(f"{daemons.evaluator.http}/?view=explore")
        different, least, marks = await page.evaluate(COLOURS)
        assert (different, marks) == (14, 21)
        assert least >= 3
