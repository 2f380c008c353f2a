"""A machine for commands that change a system: systemd is its first process, its disk is thrown away."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tools import as_root, tool

SCRIPT = Path(__file__).with_suffix(".sh")
SHARED = "/srv"
"""Where the machine has the folder ``shared`` of its own."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SECONDS = 60.0
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")
_OURS = ("CUBE_", "PYTHON", "VIRTUAL_ENV", "PATH", "HOME", "PYTEST_")

_NEEDED = """
mount -t cgroup2 none "$1"
umount "$1"
mount -t tmpfs none "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work none root
"""
"""What a machine cannot do without; not allowed everywhere, such as in a container without privileges."""


def environment() -> dict[str, str]:
    """Return variables for programs of the system, Debian's Python among them: without what is ours."""
    told = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**told, "PATH": PATH, "HOME": "/root"}


@dataclass(frozen=True, slots=True)
class SystemdMachine:
    """A running one; ``pid`` is its first process, as seen from here."""

    pid: int

    def command(self, text: str, *words: str, network: bool = False) -> list[str]:
        """Return what runs a text of bash there, as root, with its own network or this system's `network`.

        `words`: what the text has as ``"$@"``.
        """
        variables = [f"{name}={value}" for name, value in environment().items()]
        namespaces = [*_NAMESPACES, *([] if network else ["--net"])]
        # env: bash itself would complain of a directory that is not there, this one.
        into = [
            "nsenter",
            f"--target={self.pid}",
            *namespaces,
            "env",
            f"--chdir={SHARED}",
            "bash",
            "-c",
            text,
            "bash",
            *words,
        ]
        return [*as_root(), "env", "-i", *variables, *into]

    def run(self, text: str, *, network: bool = False) -> str:
        """Return what a text of bash prints; one that fails fails the test."""
        ran = subprocess.run(
            self.command(text, network=network), capture_output=True, text=True, timeout=300, check=False
        )
        assert ran.returncode == 0, f"{text}: {ran.stdout}{ran.stderr}{self._log()}"
        return ran.stdout

    def _log(self) -> str:
        log = self.command("journalctl --no-pager --quiet --lines=50 --unit='cube-*'")
        return subprocess.run(log, capture_output=True, text=True, timeout=60, check=False).stdout


@contextmanager
def systemd_machine(folder: Path) -> Iterator[SystemdMachine]:
    """Start a machine; what is in `folder`/shared is its ``/srv``. Skips where namespaces are not allowed."""
    if not Path("/lib/systemd/systemd").exists():
        tool("systemd")
    namespaces = ("--mount", "--pid", "--fork", "--net", "--cgroup")
    allowed = subprocess.run(
        [*as_root(), "unshare", *namespaces, "bash", "-ec", _NEEDED, "bash", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if allowed.returncode:
        pytest.skip(f"a machine's mounts and namespaces are not allowed here: {allowed.stderr.strip()}")
    (folder / "shared").mkdir(exist_ok=True)
    (folder / "pid").unlink(missing_ok=True)
    start = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"]
    with (folder / "machine.log").open("wb") as log:
        process = subprocess.Popen(
            [*as_root(), *start, "bash", SCRIPT, "outside", folder],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        machine = SystemdMachine(_first_process(process, folder))
        _wait_until_up(process, machine, folder)
        yield machine
    finally:
        _power_off(process, folder)


def _first_process(process: subprocess.Popen[bytes], folder: Path) -> int:
    deadline = time.monotonic() + SECONDS
    while not (text := (folder / "pid").read_text() if (folder / "pid").exists() else ""):
        _still_starting(process, deadline, folder)
    return int(text)


def _wait_until_up(process: subprocess.Popen[bytes], machine: SystemdMachine, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS
    asked = machine.command("systemctl is-active --quiet basic.target")
    while subprocess.run(asked, capture_output=True, timeout=60, check=False).returncode:
        _still_starting(process, deadline, folder)


def _still_starting(process: subprocess.Popen[bytes], deadline: float, folder: Path) -> None:
    told = (folder / "machine.log").read_text()
    assert process.poll() is None, f"the machine did not start: {told}"
    assert time.monotonic() < deadline, f"the machine does not start: {told}"
    time.sleep(0.05)


def _power_off(process: subprocess.Popen[bytes], folder: Path) -> None:
    if (folder / "pid").exists():
        pid = (folder / "pid").read_text().strip()
        subprocess.run([*as_root(), "kill", "-s", "RTMIN+4", pid], timeout=60, check=False)
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
