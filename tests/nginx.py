"""Debian's nginx in front of daemons: on a free port, with its files in a directory of the test."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.tools import tool

START_SECONDS = 20.0
_ATTEMPTS = 5  # a port that was free a moment ago may be taken
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx; ``port``: what its ``listen`` got, on 127.0.0.1."""

    process: subprocess.Popen[bytes]
    port: int
    directory: Path

    @property
    def http(self) -> str:
        """The URL of its port, in plain HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has logged: its errors, then its requests."""
        return "".join((self.directory / name).read_text() for name in ("error.log", "access.log"))


@contextmanager
def nginx(directory: Path, http: Callable[[int], str]) -> Iterator[Nginx]:
    """Run nginx with what `http` makes, for a free port, of the inside of its ``http`` block.

    ``directory`` takes its configuration, logs and temporary files. The test is skipped where there is
    no nginx, and fails with its log where it does not start.
    """
    program = tool("nginx")
    directory.mkdir(parents=True, exist_ok=True)
    for attempt in range(_ATTEMPTS):
        port = _free_port()
        process = _start(program, directory, http(port))
        if _listens(process, port):
            break
        _stop(process)
        log = (directory / "error.log").read_text()
        if "Address already in use" not in log or attempt == _ATTEMPTS - 1:
            raise AssertionError(f"nginx did not start:\n{log}")
    try:
        yield Nginx(process, port, directory)
    finally:
        _stop(process)


def _start(program: str, directory: Path, http: str) -> subprocess.Popen[bytes]:
    temporary = "\n".join(f"    {name}_temp_path {directory}/{name};" for name in _TEMPORARY)
    config, errors = directory / "nginx.conf", directory / "error.log"
    config.write_text(
        f"""\
daemon off;
master_process off;  # one process, with the rights of the test
pid {directory}/nginx.pid;
error_log {errors};
events {{ worker_connections 512; }}
http {{
    access_log {directory}/access.log;
{temporary}
{http}
}}
"""
    )
    errors.write_bytes(b"")
    with errors.open("ab") as log:
        return subprocess.Popen(
            [program, "-e", str(errors), "-p", str(directory), "-c", str(config)],
            env={"PATH": os.environ.get("PATH", "")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process.poll() is None
        time.sleep(0.02)
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    return port


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
