"""An expression is written with the keyboard in a real Chromium: completed, said in words, and marked."""

from __future__ import annotations

import json
from pathlib import Path

from tests.browser.chromium import Page, artefact, chromium
from tests.evaluator_running import DAY, event, running

BOX = "document.querySelector('.box textarea')"
OPTIONS = "[...document.querySelectorAll('.completions li span')].map((one) => one.textContent)"
CHOSEN = "document.querySelector('.completions [aria-selected=true] span')?.textContent"
WORDS = "document.querySelector('.words').textContent"
ASKED = "performance.getEntriesByType('resource').filter(({name}) => name.includes('/expression?')).length"
HARMLESS = "<b id=markup>&amp;</b>"


async def until_offered(page: Page, *texts: str) -> None:
    wanted = json.dumps(",".join(texts))
    await page.until(f"!document.querySelector('.completions').hidden && ({OPTIONS}).join() === {wanted}")


async def until_offered_first(page: Page, text: str) -> None:
    await page.until(
        f"!document.querySelector('.completions').hidden && ({OPTIONS})[0] === {json.dumps(text)}"
    )


async def test_an_expression_is_written_by_choosing(tmp_path: Path) -> None:
    async with running(tmp_path) as made, chromium("--window-size=1100,800") as browser:
        await made.save(
            *(
                event(
                    DAY - 1 - number,
                    {"ms": number, "host": f"web-{number % 2}", "path": HARMLESS},
                    type="request",
                )
                for number in range(50)
            )
        )
        page = await browser.open(f"http://127.0.0.1:{made.port}/?view=explore")
        await page.until(f"{BOX} && document.activeElement === {BOX}")
        assert await page.evaluate("document.querySelector('.completions').hidden") is True

        await page.write("me")
        await until_offered(page, "mean(", "median(")
        assert await page.evaluate(CHOSEN) == "mean("
        await page.press("ArrowDown")
        assert await page.evaluate(CHOSEN) == "median("
        active = await page.evaluate(f"{BOX}.getAttribute('aria-activedescendant')")
        assert await page.evaluate(f"document.getElementById('{active}').getAttribute('role')") == "option"
        await page.press("Enter")
        await until_offered(page, "request")
        asked = await page.evaluate(ASKED)
        undone, redone = (f"document.execCommand('{each}') && {BOX}.value" for each in ("undo", "redo"))
        assert await page.evaluate(f"[{undone}, {redone}].join()") == "me,median("
        await page.until(f"{ASKED} > {asked}")  # what was offered before is gone
        await until_offered(page, "request")
        await page.press("ArrowDown")
        await page.until(f"{CHOSEN} === 'request'")
        await page.press("Enter")
        await page.write("(m")
        await until_offered(page, "ms", "min(", "max(", "match(")
        await page.screenshot(artefact("completion.png"))
        await page.press("Enter")
        await page.write(").eq(path,")
        await until_offered_first(page, json.dumps(HARMLESS))  # then what it may be compared with
        await page.press("Escape")
        await page.until("document.querySelector('.completions').hidden")
        await page.press("ArrowDown")
        await until_offered_first(page, json.dumps(HARMLESS))  # then what it may be compared with
        await page.press("ArrowDown")
        await page.press("Enter")
        await page.write(")).group(ho")
        await until_offered(page, "host", "hour(")
        await page.press("Enter")
        await page.write(")")
        await page.until(f"{WORDS}.endsWith('for each host')")
        text = f'median(request(ms).eq(path,"{HARMLESS}")).group(host)'
        assert await page.evaluate(f"{BOX}.value") == text
        assert await page.evaluate(WORDS) == (
            f'the median of ms over the request events where path is "{HARMLESS}", for each host'
        )
        assert await page.evaluate("document.getElementById('markup')") is None
        await page.press("Enter")
        await page.until("new URLSearchParams(location.search).get('e')?.startsWith('median(')")

        await page.evaluate(f"{BOX}.select()")
        await page.write("sum(request)")  # it could be read as an event of a type sum, too
        await page.until(f"{WORDS} === 'the number of request events'")

        await page.evaluate(f"{BOX}.select()")
        await page.write("sum(request(msec))")
        hint = "None of the 50 events of request has the field msec; the nearest is ms."
        await page.until(f"document.querySelector('.hint').textContent === {hint!r}")
        await page.screenshot(artefact("completion-hint.png"))

        await page.evaluate(f"{BOX}.select()")
        await page.write("sum(request(ms))) + 1")
        await page.until("document.querySelector('.marks mark')?.textContent === ')'")
        await page.until("document.querySelector('.error').textContent.startsWith('Expected')")
        assert await page.evaluate(f"{BOX}.getAttribute('aria-invalid')") == "true"
        await page.screenshot(artefact("completion-error.png"))
        assert page.said == []
