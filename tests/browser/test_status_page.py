"""The page's status in a real Chromium: of real daemons as they work, and of all that may be to show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Route, expect

from cube.client import Evaluator
from cube.model.environment import Key
from evaluator.api.reports import Viewer, summary
from tests.browser.playwright_page import opened
from tests.daemon import Daemon, daemon
from tests.tools import NODE, node_package
from tests.unit.test_status import NOW, arrivals, question, refusal, report, slow_of
from tests.web_client import ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAGS = "<b id=tag>bold</b>"
PHONE = {"width": 390, "height": 844}
RESTRICTED = Key("acme", b"", "default", types=frozenset({"request"}))


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    directory = tmp_path_factory.mktemp("status")
    store, often = f"sqlite:{directory}", ("--status-seconds", "0.2")
    with (
        daemon("collector", store, directory, *often) as collector,
        daemon("evaluator", store, directory, *often) as evaluator,
    ):
        yield collector, evaluator


async def test_what_daemons_do_is_shown_as_it_goes_and_a_slow_question_is_asked_again(
    browser: Browser, daemons: tuple[Daemon, Daemon]
) -> None:
    collector, evaluator = daemons
    async with opened(browser) as (page, said):
        await page.clock.install()
        await page.goto(f"{evaluator.http}/")
        await page.get_by_role("link", name="Status").click()
        await expect(page.get_by_role("row").filter(has_text="lives")).to_have_count(2)
        await expect(page.get_by_text("No event came in the last five minutes.")).to_be_visible()
        await expect(page.get_by_text("Nothing was refused")).to_be_visible()
        await expect(page.get_by_text("Nothing was asked in the last hour.")).to_be_visible()

        wrong = json.dumps([{"type": "visit", "time": TAGS}]).encode()
        assert (await ask(collector.port, "POST", "/1.0/event", b'[{"type": "visit"}]')).status == 200
        assert (await ask(collector.port, "POST", "/1.0/event", wrong)).status == 400
        with Evaluator(evaluator.http) as client:
            client.metrics("sum(visit(n))", step=60_000, start=0, stop=600_000)
            list(client.events('visit(n).eq(path, "/a.b").gt(n, 1)', start=60_000, stop=120_000))
        await until_shown(page, "visit")
        await expect(page.locator(".refusals")).to_contain_text(TAGS)
        await expect(page.locator("#tag")).to_have_count(0)

        await page.get_by_role("link", name="visit(n).eq").click()
        for filter in ("path = /a.b", "n > 1"):
            await expect(page.get_by_role("button", name=filter, exact=True)).to_be_visible()
        assert "from=1970-01-01T00%3A01" in page.url
        await page.go_back()
        await page.get_by_role("link", name="sum(visit(n))").click()
        await expect(page.get_by_role("textbox").first).to_have_value("sum(visit(n))")
        assert "step=60000" in page.url
        assert said == []


async def until_shown(page: Page, type: str) -> None:
    """Let the page look again, as it does every five seconds, until it shows a type, and two questions."""
    shown = page.get_by_role("table", name="Events by type").get_by_role("link", name=type)
    for _ in range(100):
        await page.clock.fast_forward(5_000)
        await page.wait_for_timeout(200)
        if await shown.count() and await page.get_by_role("link", name="visit(n)").count() == 2:
            return
    raise AssertionError("what came is not shown")


def everything(viewed_by: Key | None = None) -> dict[str, Any]:
    """Return a status in which each thing that may be said is said."""
    away = {"away": True, "events": 1200, "bytes": 5_000_000, "oldest": NOW - 90_000, "quarantined": 3}
    waiting, refused = {"events": 7, "bytes": 900}, {"invalid": refusal(("request", TAGS), (None, "no JSON"))}
    long = question(1, RESTRICTED)
    slow = slow_of(long)
    slow += [{**slow[0], "cut": True, "error": "The client went away.", "seconds": 7.5, "kind": "event"}]
    made = [
        report("a", waiting=waiting, spool=away, arrivals=arrivals(NOW, request=900), refusals=refused),
        report("b", 3_600_000, waiting=waiting, arrivals=arrivals(NOW, deploy=1)),
        report(
            "c", kind="evaluator", waiting={"computations": 2}, kept_bytes=10**8, slow=slow,
            buckets=arrivals(NOW, hit=3, miss=1), asked=arrivals(NOW, metric=4),
        ),
    ]  # fmt: skip
    return summary(made, Viewer.of(viewed_by), NOW)


async def test_all_that_may_be_is_shown_to_anybody(browser: Browser, daemons: tuple[Daemon, Daemon]) -> None:
    node_package("axe-core")
    axe = (NODE / "node_modules/axe-core/axe.min.js").read_text()
    violations = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
    answers = {"status": 200, "body": json.dumps(everything())}

    async def answer(route: Route) -> None:
        await route.fulfill(content_type="application/json", **answers)

    async with opened(browser, bypass_csp=True) as (page, _):
        await page.clock.install(time=NOW)
        await page.route("**/1.0/status", answer)
        await page.goto(f"{daemons[1].http}/?view=status")
        await expect(page.locator(".silent")).to_contain_text("heard of 1 hour ago")
        collector = page.get_by_role("row").filter(has_text="the store is away")
        await expect(collector).to_contain_text("spool: 1,200 events, 5 MB")
        await expect(collector).to_contain_text("3 quarantined")
        await expect(page.locator(".figures")).to_contain_text("75 %")
        await expect(page.get_by_text("The client went away.")).to_be_visible()
        await page.evaluate(f"{axe};0")
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert await page.evaluate(violations) == [], scheme
        await page.set_viewport_size(PHONE)
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert await page.evaluate(violations) == []

        answers["body"] = json.dumps(everything(RESTRICTED))
        await page.clock.fast_forward(5_000)
        await expect(page.get_by_text("Your key shows")).to_be_visible()
        await expect(page.get_by_text("web1")).to_have_count(0)
        answers.update(status=503, body='{"error": "The store does not answer."}')
        await page.clock.fast_forward(5_000)
        await expect(page.get_by_role("alert")).to_have_text("The store does not answer.")
        await expect(page.get_by_text("Not live: this is how it was")).to_be_visible()
        await expect(page.locator(".sign.lives")).to_have_count(2)


async def test_the_titles_of_all_views_have_one_size(
    browser: Browser, daemons: tuple[Daemon, Daemon]
) -> None:
    async def nothing(route: Route) -> None:
        await route.fulfill(content_type="application/json", body="[]")

    sizes = {}
    assert (await ask(daemons[0].port, "POST", "/1.0/event", b'[{"type": "visit"}]')).status == 200
    async with opened(browser) as (page, _):
        for title, address in {
            "What is stored": "",
            "Boards": "?view=boards",
            "Status": "?view=status",
            "Nothing is stored yet": "",
        }.items():
            if title.startswith("Nothing"):
                await page.route("**/1.0/types**", nothing)
            await page.goto(f"{daemons[1].http}/{address}")
            shown = page.get_by_role("heading", level=1, name=title)
            await expect(shown).to_be_visible()
            sizes[title] = await shown.evaluate("title => getComputedStyle(title).fontSize")
    assert set(sizes.values()) == {"24px"}, sizes
