"""Boards in a real Chromium: made, arranged, saved by two at once, carried away, shown to somebody else."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from cube.client import Emitter
from tests.browser.playwright_page import opened
from tests.daemon import Daemon, daemon
from tests.mongo_server import MongoServer, mongo_server
from tests.tools import LONG, NODE, node_package

__all__ = ["mongo_server"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

TAGS = '<b id="tag">bold</b>'
PHONE = {"width": 390, "height": 800}
HOSTS = ("web1", "web2", TAGS)
WRITER, READER = "writes-0K4xq9ZpWu7", "looks-5Vb2mRt8sQ1"
SETTINGS = f"""
[environments.default]
[[environments.default.keys]]
name = "ada"
key = "{WRITER}"
[[environments.default.keys]]
name = "guest"
scopes = ["read"]
types = ["request"]
filter = 'eq(host, "web1")'
key = "{READER}"
"""
VARIABLES = json.loads((Path(__file__).parents[1] / "unit/board_variables.json").read_text())
SUBSTITUTE = """async (cases) => {
  const folder = document.querySelector("script[src$='app.js']").src.replace("app.js", "");
  const {substituted} = await import(`${folder}board-text.js`);
  return cases.map(([text, values]) => substituted(text, values));
}"""

HEAR = """addEventListener("DOMContentLoaded", () => {
  const said = document.getElementById("said");
  window.heard = [];
  new MutationObserver(() => heard.push(said.textContent)).observe(said, {childList: true});
})"""
"""Keeps what is said for some seconds only."""


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An evaluator with keys, and twenty minutes of requests of three hosts."""
    directory = tmp_path_factory.mktemp("boards")
    store = f"sqlite:{directory / 'store'}"
    settings = directory / "evaluator.toml"
    settings.write_text(SETTINGS)
    settings.chmod(0o600)
    with daemon("collector", store, directory) as collector, Emitter(collector.http) as emitter:
        now = int(time.time() * 1000)
        emitter.send(
            {"type": kind, "time": now - 10_000 * n, "data": {"host": HOSTS[n % 3], "ms": n % 17}}
            for n in range(1, 120)
            for kind in ("request", "secret")
        )
    with daemon("evaluator", store, directory, "--config", str(settings)) as running:
        yield running


def chart(title: str, *expressions: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "expressions": list(expressions) or ["sum(request)"], **more}


async def put(page: Page, evaluator: Daemon, name: str, *charts: dict[str, Any], **more: Any) -> None:
    """Make a board, and give the page the key of who may change it."""
    await page.add_init_script(f"sessionStorage.setItem('cube.key', '{WRITER}')")
    made = await page.request.put(
        f"{evaluator.http}/1.0/boards/{name}",
        data={"title": name, "charts": charts, **more},
        headers={"X-Api-Key": WRITER, "If-None-Match": "*"},
    )
    assert made.status == 201, await made.text()


async def stored(page: Page, evaluator: Daemon, name: str) -> dict[str, Any]:
    answer = await page.request.get(f"{evaluator.http}/1.0/boards/{name}", headers={"X-Api-Key": WRITER})
    board: dict[str, Any] = (await answer.json())["board"]
    return board


