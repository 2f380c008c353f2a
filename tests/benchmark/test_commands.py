"""The commands of `docs/performance.md` are such as the benchmark takes, and those that are short are run."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from tests.benchmark.__main__ import arguments
from tests.benchmark.workloads import chosen, read
from tests.docs.blocks import ROOT
from tests.docs.console import commands
from tests.docs.runners import run_by
from tests.tools import SLOW

[BLOCK] = run_by(__file__)
COMMANDS = [
    shlex.split(command.text, comments=True) for command in commands(f"```console\n{BLOCK.text}```\n")
]
QUICK = ("heat", "--alone", "--repetitions", "1")
"""One workload, and none of the peers that it is compared with: they are installed for it."""


def words(command: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the words that a command hands to the benchmark; its variables are set."""
    for name in ("BASE", "ARGS", "MAKEFLAGS", "MAKELEVEL"):  # those of the `make` that runs the tests
        monkeypatch.delenv(name, raising=False)
    while "=" in command[0]:
        name, _, value = command.pop(0).partition("=")
        monkeypatch.setenv(name, value)
    if command == ["make", "bench"]:
        planned = subprocess.run(
            ["make", "--dry-run", "bench"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
        )
        command = shlex.split(planned.stdout.splitlines()[-1])
    assert command[0] == "bin/bench"
    return command[1:]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_benchmark_takes_the_command(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    base = re.findall(r"^BASE=(\S+)", command[0])
    options = arguments(words([*command], monkeypatch))
    assert options.base == "".join(base)
    assert not (options.write and options.quick)
    cases = read()
    assert chosen(cases, options.names, options.quick)
    assert [name for name in options.names if not chosen(cases, [name], options.quick)] == []


def test_the_workloads_are_listed_as_shown() -> None:
    assert ["bin/bench", "--list"] in COMMANDS
    listed = subprocess.run(
        ["bin/bench", "--list"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    for case in read():
        assert re.search(rf"^{re.escape(case.name)} +{re.escape(case.title)}$", listed.stdout, re.MULTILINE)


@SLOW
def test_a_quick_run_measures_and_writes_nothing_down() -> None:
    assert ["bin/bench", "--quick"] in COMMANDS
    page = (ROOT / "docs/performance.md").read_text()
    ran = subprocess.run(
        ["bin/bench", "--quick", *QUICK], cwd=ROOT, capture_output=True, text=True, timeout=280, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^`heat`: .*, ms: [\d.]+", ran.stdout, re.MULTILINE), ran.stdout
    assert (ROOT / "docs/performance.md").read_text() == page
