"""The processes that are measured: started, watched through /proc, and always ended."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmark.builds import Build

START_SECONDS = 60
STOP_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Address:
    """Where a process listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"http://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running collector or evaluator of some build."""

    process: subprocess.Popen[bytes]
    http: Address
    udp: Address | None

    def peak_bytes(self) -> int:
        """Return the most memory that was resident since the start, children included."""
        return sum(_status(pid, "VmHWM") for pid in _family(self.process.pid))

    def anonymous_bytes(self) -> int:
        """Return its present memory without what is mapped from files, children included."""
        return sum(_status(pid, "RssAnon") for pid in _family(self.process.pid))

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used, children included."""
        ticks = 0
        for pid in _family(self.process.pid):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def daemon(build: Build, name: str, store: str, folder: Path, *flags: str) -> Iterator[Daemon]:
    """Run a build's ``collector`` or ``evaluator`` on a store URL, with `folder` for its own files."""
    folder.mkdir(parents=True, exist_ok=True)
    ready = folder / f"{name}-{time.monotonic_ns()}.json"
    command = [str(build.python), "-m", f"{name}.main", "--store", store, "--database", "bench"]
    command += ["--port", "0", "--ready-file", str(ready), "--log-level", "warning", *flags]
    command += ["--udp-port", "0"] if name == "collector" else []
    places = {"HOME": str(folder), "XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(build.checkout)}
    with running(command, folder / f"{name}.log", build.checkout, places) as process:
        wait_until(ready.exists, process, folder / f"{name}.log")
        addresses = json.loads(ready.read_text())
        udp = _address(addresses["udp"]) if "udp" in addresses else None
        yield Daemon(process, _address(addresses["http"]), udp)


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    cwd: Path,
    environment: dict[str, str] | None = None,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own; at the end its whole family is gone."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            user=user,
            preexec_fn=_die_with_parent,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop, and kill its session if it does not."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def wait_until(
    condition: object, process: subprocess.Popen[bytes], log: Path, seconds: float = START_SECONDS
) -> None:
    """Wait for a condition; raises with the end of the log when the process ends, or it takes too long."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            text = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise RuntimeError(f"{process.args!r} did not get ready:\n{text}")
        time.sleep(0.01)


def _die_with_parent() -> None:
    """Let the kernel end it if the benchmark is killed (Linux; prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _address(url: str) -> Address:
    parts = urlsplit(url if "//" in url else f"//{url}")
    return Address(parts.hostname or "", parts.port or 0)


def _family(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _status(pid: int, key: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0
