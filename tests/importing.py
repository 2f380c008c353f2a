"""What tests of imports share: a collector in memory, and the command against it."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cube.cli.main import main
from cube.errors import CubeError, InvalidRequest
from cube.importing import sender
from cube.json_text import decode_leniently
from cube.model.event import Event


class ImportCollector:
    """Stores what it is sent as a collector does: all of a request or nothing, an id once.

    ``fails_after``: it answers so many requests, then raises ``error``.
    """

    def __init__(self) -> None:
        self.stored: dict[Any, Event] = {}
        self.requests = 0
        self.received = 0
        self.fails_after: int | None = None
        self.error: BaseException = KeyboardInterrupt()
        self._lock = threading.Lock()

    def post(self, texts: Sequence[bytes]) -> None:
        """Store events."""
        with self._lock:
            self._post(texts)

    def _post(self, texts: Sequence[bytes]) -> None:
        if self.fails_after is not None and self.requests >= self.fails_after:
            raise self.error
        self.requests += 1
        events: list[Event] = []
        for index, raw in enumerate(decode_leniently(b"[" + b",".join(texts) + b"]")):
            try:
                events.append(Event.parse(raw, now=0))
            except CubeError as error:
                raise InvalidRequest(error.message, index=index) from None
        self.received += len(events)
        self.stored.update({(event.type, event.id): event for event in events})

    def close(self) -> None:
        """There is no connection."""

    def data(self) -> list[Any]:
        """Return the data of all events, in the order of their time."""
        return [event.data for event in sorted(self.stored.values(), key=lambda event: event.time)]

    def times(self) -> list[int]:
        """Return the times of all events, in order."""
        return sorted(event.time for event in self.stored.values())


class Imports:
    """Runs ``cube import`` in a directory, against an `ImportCollector`.

    ``batch``: so many events are sent at a time, one request after the other, so that it is known which come
    to be stored; None is as it is.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, batch: int | None = None) -> None:
        if batch is not None:
            monkeypatch.setattr(sender, "BATCH_EVENTS", batch)
            monkeypatch.setattr(sender, "IN_FLIGHT", 1)
        self.folder = folder
        self.collector = ImportCollector()
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sender, "CollectorConnection", lambda *_, **__: self.collector)

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self, *words: str, stdin: bytes | None = None) -> Result:
        """Run the command."""
        return CliRunner().invoke(main, ["import", *words], input=stdin)

    def imported(self, name: str, content: str | bytes, *words: str) -> list[Any]:
        """Import a file of some content all of which fits, and return the data of its events."""
        self.write(name, content)
        result = self.run(name, *words)
        assert result.exit_code == 0, result.output
        return self.collector.data()

    def rejects(self, name: str) -> list[Any]:
        """Return the lines of a file of rejected records."""
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]
