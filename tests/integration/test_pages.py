"""The page over HTTP: what is served, how it is cached, and what it may do."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from evaluator.api.pages import FOLDER
from tests.evaluator_running import Running, running
from tests.web_client import connection

HEADERS = 700  # bytes of a request's answer, about


def port_of(made: Running) -> int:
    return int(made.evaluator.addresses["http"].rpartition(":")[2])


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as running_:
        yield running_


async def test_the_page_is_served_with_a_policy_and_its_files_for_good(made: Running) -> None:
    async with connection(port_of(made)) as client:
        page = await client.ask("GET", "/")
        text = page.body.decode()
        files = re.findall(r'"(/pages/[^"]+)"', text)

        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert "<script>" not in text
        assert " style=" not in text
        assert files
        for path in files:
            assert "immutable" in (await client.ask("GET", path)).headers["cache-control"]


async def test_a_file_that_a_client_has_is_not_sent_again(made: Running) -> None:
    async with connection(port_of(made)) as client:
        page = await client.ask("GET", "/")
        again = await client.ask("GET", "/", headers={"If-None-Match": page.headers["etag"]})

    assert (again.status, again.body) == (304, b"")
    assert "content-length" not in again.headers  # it would be the length of what is not sent again


async def test_files_are_packed_and_what_is_not_there_is_said(made: Running) -> None:
    async with connection(port_of(made)) as client:
        packed = await client.ask("GET", "/pages/other/app.js", headers={"Accept-Encoding": "gzip"})
        missing = await client.ask("GET", "/pages/other/..%2fapp.py")

    assert gzip.decompress(packed.body) == (FOLDER / "app.js").read_bytes()
    assert packed.headers["cache-control"] == "no-cache"
    assert missing.status == 404


async def test_the_page_names_all_modules_of_its_first_view_at_once(made: Running) -> None:
    async with connection(port_of(made)) as client:
        text = (await client.ask("GET", "/")).body.decode()
    named = set(re.findall(r'<link rel="modulepreload" href="/pages/\w+/([\w-]+\.js)">', text))
    imported = {
        name
        for file in named
        for name in re.findall(r'from\s+"\./([^"]+)"', (FOLDER / file).read_text(encoding="utf-8"))
    }
    assert named == imported | {"app.js"}


def test_the_first_view_is_less_than_150_kilobytes_on_the_wire() -> None:
    first = ["index.html", *re.findall(r"/pages/VERSION/([a-z-]+\.\w+)", (FOLDER / "index.html").read_text())]
    asked: dict[str, int] = {}
    while first:
        name = first.pop()
        content = (FOLDER / name).read_bytes()
        asked[name] = len(gzip.compress(content, 9)) + HEADERS
        imports = re.findall(r'^(?:import|export) .*?from "\./([a-z-]+\.js)"', content.decode(), re.MULTILINE)
        first += [one for one in imports if one not in asked]

    assert "chart-lines.js" in asked  # imports are found
    assert "board.js" not in asked  # loaded when it is first looked at
    assert sum(asked.values()) < 150_000
