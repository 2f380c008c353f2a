"""The commands that install on a server with systemd, and upgrade there, do what the pages say of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import pytest

from tests.checkout import copy_checkout
from tests.docs.runners import run_by
from tests.systemd_machine import SHARED, SystemdMachine, systemd_machine
from tests.tools import SLOW

pytestmark = [SLOW, pytest.mark.timeout(600)]

OPERATIONS, INSTALL = sorted(run_by(__file__), key=lambda block: block.page, reverse=True)
SECONDS = 60.0
SENDER = Path(__file__).with_name("sender.py")
SET_STORE = r"""sed -i 's|^store = .*|store = "sqlite:/var/lib/cube/data"|' /etc/cube/*.toml"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    """A machine on which the page's commands were typed, in a folder with the wheel."""
    folder = tmp_path_factory.mktemp("machine")
    shared = copy_checkout(folder / "shared")
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", "dist", "."]
    subprocess.run(wheel, cwd=shared, check=True, timeout=300)
    (shared / SENDER.name).write_text(SENDER.read_text())
    *commands, last = [line.removeprefix("# ") for line in INSTALL.text.splitlines()]
    with systemd_machine(folder) as running:
        for command in commands:
            running.run(command, network="pip install" in command)
        running.run(SET_STORE)
        running.run(last)
        yield running


def ask(machine: SystemdMachine, type: str) -> float:
    """Return how many events of a type there are, from the evaluator."""
    query = f"expression=sum({type})&step=1d&start=2020-01-01&stop=2020-01-02"
    [row] = json.loads(machine.run(f"curl -sSf 'http://127.0.0.1:1081/1.0/metric?{query}'"))
    return float(row["value"])


def send(machine: SystemdMachine, type: str) -> None:
    event = json.dumps({"type": type, "time": "2020-01-01T12:00Z"})
    machine.run(f"curl -sSf http://127.0.0.1:1080/1.0/event -d '{event}'")


def active(machine: SystemdMachine, *units: str) -> list[str]:
    return machine.run(f"systemctl is-active {' '.join(units)} || true").split()


class Sender:
    """Sends events to the machine's collector, from within; ``acknowledged`` is how many were stored."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.acknowledged = 0

    def until(self, more: int) -> None:
        """Return when so many more are acknowledged."""
        goal = self.acknowledged + more
        while self.acknowledged < goal:
            self._read()

    def finish(self) -> int:
        """Send no more, and return how many datagrams were sent."""
        cast("IO[str]", self._process.stdin).close()
        while "datagrams" not in (told := self._read()):
            pass
        return told["datagrams"]

    def _read(self) -> dict[str, int]:
        line = cast("IO[str]", self._process.stdout).readline()
        assert line, "the sender ended"
        told: dict[str, int] = json.loads(line)
        self.acknowledged = told["acknowledged"]
        assert not told["failed"], line
        return told


@contextmanager
def sending(machine: SystemdMachine, type: str) -> Iterator[Sender]:
    command = machine.command(f"exec python3 {SHARED}/{SENDER.name} {type}")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Sender(process)


def all_stored(machine: SystemdMachine, type: str, sender: Sender) -> None:
    """Wait until all datagrams are stored, too: nobody is told when."""
    expected = sender.finish() + sender.acknowledged
    deadline = time.monotonic() + SECONDS
    while (found := ask(machine, type)) != expected:
        assert found < expected
        assert time.monotonic() < deadline, f"{found} of {expected} are stored"


def test_what_is_installed_runs_as_its_user_and_takes_events(machine: SystemdMachine) -> None:
    assert active(machine, "cube-collector", "cube-evaluator", "cube-collector.socket") == ["active"] * 3
    send(machine, "installed")
    assert ask(machine, "installed") == 1
    assert machine.run("ps -o user= -C cube-collector,cube-evaluator").split() == ["cube"] * 2
    assert machine.run("stat -c '%a %U' /var/lib/cube /var/lib/cube/data").split("\n")[:2] == ["700 cube"] * 2
    assert machine.run("systemctl is-enabled cube-collector cube-evaluator.socket").split() == ["enabled"] * 2


def test_an_event_starts_a_collector_that_is_stopped(machine: SystemdMachine) -> None:
    machine.run("systemctl stop cube-collector 2>/dev/null")
    assert active(machine, "cube-collector", "cube-collector.socket") == ["inactive", "active"]
    send(machine, "woken")
    assert active(machine, "cube-collector") == ["active"]
    assert ask(machine, "woken") == 1


def test_a_restart_turns_nobody_away_and_loses_nothing(machine: SystemdMachine) -> None:
    with sending(machine, "restarted") as sender:
        sender.until(100)
        machine.run("systemctl restart cube-collector")
        sender.until(100)
        all_stored(machine, "restarted", sender)


def test_sql_is_answered_within_the_bounds_of_the_unit(machine: SystemdMachine) -> None:
    """Its processes filter their own system calls, under the filter of the unit."""
    with_sql = '"cube-events[sql] @ file://$(realpath dist/cube_events-*.whl)"'
    machine.run(f"/opt/cube/bin/pip install --quiet {with_sql}", network=True)
    machine.run("sed -i '/^\\[sql\\]/,/^\\[/ s/^enabled = false/enabled = true/' /etc/cube/evaluator.toml")
    machine.run("systemctl restart cube-evaluator")
    send(machine, "asked")
    statement = json.dumps({"statement": "SELECT count(*) AS events FROM asked"})
    answer = machine.run(f"curl -sS http://127.0.0.1:1081/1.0/sql -d '{statement}'")
    assert json.loads(answer) == [{"events": 1}]


def test_one_instance_hands_over_to_the_other_and_loses_nothing(machine: SystemdMachine) -> None:
    machine.run("ln -s cube /opt/cube-a && ln -s cube /opt/cube-b")
    [upgrade] = OPERATIONS.text.splitlines()
    instances = ("cube-collector@a", "cube-collector@b")
    machine.run(
        "systemctl disable --now cube-collector.socket cube-collector && systemctl start cube-collector@a"
    )
    with sending(machine, "handed_over") as sender:
        sender.until(100)
        machine.run(upgrade.removeprefix("$ "))
        assert active(machine, *instances) == ["inactive", "active"]
        sender.until(100)
        all_stored(machine, "handed_over", sender)
    log = machine.run("journalctl --no-pager --unit='cube-collector@*'")
    assert "others listen on" in log
    assert "cannot be held back" not in log
