"""The programs on the pages of dialects, run with the real clients, each send an event that is stored."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import requests

from tests.daemon import Daemon, daemon
from tests.docs.blocks import Block
from tests.docs.runners import run_by
from tests.tools import NODE, SLOW, node_package, python_packages, tool

SECONDS = 60.0
OWN = run_by(__file__)
DATACORAL = Path(__file__).resolve().parents[1] / "clients" / "send_datacoral.py"
BROWSER = {
    "docs/dialects/tracardi.md": "tests/integration/test_tracardi_browser.py",
    'import { AnalyticsBrowser } from "@segment/analytics-next";': "tests/browser/test_segment.py",
    "import { newTracker, trackPageView } from '@snowplow/browser-tracker';": (
        "tests/browser/test_snowplow.py"
    ),
}
"""Blocks for a browser's page, by page or first line; what runs that client in one."""


def language(name: str) -> list[Block]:
    return [block for block in OWN if block.language == name]


def runs_in_a_browser(block: Block) -> bool:
    return block.language == "js" and (block.page in BROWSER or block.begin in BROWSER)


NODE_BLOCKS = [block for block in language("js") if not runs_in_a_browser(block)]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("clients")
    flags = (
        "--dialects-statsd",
        "true",
        "--dialects-statsd-port",
        "0",
        "--dialects-statsd-flavour",
        "datadog",
    )
    with daemon("collector", f"sqlite:{folder}", folder, *flags) as running:
        yield running


def stored(collector: Daemon) -> float:
    told = requests.get(f"{collector.http}/metrics", timeout=SECONDS).text
    found = re.search(r"^cube_events_stored_total (\S+)$", told, re.MULTILINE)
    assert found, told
    return float(found[1])


def here(block: Block, collector: Daemon) -> str:
    """Return a program with the collector's ports in place of those that are usual."""
    statsd = (collector.statsd or "").rpartition(":")[2]
    text = block.text.replace("8125", statsd).replace("https://cube.example/", f"{collector.http}/")
    return re.sub(r"\b1080\b|(?<=cube\.example:)443", str(collector.port), text).replace(
        "cube.example:", "127.0.0.1:"
    )


def check(command: list[str | Path], collector: Daemon, env: dict[str, str] | None = None) -> None:
    """Run a program until an event of it is stored; some go on for ever."""
    before = stored(collector)
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
    try:
        deadline = time.monotonic() + SECONDS
        while stored(collector) == before:
            assert time.monotonic() < deadline, "nothing is stored"
            if program.poll():
                raise AssertionError(program.communicate()[0].decode())
            time.sleep(0.02)
    finally:
        program.kill()
        program.communicate()


@SLOW
@pytest.mark.parametrize("block", language("python"), ids=lambda block: Path(block.page).stem)
def test_a_python_program_stores_an_event(block: Block, collector: Daemon, tmp_path: Path) -> None:
    program, path, text = tmp_path / "program.py", "", here(block, collector)
    if block.page == "docs/dialects/datacoral.md":  # of the time of Python 3.7, and for TLS unless it is told
        path = str(python_packages("datacoral"))
        before, _, _ = DATACORAL.read_text().partition("\nfrom snowplow_tracker")
        text = before + "\n" + text.replace("buffer_size", 'protocol="http", buffer_size')
    program.write_text(text)
    command = [sys.executable, *(["-S"] if path else []), "-W", "ignore", program]
    check(command, collector, {**os.environ, "PYTHONPATH": path} if path else None)


@SLOW
@pytest.mark.parametrize("block", NODE_BLOCKS, ids=lambda block: Path(block.page).stem)
def test_a_program_for_node_stores_an_event(block: Block, collector: Daemon, tmp_path: Path) -> None:
    [package] = re.findall(r"""(?:from|require\()\s*["']((?:@\w+/)?[\w-]+)""", block.text)
    node_package(package)
    (tmp_path / "node_modules").symlink_to(NODE / "node_modules")
    program = tmp_path / ("program.cjs" if "require(" in block.text else "program.mjs")
    program.write_text(here(block, collector))
    check([tool("node"), program], collector)


@pytest.mark.parametrize("block", language("html"), ids=lambda block: Path(block.page).stem)
def test_a_pixel_stores_an_event(block: Block, collector: Daemon) -> None:
    before = stored(collector)
    [address] = re.findall(r'src="([^"]+)"', here(block, collector))
    with urlopen(address, timeout=SECONDS) as answer:
        assert answer.headers["Content-Type"] == "image/gif"
    assert stored(collector) == before + 1


def test_what_runs_in_a_browser_is_run_in_one() -> None:
    for block in filter(runs_in_a_browser, language("js")):
        file = Path(__file__).resolve().parents[2] / (BROWSER.get(block.page) or BROWSER[block.begin])
        assert file.is_file()
