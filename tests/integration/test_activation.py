"""Sockets that are handed over as systemd does it: they outlive the daemon, and lose nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.daemon import CHECKOUT

# What systemd does between fork and exec: the sockets become 3, 4, …, and are told of.
_HAND_OVER = """
import fcntl, os, sys
count = int(os.environ["LISTEN_FDS"])
high = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[1 : 1 + count]]
for place, number in enumerate(high, 3):
    os.dup2(number, place)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[1 + count :]])
"""


@contextmanager
def handed(sockets: Sequence[socket.socket], *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a collector that is handed these sockets, until the block ends."""
    numbers = [own.fileno() for own in sockets]
    process = subprocess.Popen(
        [sys.executable, "-c", _HAND_OVER, *map(str, numbers), "-m", "collector.main", *flags],
        cwd=CHECKOUT,
        env={**os.environ, "LISTEN_FDS": str(len(sockets))},
        pass_fds=numbers,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def opened(kind: socket.SocketKind) -> socket.socket:
    """Return a socket on a free port, as systemd opens it."""
    made = socket.socket(socket.AF_INET, kind)
    made.bind(("127.0.0.1", 0))
    if kind == socket.SOCK_STREAM:
        made.listen(100)
    return made


def flags(directory: Path, http: socket.socket, datagrams: socket.socket) -> tuple[str, ...]:
    ports = ("--port", str(http.getsockname()[1]), "--udp-port", str(datagrams.getsockname()[1]))
    return ("--store", f"sqlite:{directory}", *ports)


def post(port: int, id: str) -> int:
    event = {"type": "a", "time": "2020-01-01T12:00Z", "id": id}
    return requests.post(f"http://127.0.0.1:{port}/1.0/event", json=event, timeout=60).status_code


def wait_for_datagrams(port: int, count: int) -> None:
    deadline = time.monotonic() + 60
    while datagrams_of(port) < count:
        assert time.monotonic() < deadline, "the datagram did not arrive"
        time.sleep(0.02)


def datagrams_of(port: int) -> float:
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    (line,) = [line for line in text.splitlines() if line.startswith("cube_udp_datagrams_total")]
    return float(line.rpartition(" ")[2])


def test_what_comes_while_a_daemon_is_away_waits_for_the_next(tmp_path: Path) -> None:
    with opened(socket.SOCK_STREAM) as http, opened(socket.SOCK_DGRAM) as datagrams:
        port = http.getsockname()[1]
        given = flags(tmp_path, http, datagrams)
        with handed((http, datagrams), *given):
            assert post(port, "first") == 200
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b'{"type": "b"}', datagrams.getsockname())
        with socket.create_connection(("127.0.0.1", port)) as early:  # nobody is there to accept it
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with handed((http, datagrams), *given):
                early.settimeout(60)
                assert early.recv(12) == b"HTTP/1.1 200"
                wait_for_datagrams(port, 1)


@pytest.mark.parametrize(
    ("extra", "sentence"),
    [
        (("--port", "0"), "from systemd; accepted are the hosts and ports of the settings."),
        (("--processes", "2"), "Got processes = 2 and sockets of systemd; accepted with them is 1."),
    ],
)
def test_sockets_that_would_serve_nobody_are_refused(
    tmp_path: Path, extra: tuple[str, str], sentence: str
) -> None:
    with opened(socket.SOCK_STREAM) as http, opened(socket.SOCK_DGRAM) as datagrams:
        given = (*flags(tmp_path, http, datagrams), *extra)
        with handed((http, datagrams), *given) as process:
            _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert sentence in error.decode().splitlines()[-1]
