"""Every command of the README and of the guide does what is shown there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from cube.model.board import Board
from tests.docs.console import commands
from tests.docs.shell import Shell
from tests.mongo_server import MongoServer

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 180.0
EVERY = list(commands((ROOT / "README.md").read_text()))
STARTS = [command for command in EVERY if command.text.startswith("make run")]
OTHERS = [command for command in EVERY if command not in STARTS]
GUIDE_START, *GUIDE = commands((ROOT / "docs" / "guide.md").read_text())
PROGRESS = re.compile(r"\d+ events stored …\n")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the daemons of a `make run` listen, and the ports that the README has in their place."""

    collector: str
    evaluator: str
    udp: str

    def here(self, text: str) -> str:
        """Return the text of the README with the ports of this run."""
        ports = {"1080": self.collector, "1081": self.evaluator, "1180": self.udp}
        return re.sub(
            r"(127\.0\.0\.1[:/])(1080|1081|1180)\b",
            lambda match: match[1] + ports[match[2]].rpartition(":")[2],
            text,
        )


@contextmanager
def made_to_run(command: str, log: Path) -> Iterator[Addresses]:
    """Run a `make run` of the README on free ports, until the block ends."""
    ports = "--collector-port 0 --udp-port 0 --evaluator-port 0"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command} ARGS='{ports}'"],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_for(lambda: "Ctrl-C" in log.read_text() or process.poll() is not None, log)
        assert process.poll() is None, log.read_text()
        # A daemon's own log lines may come between.
        found = re.search(
            r"^Collector  (\S+)  and UDP (\S+)\n(?:\{.*\n)*Evaluator  (\S+)$", log.read_text(), re.MULTILINE
        )
        assert found, log.read_text()
        yield Addresses(collector=found[1], udp=found[2], evaluator=found[3])
    finally:
        os.killpg(process.pid, signal.SIGINT)  # Ctrl-C: make and its child alike
        process.wait(PATIENCE_SECONDS)


def wait_for(claim: object, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not claim():  # type: ignore[operator]  # a callable
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def stored(collector: str) -> float:
    """Return how many events a collector has stored, by its own figures."""
    with urlopen(f"{collector}/metrics") as answer:
        figures = answer.read().decode()
    found = re.search(r"^cube_events_stored_total (\S+)$", figures, re.MULTILINE)
    assert found, figures
    return float(found[1])


def test_the_readme_starts_cube_in_both_ways_and_runs_commands() -> None:
    assert [start.text for start in STARTS] == ["make run", "make run STORE=mongodb://127.0.0.1:27017"]
    assert len(OTHERS) > 10


def test_the_guide_starts_as_the_readme_does_and_saves_a_board() -> None:
    assert STARTS[0] == GUIDE_START
    put = next(command.text for command in GUIDE if "board put" in command.text)
    assert len(Board.parse(put[put.index("{") : put.rindex("}") + 1]).charts) == 4


@pytest.mark.timeout(300)  # some forty programs, one after the other, on a machine that may be loaded
def test_every_command_prints_what_the_readme_and_then_the_guide_show(tmp_path: Path) -> None:
    log, store = tmp_path / "log", f"sqlite:{tmp_path}"
    with made_to_run(f"{STARTS[0].text} STORE={store}", log) as addresses, Shell(ROOT) as shell:
        assert said(log, addresses, store) == STARTS[0].output
        # As the commands' defaults.
        environ = {"CUBE_COLLECTOR": addresses.collector, "CUBE_EVALUATOR": addresses.evaluator}
        for name, value in (environ | {"CUBE_STORE": store}).items():
            shell.run(f"export {name}={value}")
        for command in (*OTHERS, *GUIDE):
            before = stored(addresses.collector)
            printed = shell.run(addresses.here(command.text))
            check(lines(PROGRESS.sub("", printed)), [addresses.here(line) for line in command.output])
            if "/dev/udp/" in command.text:
                wait_for(lambda before=before: stored(addresses.collector) > before, log)


def check(printed: list[str], shown: list[str]) -> None:
    """Compare an output line by line; ``…`` stands for anything."""
    patterns = [re.escape(line).replace("…", ".*") for line in shown]
    assert len(printed) == len(shown), printed
    for line, pattern in zip(printed, patterns, strict=True):
        assert re.fullmatch(pattern, line), (line, pattern)


def test_cube_runs_on_a_mongodb_as_the_readme_shows(tmp_path: Path) -> None:
    start, log = STARTS[1], tmp_path / "log"
    with MongoServer() as server:
        command = start.text.replace("mongodb://127.0.0.1:27017", server.url)
        with made_to_run(command, log) as addresses, Shell(ROOT) as shell:
            assert said(log, addresses, server.url, "mongodb://127.0.0.1:27017") == start.output
            put = next(command for command in OTHERS if "/1.0/event -d" in command.text)
            assert lines(shell.run(addresses.here(put.text))) == list(put.output)


def said(log: Path, addresses: Addresses, store: str, shown: str = "sqlite:data") -> tuple[str, ...]:
    """Return what `make run` printed, log lines aside, with the README's ports and store."""
    text = log.read_text().replace(store, shown)
    for port, address in (
        ("1080", addresses.collector),
        ("1180", addresses.udp),
        ("1081", addresses.evaluator),
    ):
        text = text.replace(address.rpartition(":")[2], port)
    said = text[text.index("Collector ") :]  # before it, an installation may have been renewed
    return tuple(line for line in said.splitlines() if not line.startswith('{"time"'))


def lines(text: str) -> list[str]:
    """Return the lines of an output; a missing newline at its end does not count."""
    return text.removesuffix("\n").splitlines()
