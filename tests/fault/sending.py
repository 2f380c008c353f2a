"""Clients under faults: they send numbered events, note what was acknowledged, and count what is left."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any

from pymongo import MongoClient

from tests.daemon import Daemon

BATCH = 20
PATIENCE_SECONDS = 30


def put(daemon: Daemon, events: list[dict[str, Any]], seconds: float = 20) -> tuple[int, dict[str, Any]]:
    """Send events over HTTP; return the status and the answer. Raises `OSError` or `HTTPException`."""
    status, headers, answer = exchange(daemon, "POST", "/1.0/event", events, seconds)
    assert status != 503 or int(headers["Retry-After"]) >= 1
    return status, json.loads(answer)


def exchange(
    daemon: Daemon,
    method: str,
    path: str,
    body: Any = None,
    seconds: float = 20,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection(daemon.host, daemon.port, timeout=seconds)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def figure(daemon: Daemon, name: str) -> float:
    """Return one figure without labels."""
    for line in exchange(daemon, "GET", "/metrics")[2].decode().splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise AssertionError(f"there is no figure {name}")


class Sender:
    """Sends batches of events ``{type: "test", id: number}`` one after another until it is told to end.

    What is not acknowledged it sends again, with the same ids, to whatever daemon there is by then.
    ``acknowledged``: the ids with 200 or 202. ``slowest``: the seconds of the slowest answer.
    """

    def __init__(self, daemon: Daemon, first: int = 0) -> None:
        self.daemon = daemon
        self.acknowledged: set[int] = set()
        self.statuses: Counter[int] = Counter()
        self.slowest = 0.0
        self._first = first
        self._ending = threading.Event()
        self._given_up = float("inf")
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send while the block runs, and `end`."""
        self._thread.start()
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Send nothing new; return when the last batch is acknowledged (or nobody answers)."""
        self._given_up = time.monotonic() + PATIENCE_SECONDS
        self._ending.set()
        self._thread.join()

    def until(self, count: int) -> None:
        """Return when so many more events are acknowledged than now."""
        goal = len(self.acknowledged) + count
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.acknowledged) < goal:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {goal} events"
            time.sleep(0.005)

    def _run(self) -> None:
        number = self._first
        while not self._ending.is_set():
            ids = list(range(number, number + BATCH))
            events = [{"type": "test", "time": 1_311_033_600_000 + id, "id": id} for id in ids]
            while not self._send(events):
                if time.monotonic() > self._given_up:
                    return
                time.sleep(0.02)
            self.acknowledged.update(ids)
            number += BATCH

    def _send(self, events: list[dict[str, Any]]) -> bool:
        began = time.monotonic()
        try:
            status, _ = put(self.daemon, events)
        except (OSError, HTTPException):
            return False
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[status] += 1
        return status in (200, 202)


def stored(url: str, database: str, type: str = "test") -> dict[Any, Any]:
    """Return the data of all events of a type by id, read past everything of ours."""
    with MongoClient[dict[str, Any]](url) as client:
        return {each["_id"]: each.get("d") for each in client[database][f"{type}_events"].find()}
