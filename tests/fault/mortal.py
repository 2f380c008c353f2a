"""Daemons that are killed and started again where they were."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import urlopen

from tests.daemon import CHECKOUT, START_SECONDS


class Mortal:
    """A collector or an evaluator on one port, whatever happens to it; a context manager that ends it."""

    def __init__(self, name: str, store: str, directory: Path, *flags: str, database: str = "test") -> None:
        self.name = name
        self.port = free_port()
        self.log = directory / f"{name}.log"
        self._command = [sys.executable, "-m", f"{name}.main", "--store", store, "--database", database]
        self._command += ["--port", str(self.port), *flags]
        if name == "collector":
            self._command += ["--udp-port", "0"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http(self) -> str:
        """Where it listens while it lives."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        self.until_healthy()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(signal.SIGTERM)

    def start(self) -> None:
        """Start it, or start it again; it may take a moment until it listens."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, cwd=CHECKOUT, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def is_alive(self) -> bool:
        """Tell whether it runs: it does not where it was killed, or could not start."""
        return self._process is not None and self._process.poll() is None

    def until_healthy(self) -> None:
        """Return when it listens; start it again where it gave up because its store was away."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urlopen(f"{self.http}/healthz", timeout=5):
                    return
            except OSError:
                if not self.is_alive():
                    self.start()
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                time.sleep(0.02)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(START_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None


def free_port() -> int:
    """Return a port of the loopback that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
