"""A real headless Chromium, driven over its DevTools protocol: pages are opened, asked and photographed.

async with pages({"/": html, "/d3.js": Path("…")}) as origin, chromium() as browser:
    page = await browser.open(f"{origin}/")
    assert await page.until("document.querySelectorAll('canvas').length") == 3
    await page.screenshot(artefact("horizon.png"))
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.tools import tool

START_SECONDS = 60.0
ANSWER_SECONDS = 20.0
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, "End": 35, "Home": 36, "ArrowUp": 38, "ArrowDown": 40}
ARTEFACTS = Path(__file__).resolve().parents[1] / "artefacts"

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)


class PageError(AssertionError):
    """A script of the test failed in the page; the message holds what the page said, too."""


class Page:
    """One page. ``said``: what it wrote to its console, and the exceptions that nobody caught."""

    def __init__(self, devtools: DevTools, session: str) -> None:
        self._devtools = devtools
        self._session = session
        self.said: list[str] = []

    async def goto(self, url: str) -> None:
        """Go to a URL, and return when the page and its scripts are loaded."""
        loaded = self._devtools.expect(self._session, "Page.loadEventFired")
        answer = await self._ask("Page.navigate", url=url)
        if "errorText" in answer:
            raise PageError(f"{url}: {answer['errorText']}")
        await asyncio.wait_for(loaded, ANSWER_SECONDS)

    async def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise, as JSON knows it."""
        answer = await self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            told = details.get("exception", {}).get("description", details["text"])
            raise PageError(f"{script}: {told}\n{self.said}")
        return answer["result"].get("value")

    async def until(self, script: str) -> Any:
        """Return the value of an expression once it is true."""
        waiting = (
            "new Promise((resolve, reject) => { const look = () => { try {"
            f"const value = ({script}); value ? resolve(value) : setTimeout(look, 20)"
            "} catch (error) { reject(error) } }; look() })"
        )
        try:
            return await self.evaluate(waiting)
        except TimeoutError:
            raise PageError(f"{script} was not true in {ANSWER_SECONDS:g} s: {self.said}") from None

    async def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        await self._ask("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """Press and release a key that types nothing, such as "Enter" or "ArrowDown"."""
        code = {"windowsVirtualKeyCode": KEYS[key], "key": key, "code": key}
        await self._ask("Input.dispatchKeyEvent", type="rawKeyDown", **code)
        await self._ask("Input.dispatchKeyEvent", type="keyUp", **code)

    async def screenshot(self, path: Path) -> None:
        """Write a picture of the page, as PNG."""
        answer = await self._ask("Page.captureScreenshot", format="png")
        path.write_bytes(  # noqa: ASYNC240 - a test has nothing else to do
            base64.b64decode(answer["data"])
        )

    async def _ask(self, method: str, **parameters: Any) -> Any:
        return await self._devtools.ask(method, parameters, self._session)


class Browser:
    """A running Chromium."""

    def __init__(self, devtools: DevTools) -> None:
        self._devtools = devtools

    async def open(self, url: str) -> Page:
        """Open a URL in a page of its own."""
        target = await self._devtools.ask("Target.createTarget", {"url": "about:blank"})
        attached = await self._devtools.ask("Target.attachToTarget", {**target, "flatten": True})
        page = Page(self._devtools, attached["sessionId"])
        self._devtools.said[attached["sessionId"]] = page.said
        for domain in ("Page", "Runtime"):
            await self._devtools.ask(f"{domain}.enable", {}, attached["sessionId"])
        await page.goto(url)
        return page


@asynccontextmanager
async def chromium(*flags: str) -> AsyncIterator[Browser]:
    """Run a Chromium with a profile of its own, which is gone with it; ``flags``: more of its own."""
    program = tool("chromium")
    # Chromium's last files may still be written while the directory is removed.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *_FLAGS,
            *flags,
            f"--user-data-dir={profile}",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            devtools = await DevTools.connect(await _address(process, Path(profile)))
            try:
                yield Browser(devtools)
                await devtools.ask("Browser.close", {})
            finally:
                await devtools.close()
        finally:
            await _end(process)


def artefact(name: str) -> Path:
    """Return the path of a file that is kept after the tests."""
    ARTEFACTS.mkdir(exist_ok=True)
    return ARTEFACTS / name


class DevTools:
    """The connection to a browser: asks, and tells apart the answers and events that come."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._expected: dict[tuple[str, str], asyncio.Future[None]] = {}
        self.said: dict[str, list[str]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, address: str) -> DevTools:
        """Connect to a browser's own address."""
        return cls(await websocket_connect(address, max_message_size=256 * 2**20))

    async def ask(self, method: str, parameters: dict[str, Any], session: str | None = None) -> Any:
        """Call a method, of the browser or of one session of it."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self._socket.write_message(
            json.dumps(message if session is None else {**message, "sessionId": session})
        )
        return await asyncio.wait_for(answer, ANSWER_SECONDS)

    def expect(self, session: str, method: str) -> asyncio.Future[None]:
        """Return what is done with the next event of a kind."""
        return self._expected.setdefault((session, method), asyncio.get_running_loop().create_future())

    async def close(self) -> None:
        """Close the connection."""
        self._socket.close()
        await self._reading

    async def _read(self) -> None:
        while (text := await self._socket.read_message()) is not None:
            message = json.loads(text)
            if "id" in message:
                self._answered(message)
            else:
                self._happened(message)

    def _answered(self, message: dict[str, Any]) -> None:
        answer = self._answers.pop(message["id"])
        if answer.done():  # nobody waits any more
            return
        if "error" in message:
            answer.set_exception(PageError(str(message["error"])))
        else:
            answer.set_result(message["result"])

    def _happened(self, event: dict[str, Any]) -> None:
        session, method, told = event.get("sessionId", ""), event["method"], event["params"]
        expected = self._expected.pop((session, method), None)
        if expected is not None:
            expected.set_result(None)
        if method == "Runtime.consoleAPICalled":
            words = [str(part.get("value", part.get("description"))) for part in told["args"]]
            self.said.get(session, []).append(" ".join(words))
        elif method == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.said.get(session, []).append(
                str(details.get("exception", {}).get("description", details["text"]))
            )


async def _address(process: asyncio.subprocess.Process, profile: Path) -> str:
    """Return where the browser listens, once it has written that down."""
    place = profile / "DevToolsActivePort"
    async with asyncio.timeout(START_SECONDS):
        while True:
            if process.returncode is not None:
                raise AssertionError(f"Chromium ended at once, with status {process.returncode}")
            lines = place.read_text().split() if place.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.02)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Wait until the browser is gone, with all its processes; help where it does not go."""
    try:
        await asyncio.wait_for(process.wait(), 5)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