def button(page: Page | Locator, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


async def titles(page: Page, *expected: str) -> None:
    """Wait until these are the charts, in this order."""
    await expect(page.locator(".grid .panel h2")).to_have_text(list(expected))


async def saves(page: Page) -> None:
    await button(page, "Save").click()
    await expect(button(page, "Save")).to_be_disabled()


async def test_a_board_is_made_with_completion_and_its_charts_follow_a_variable(
    browser: Browser, evaluator: Daemon
) -> None:
    async with opened(browser) as (page, said):
        await page.goto(f"{evaluator.http}/?view=boards")
        await page.get_by_label("Key of scope").fill(WRITER)
        await page.keyboard.press("Enter")
        await button(page, "New board").click()
        await page.get_by_label("Title").fill(f"Shop {TAGS}")
        await page.keyboard.press("Enter")
        await button(page, "Settings").click()
        await button(page, "+ Add a variable").click()
        await page.keyboard.type("host")
        await page.get_by_label("Type", exact=True).select_option("request")
        await page.get_by_label("Field", exact=True).fill("host")
        await button(page, "Done").last.click()

        for reduce in ("sum(request", "max(request(ms)"):
            await button(page, "Add a chart").click()
            await page.get_by_label("Expression A", exact=True).press_sequentially(f"{reduce}.eq(host, $ho")
            await expect(page.get_by_role("option", name="$host")).to_be_visible()
            await page.keyboard.press("Enter")
            await page.keyboard.type("))")
            await expect(page.locator("dialog .words:not(.hint)")).to_contain_text("where host is $host")
            await button(page, "Done").last.click()
        panels = page.locator(".grid .panel-legend")
        await expect(panels).to_have_text(
            [re.compile(r"^sum\(request\)"), re.compile(r"^max\(request\(ms\)\)")]
        )
        await page.get_by_label("Variable host").select_option(TAGS)
        filtered = '.eq(host, "<b id=\\"tag\\">bold</b>")'
        await expect(panels.first).to_contain_text(f"sum(request{filtered})")
        await expect(panels.last).to_contain_text(f"max(request(ms){filtered})")
        await saves(page)
        await button(page, "Done").click()
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text(f"Shop {TAGS}")
        await expect(panels.first).to_contain_text(f"sum(request{filtered})")  # as the address says
        assert await page.evaluate(SUBSTITUTE, VARIABLES) == [expected for _, _, expected in VARIABLES]
        assert await page.locator("#tag").count() == 0
        assert said == ["Failed to load resource: the server responded with a status of 401 (Unauthorized)"]


async def test_charts_are_arranged_by_dragging(browser: Browser, evaluator: Daemon) -> None:
    async with opened(browser, viewport={"width": 1200, "height": 900}) as (page, said):
        await put(page, evaluator, "dragged", chart("One"), chart("Two"), chart("Three"))
        await page.goto(f"{evaluator.http}/?view=board&board=dragged&edit=1")
        await titles(page, "One", "Two", "Three")
        two = await page.locator(".panel", has_text="Two").bounding_box()
        assert two is not None
        await page.get_by_role("button", name="Arrange One").hover()
        await page.mouse.down()
        await page.mouse.move(two["x"] + two["width"] * 0.8, two["y"] + 40, steps=3)
        await expect(page.locator(".drop")).to_be_visible()
        await page.mouse.up()
        await titles(page, "Two", "One", "Three")

        await page.get_by_role("button", name="Arrange Three").hover()
        await page.mouse.down()
        await page.mouse.move(two["x"], two["y"], steps=3)
        await page.keyboard.press("Escape")
        await page.mouse.up()
        await titles(page, "Two", "One", "Three")

        await page.locator(".corner").last.hover()
        await page.mouse.down()
        await page.mouse.move(two["x"] + two["width"], two["y"] + 700, steps=3)
        await page.mouse.up()
        await saves(page)
        board = await stored(page, evaluator, "dragged")
        assert [one["title"] for one in board["charts"]] == ["Two", "One", "Three"]
        assert board["charts"][2]["width"] == 12
        assert said == []


async def test_charts_are_arranged_with_the_keyboard_and_every_step_is_taken_back(
    browser: Browser, evaluator: Daemon
) -> None:
    async with opened(browser) as (page, said):
        await page.add_init_script(HEAR)
        await put(page, evaluator, "keyed", chart("One"), chart("Two"), chart("Three"))
        await page.goto(f"{evaluator.http}/?view=board&board=keyed&edit=1")
        await page.get_by_role("button", name="Arrange One").focus()
        await page.keyboard.press("ArrowRight")
        await titles(page, "Two", "One", "Three")
        await expect(page.get_by_role("button", name="Arrange One")).to_be_focused()
        assert "Place 2 of 3." in await page.evaluate("heard")
        await page.keyboard.press("End")
        await titles(page, "Two", "Three", "One")
        for key in ("Shift+ArrowRight", "Shift+ArrowRight", "Shift+ArrowUp"):
            await page.keyboard.press(key)
        assert "8 of 12 columns wide, 3 rows high." in await page.evaluate("heard")
        await page.keyboard.press("Home")
        await page.keyboard.press("Delete")
        await titles(page, "Two", "Three")
        await expect(page.get_by_text("Changes that are not saved")).to_be_visible()

        await page.reload()  # what is not saved is kept in the tab
        await titles(page, "Two", "Three")
        await page.keyboard.press("Control+s")
        await expect(button(page, "Save")).to_be_disabled()
        await page.keyboard.press("Control+z")
        await titles(page, "One", "Two", "Three")
        await button(page, "Discard").click()
        await titles(page, "Two", "Three")
        assert len((await stored(page, evaluator, "keyed"))["charts"]) == 2
        assert said == []


async def test_of_two_editors_the_second_is_told_and_nothing_is_lost(
    browser: Browser, evaluator: Daemon
) -> None:
    async with opened(browser) as (first, _), opened(browser) as (second, said):
        await put(first, evaluator, "both", chart("One"), chart("Two"))
        await second.add_init_script(f"sessionStorage.setItem('cube.key', '{WRITER}')")
        for page in (first, second):
            await page.goto(f"{evaluator.http}/?view=board&board=both&edit=1")
        await button(first, "Remove One").click()
        await button(second, "Copy Two").click()
        await saves(first)
        await button(second, "Save").click()
        dialog = second.get_by_role("dialog")
        await expect(dialog).to_contain_text("“ada” saved it")
        await expect(dialog.locator("dd")).to_have_text(
            ["no longer as before: “One”.", "new or changed: “Two”."]
        )
        await button(dialog, "Keep editing").click()
        await titles(second, "One", "Two", "Two")

        await button(second, "Save").click()
        await button(dialog, "Take theirs").click()
        await titles(second, "Two")
        await button(second, "Undo").click()
        await titles(second, "One", "Two", "Two")
        await saves(second)
        assert len((await stored(second, evaluator, "both"))["charts"]) == 3

        await button(first, "Copy Two").click()
        await button(first, "Save").click()
        await button(first.get_by_role("dialog"), "Save mine as a copy").click()
        await expect(first.get_by_role("heading", level=1)).to_have_text("both (copy)")
        await titles(first, "Two", "Two")
        assert len((await stored(second, evaluator, "both"))["charts"]) == 3
        assert (
            said
            == ["Failed to load resource: the server responded with a status of 412 (Precondition Failed)"]
            * 2
        )


@pytest.mark.skipif(not LONG, reason="CUBE_TEST_LONG is not set")
async def test_two_change_a_board_on_mongodb_without_keys(
    browser: Browser, mongo_server: MongoServer, tmp_path: Path
) -> None:
    database = mongo_server.database()
    with daemon("evaluator", mongo_server.url, tmp_path, database=database) as evaluator:
        async with opened(browser) as (first, said), opened(browser) as (second, _):
            await first.goto(f"{evaluator.http}/?view=boards")
            await button(first, "New board").click()
            await first.get_by_label("Title").fill("Shop")
            await first.keyboard.press("Enter")
            await button(first, "Add a chart").click()
            await first.get_by_label("Expression A", exact=True).fill("sum(request)")
            await button(first, "Done").last.click()
            await saves(first)
            await second.goto(f"{evaluator.http}/?view=board&board=shop&edit=1")
            for page in (first, second):
                await button(page, "Copy sum(request)").click()
            await saves(second)
            await button(first, "Save").click()
            await expect(first.get_by_role("dialog")).to_contain_text("Somebody else saved it")
            await button(first, "Overwrite theirs").click()
            await expect(button(first, "Save")).to_be_disabled()
            assert [line for line in said if "412" not in line] == []
    mongo_server.forget(database)


async def test_boards_are_exported_imported_deleted_and_brought_back(
    browser: Browser, evaluator: Daemon, tmp_path: Path
) -> None:
    async with opened(browser) as (page, said):
        await put(page, evaluator, "carried", chart("One"), title="Carried")
        await page.goto(f"{evaluator.http}/?view=boards")
        async with page.expect_download() as download:
            await button(page, "Export Carried").click()
        content = json.loads((await (await download.value).path()).read_text())
        assert content == await stored(page, evaluator, "carried")

        files = {"good": {**content, "title": f"Came {TAGS}"}, "wrong": {**content, "charts": 5}}
        for name, board in files.items():
            (tmp_path / name).write_text(json.dumps(board))
            await page.locator("input[type=file]").set_input_files(tmp_path / name)
            if name == "good":
                await expect(page.get_by_role("link", name=f"Came {TAGS}")).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("board that is not valid")

        await button(page, "Delete Carried").click()
        await button(page.get_by_role("dialog"), "Delete").click()
        await expect(page.get_by_role("link", name="Carried", exact=True)).to_have_count(0)
        await button(page, "Undo").click()
        await expect(page.get_by_role("link", name="Carried", exact=True)).to_be_visible()
        assert await page.locator("#tag").count() == 0
        assert said == ["Failed to load resource: the server responded with a status of 400 (Bad Request)"]


async def test_a_chart_of_explore_is_added_to_a_board(browser: Browser, evaluator: Daemon) -> None:
    async with opened(browser) as (page, said):
        await put(page, evaluator, "added")
        await page.goto(f"{evaluator.http}/?view=explore&chart=area&e=sum(request).group(host)")
        await button(page, "Add to a board").click()
        await page.get_by_label("Board", exact=True).select_option("added")
        await page.get_by_label("Title of the chart").fill("Hosts")
        await page.keyboard.press("Enter")
        await page.get_by_role("link", name="Open it").click()
        await titles(page, "Hosts")
        await expect(page.locator(".panel-legend")).to_contain_text(TAGS)
        assert (await stored(page, evaluator, "added"))["charts"] == [
            {"expressions": ["sum(request).group(host)"], "title": "Hosts", "chart": "area"}
        ]
        assert said == []


async def test_a_link_shows_somebody_else_one_board_and_its_key_stands_nowhere(
    browser: Browser, evaluator: Daemon
) -> None:
    async with opened(browser) as (page, said):
        hosts = chart(f"Hosts {TAGS}", "sum(request).group(host)")
        await put(page, evaluator, "given", hosts, chart("Secret", "sum(secret)"))
        await page.goto(f"{evaluator.http}/?view=board&board=given")
        await button(page, "Share").click()
        await page.get_by_label("The key for that person").fill(WRITER)
        await button(page, "Make the link").click()
        await expect(page.get_by_text("This key may change boards")).to_be_visible()
        await page.get_by_label("The key for that person").fill(READER)
        await button(page, "Make the link").click()
        await expect(page.get_by_text("With this key one sees events of request.")).to_be_visible()
        apart, whole = (await page.locator("dialog code").all_text_contents())[-2:]
        assert apart == f"{evaluator.http}/?view=board&board=given&shared=1"
        assert whole == f"{evaluator.http}/?view=board&board=given#key={READER}"

    async with opened(browser) as (page, said):
        asked: list[tuple[str, dict[str, str]]] = []
        page.on("request", lambda request: asked.append((request.url, request.headers)))
        await page.goto(whole)
        await titles(page, f"Hosts {TAGS}")
        await expect(page.locator(".panel-legend li")).to_have_text([re.compile("^web1")])
        await expect(page.get_by_text("One more chart is not for your key.")).to_be_visible()
        for name in ("Edit", "Share", "Export"):
            await expect(button(page, name)).to_have_count(0)
        await expect(page.get_by_role("navigation")).to_have_count(0)
        assert page.url == f"{evaluator.http}/?view=board&board=given&shared=1"
        assert not [url for url, _ in asked if READER in url]
        assert not [headers for _, headers in asked if headers.get("referer")]
        await page.goto(f"{evaluator.http}/?view=boards&shared=1")
        await expect(page.get_by_role("alert")).to_be_visible()  # no board is named
        await page.go_back()
        await titles(page, f"Hosts {TAGS}")
        assert READER not in page.url
        assert await page.locator("#tag").count() == 0
        await button(page, "Forget the key").click()
        await page.get_by_label("Key of scope").fill(READER)
        await page.keyboard.press("Enter")
        await titles(page, f"Hosts {TAGS}")
        assert [line for line in said if "Failed to load" not in line] == []


async def test_charts_share_crosshair_span_and_screen_and_follow_what_others_save(
    browser: Browser, evaluator: Daemon
) -> None:
    async with opened(browser) as (page, said):
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        await put(
            page, evaluator, "hair", chart("One"), chart("Two", "sum(request).group(host)", chart="horizon")
        )
        await page.goto(f"{evaluator.http}/?view=board&board=hair")
        await expect(page.locator(".horizon .row")).to_have_count(3)
        await expect(page.locator(".panel-legend").first).to_contain_text("sum(request)")
        await page.locator(".plot").focus()
        await page.keyboard.press("ArrowLeft")
        await expect(page.locator(".hair:visible")).to_have_count(2)
        for key in ("Shift+ArrowLeft", "Shift+ArrowLeft", "Enter"):
            await page.keyboard.press(key)
        await expect(page.get_by_label("From", exact=True)).to_be_visible()
        await page.go_back()
        await expect(page.get_by_label("Time", exact=True)).to_have_value("-1h")

        await button(page, "Full screen").click()
        await button(page, "Leave full screen").click()
        await expect(button(page, "Full screen")).to_be_visible()

        changed = {"title": "Seen", "charts": [chart("One"), chart("Three")]}
        await page.request.put(
            f"{evaluator.http}/1.0/boards/hair",
            data=changed,
            headers={"X-Api-Key": WRITER, "If-Match": "*"},
        )
        await page.evaluate("dispatchEvent(new Event('focus'))")  # as when one comes back to the tab
        await titles(page, "One", "Three")
        await page.set_viewport_size(PHONE)  # one below the other, and nothing wider
        lefts = "(all) => new Set(all.map((one) => one.getBoundingClientRect().left)).size"
        assert await page.locator(".panel").evaluate_all(lefts) == 1
        assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert len(sockets) == 1  # for all charts
        assert said == []


async def test_axe_finds_nothing_to_mend(browser: Browser, evaluator: Daemon) -> None:
    node_package("axe-core")
    axe = (NODE / "node_modules/axe-core/axe.min.js").read_text()
    violations = "axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))"
    async with opened(browser, color_scheme="light", bypass_csp=True) as (page, _):
        hosts = chart("Hosts", "sum(request.eq(host, $host)).group(host)")
        variable = {"name": "host", "type": "request", "field": "host"}
        await put(page, evaluator, "axe", hosts, chart("Wrong", "sum("), variables=[variable])
        for query in ("view=boards", "view=board&board=axe", "view=board&board=axe&edit=1"):
            await page.goto(f"{evaluator.http}/?{query}")
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            if "board=" in query:
                await expect(page.locator(".panel-legend").first).to_contain_text("web1")
            if "edit" in query:
                await page.emulate_media(color_scheme="dark")
                await button(page, "Edit Hosts").click()
                await expect(page.locator("dialog .panel-legend")).to_contain_text("web1")
            await page.evaluate(f"{axe};0")
            assert await page.evaluate(violations) == [], query
