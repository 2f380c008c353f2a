"""The tests' own browser: what other tests rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import PageError, chromium
from tests.browser.pages import pages

PAGE = """<!doctype html><title>A page</title><body style="background: #00f">
<script>setTimeout(() => { window.later = 7; console.log("it is", 7) }, 50)</script>"""


async def test_a_page_is_asked_waited_for_and_photographed(tmp_path: Path) -> None:
    async with pages({"/": PAGE}) as origin, chromium() as browser:
        page = await browser.open(f"{origin}/")
        assert await page.evaluate("document.title") == "A page"
        assert await page.until("window.later") == 7
        assert await page.evaluate("fetch('/none').then(reply => reply.status)") == 404
        assert page.said == ["it is 7"]
        with pytest.raises(PageError, match="ReferenceError"):
            await page.evaluate("nothing.there")
        await page.screenshot(tmp_path / "page.png")
        assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
        async with pages({}) as gone:
            pass
        with pytest.raises(PageError, match="ERR_CONNECTION_REFUSED"):
            await browser.open(gone)
