"""The daemons as the tests and benchmarks run them: real processes on free ports of the loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

CHECKOUT = Path(__file__).resolve().parent.parent
START_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running collector or evaluator."""

    process: subprocess.Popen[bytes]
    http: str
    udp: str | None
    statsd: str | None = None

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return urlsplit(self.http).hostname or ""

    @property
    def port(self) -> int:
        """Its HTTP port."""
        return urlsplit(self.http).port or 0

    def resident_bytes(self) -> int:
        """Return its resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def daemon(name: str, store: str, directory: Path, *flags: str, database: str = "test") -> Iterator[Daemon]:
    """Run ``collector`` or ``evaluator`` on a store URL; `directory` takes its ready file and its log.

    An evaluator does no idle work, unless the flags say so: what it reads is what it was asked for.
    """
    ready = directory / f"{name}-{time.monotonic_ns()}.json"
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"{name}.main", "--store", store, "--database", database]
            + (["--udp-port", "0"] if name == "collector" else ["--blocks-disk-bytes", "0"])
            + ["--port", "0", "--ready-file", str(ready), *flags],
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
        )
    try:
        addresses = _wait_until_ready(process, ready, directory / f"{name}.log")
        yield Daemon(process, addresses["http"], addresses.get("udp"), addresses.get("statsd"))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path, log: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"{process.args} did not start:\n{log.read_text()}")
        time.sleep(0.01)
    addresses: dict[str, str] = json.loads(ready.read_text())
    return addresses
