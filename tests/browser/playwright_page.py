"""Pages of Playwright's in Debian's Chromium, which keep what went wrong in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.tools import tool

expect.set_options(timeout=20_000)  # milliseconds; what comes at all comes sooner on an idle machine


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Run a browser; one is enough for a module, as every page has a context of its own."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=tool("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(browser: Browser, **context: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """Give a page, and what it said on its console or failed with; ``context``: see ``new_context``."""
    said: list[str] = []
    own = await browser.new_context(**context)
    try:
        page = await own.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page, said
    finally:
        await own.close()
