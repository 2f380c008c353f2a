"""What others make of the same questions; each peer's answers are compared with ours before it is timed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tests.benchmark.peers.ports import Peer
from tests.benchmark.peers.series import influxdb, victoria_metrics
from tests.benchmark.peers.sql import in_process, postgresql

PEERS: dict[str, Callable[[str, Path], AbstractContextManager[Peer]]] = {
    "duckdb": in_process,
    "duckdb-json": in_process,
    "chdb": in_process,
    "postgresql": postgresql,
    "influxdb": influxdb,
    "victoria-metrics": victoria_metrics,
}
"""How each is run: by its name, in a folder for its files."""

_DEBIAN = ("influxdb", "victoria-metrics")


def version(peer: Peer) -> str:
    """Return what it says its version is; of a server from Debian, what the package says."""
    if peer.name not in _DEBIAN:
        return peer.version
    command = ["dpkg-query", "--show", "--showformat", "${Version}", peer.name]
    found = subprocess.run(command, capture_output=True, text=True)
    return found.stdout.strip() or "of unknown version"
