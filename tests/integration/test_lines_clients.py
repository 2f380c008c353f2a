"""What logs by HTTP against a running collector, and metrics over what it sent."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.foreign_client import Running, front, run_node, run_python, running
from tests.tools import tool

LINES = '{"timestamp":"2026-01-02T03:04:05Z","ms":%d}'


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("lines")) as made:
        yield made


@pytest.mark.parametrize("how", ["one", "batch"])
async def test_what_winston_logs_is_measured(cube: Running, how: str) -> None:
    async with front(cube.collector, losses=0) as between:
        said = await asyncio.to_thread(run_node, "winston", "send_lines.mjs", between.address, how)
    assert said == ""
    assert [passed.status for passed in between.passed] == [200] * (3 if how == "one" else 1)
    assert cube.metric(f'sum(winston_{how}(price).eq(message, "bought"))') == 1 + 2 + 4


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_pythons_own_handler_logs_is_stored(cube: Running, method: str) -> None:
    run_python("send_lines.py", cube.collector, method)
    found = cube.evaluator.events(f"python_{method.lower()}(msg, args, levelname)")
    assert [event.data for event in found] == [
        {"msg": "bought %s", "args": "('a book',)", "levelname": "WARNING"}
    ]


@pytest.mark.parametrize("flags", [("-d",), ("--data-binary",), ("--json",), ("-T",)], ids=lambda one: one[0])
def test_a_file_that_curl_sends_twice_is_stored_once(
    cube: Running, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    file = tmp_path / "lines"
    file.write_text("".join(f"{LINES % ms}\n" for ms in (1, 2, 4)) + "not JSON\n")
    given = str(file) if flags == ("-T",) else f"@{file}"
    type = "curl_" + flags[0].strip("-").replace("-", "_").lower()
    for _ in range(2):
        command = (tool("curl"), "-sS", *flags, given, f"{cube.collector}/1.0/lines/{type}")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith('{"stored":3,"rejected":1,"reasons":[')
    assert cube.metric(f"sum({type}(ms))") == 7
    assert "not JSON" in {refused["payload"] for refused in cube.rejected("lines")}
