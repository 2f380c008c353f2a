"""The native load generator: wrk, as Debian has it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.benchmark.peers import environment
from tests.benchmark.processes import Address

_SCRIPT = Path(__file__).with_name("load.lua")

LIVE_REQUESTS = 16
"""Of a ms of live events."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it; latencies in ms."""

    requests: int
    seconds: float
    p50: float
    p90: float
    p99: float

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return self.requests / self.seconds


def offer(
    address: Address,
    path: str,
    *,
    seconds: float,
    connections: int = 1,
    bodies: Path | None = None,
    count: int = 0,
    live_from: int | None = None,
) -> Load:
    """Send requests, each connection the next one when the last is answered: GET, or POST of bodies in turn.

    `bodies`: a directory with the files 0 to `count` - 1. `live_from`: a time in ms, which takes the place
    of that of each body and has as many digits; `LIVE_REQUESTS` later it is a ms later. Raises when anything
    was answered other than 200. Where nothing at all was answered in time it is done again, for longer and
    longer.
    """
    arguments = ["--", str(bodies), str(count)] if bodies is not None else []
    if live_from is not None:
        arguments += [str(live_from), str(LIVE_REQUESTS)]
    for times in (1, 2, 4, 8):
        load = _run(f"{address}{path}", max(1, round(seconds)) * times, connections, arguments)
        if load.requests:
            return load
    raise RuntimeError(f"{path} answered nothing in {seconds * times} seconds.")


def write_bodies(folder: Path, bodies: list[bytes]) -> Path:
    """Write request bodies where `offer` reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, body in enumerate(bodies):
        (folder / str(number)).write_bytes(body)
    return folder


def _run(url: str, seconds: int, connections: int, arguments: list[str]) -> Load:
    command = [
        str(environment.program("wrk", "wrk")),
        "--threads",
        "1",
        "--connections",
        str(connections),
        "--timeout",
        "30s",
    ]
    command += ["--duration", f"{seconds}s", "--script", str(_SCRIPT), url, *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(output.strip().splitlines()[-1])
    if found.pop("failures"):
        raise RuntimeError(f"{url} failed under load:\n{output}")
    return Load(**found)
