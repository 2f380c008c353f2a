"""``bin/cube serve`` as the tests run it: from another directory, on free ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30.0
ANY_PORTS = ("--collector-port", "0", "--udp-port", "0", "--evaluator-port", "0")


@dataclass(frozen=True, slots=True)
class Serving:
    """A running ``cube serve``: its addresses, and where what it says goes."""

    process: subprocess.Popen[bytes]
    collector: str
    evaluator: str
    udp: str
    store: str
    log: Path

    def children(self) -> dict[str, int]:
        """Return the process ids of the running daemons by name, from what the system says."""
        found = {}
        for directory in Path("/proc").glob("[0-9]*"):
            pid = int(directory.name)
            for name in ("collector", "evaluator"):
                if _parent(pid) == self.process.pid and f"{name}.main" in _command(pid):
                    found[name] = pid
        return found


@contextmanager
def serving(directory: Path, *flags: str, environ: dict[str, str] | None = None) -> Iterator[Serving]:
    """Run ``cube serve`` in `directory` until the block ends; SQLite unless the flags say another store."""
    ready, log = directory / "ready.json", directory / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [ROOT / "bin" / "cube", "serve", *ANY_PORTS, "--ready-file", str(ready), *flags],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
    try:
        wait_until(lambda: ready.exists() or process.poll() is not None, "cube serve to be ready")
        assert process.poll() is None, log.read_text()
        yield Serving(process, log=log, **json.loads(ready.read_text()))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def wait_until(claim: Callable[[], bool], what: str) -> None:
    """Return as soon as the claim holds; fail after some patience."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:g} s for {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for does not."""
    return _status(pid)[:1] not in ([], ["Z"])


def cube(*arguments: str, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``bin/cube`` from a directory, with `text` on its standard input."""
    return subprocess.run(
        [ROOT / "bin" / "cube", *arguments],
        cwd=cwd,
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def _parent(pid: int) -> int:
    return int((_status(pid) or ["", "0"])[1])


def _status(pid: int) -> list[str]:
    """Return the state, the parent and more of a process; [] where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
