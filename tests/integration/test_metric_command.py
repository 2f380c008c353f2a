"""``cube metric`` and ``cube plot`` say what they leave out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from cube.cli.main import main
from cube.cli.spans import OPEN_LEFT_OUT
from cube.process.threads import run_in_thread
from tests.evaluator_running import DAY, Running, event, running

EXPRESSION = "sum(test(v))"


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "store", now=3 * DAY + 3_600_000) as made:
        await made.save(event(2 * DAY, {"v": 1}), event(3 * DAY, {"v": 2, "late": True}))
        yield made


async def run(made: Running, *words: object) -> Result:
    command = [*map(str, words), "--evaluator", f"http://127.0.0.1:{made.port}"]
    result = await run_in_thread(CliRunner().invoke, main, command)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    "words",
    [
        ("metric", "--json"),
        ("metric",),
        ("metric", "--format", "csv"),
        ("metric", "--format", "json", "--limit", "1"),
        ("metric", "-o", "FILE"),
        ("plot",),
    ],
)
async def test_the_bucket_that_goes_on_is_left_out_and_that_is_said(
    made: Running, tmp_path: Path, words: tuple[str, ...]
) -> None:
    command, *options = (str(tmp_path / "out.csv") if word == "FILE" else word for word in words)
    asked = (command, EXPRESSION, "--step", "1d", "--start", "-2d", *options)
    found = await run(made, *asked)
    assert OPEN_LEFT_OUT in found.stderr
    assert OPEN_LEFT_OUT not in found.stdout
    whole = await run(made, *asked, "--stop", "now")
    assert OPEN_LEFT_OUT not in whole.stderr


@pytest.mark.parametrize("words", [("--start", "-1h", "--step", "month"), ("--limit", "2", "--step", "1d")])
async def test_where_it_would_be_the_only_one_with_a_row_that_is_said_once(
    made: Running, words: tuple[str, ...]
) -> None:
    found = await run(made, "metric", "sum(test).group(late)", *words)
    assert (found.stdout, found.stderr.count("goes on")) == ("", 1), found.stderr
    whole = await run(made, "metric", "sum(test).group(late)", *words, "--stop", "now")
    assert ("goes on" in whole.stderr, len(whole.stdout.splitlines())) == (
        False,
        1 if "month" in words else 2,
    )
