"""Every command of the pages for those who come from another system prints what is shown there."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cube.expression import parse_metric
from tests.daemon import Daemon, daemon
from tests.docs.console import Command, commands
from tests.docs.shell import Shell

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "coming-from").glob("*.md"))
SECONDS = 60.0


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    directory = tmp_path_factory.mktemp("coming")
    store, statsd = f"sqlite:{directory}", ("--dialects-statsd", "true", "--dialects-statsd-port", "0")
    with (
        daemon("collector", store, directory, *statsd) as collector,
        daemon("evaluator", store, directory) as evaluator,
    ):
        yield collector, evaluator


def stored(collector: Daemon) -> float:
    figures = requests.get(f"{collector.http}/metrics", timeout=SECONDS).text
    found = re.search(r"^cube_events_stored_total (\S+)$", figures, re.MULTILINE)
    assert found, figures
    return float(found[1])


def run(shell: Shell, command: Command, collector: Daemon, evaluator: Daemon) -> list[str]:
    """Run a command on the ports of this run; what it sends by UDP is waited for."""
    assert collector.statsd is not None
    ports = {"1080": collector.port, "1081": evaluator.port, "8125": int(collector.statsd.rpartition(":")[2])}
    before = stored(collector)
    printed = shell.run(
        re.sub(r"(127\.0\.0\.1[:/])(\d+)\b", lambda found: f"{found[1]}{ports[found[2]]}", command.text)
    )
    deadline = time.monotonic() + SECONDS
    while "/dev/udp/" in command.text and stored(collector) == before:
        assert time.monotonic() < deadline, "the datagram was not stored"
        time.sleep(0.02)
    return printed.removesuffix("\n").splitlines()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_prints_what_is_shown(page: Path, daemons: tuple[Daemon, Daemon]) -> None:
    shown = list(commands(page.read_text()))
    assert len(shown) >= 2
    with Shell(ROOT) as shell:
        for command in shown:
            assert run(shell, command, *daemons) == list(command.output)


def test_every_expression_of_the_tables_is_one() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    cells = re.findall(r"^\|.*\|([^|]*)\|$", text, re.MULTILINE)  # the last ones: what is ours
    codes = [code for cell in cells for code in re.findall(r"`([^`]+)`", cell)]
    expressions = [code for code in codes if re.fullmatch(r"[a-z_]+\(.*\)(\.\w+\(.*\))*", code)]
    whole = [code for code in expressions if "…" not in code]
    assert len(whole) > 20
    for expression in whole:
        parse_metric(expression)
