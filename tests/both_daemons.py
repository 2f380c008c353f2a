"""A collector and an evaluator, as processes on one store: what a client sends, asked for as a metric."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

from cube.client import Emitter
from cube.client.emitter import RawEvent
from tests.daemon import Daemon, daemon

WAIT_SECONDS = 30.0
DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Both:
    """Both daemons."""

    collector: Daemon
    evaluator: Daemon

    def ask(self, path: str, parameters: Mapping[str, Any]) -> Any:
        """Ask the evaluator, over HTTP."""
        with urlopen(f"{self.evaluator.http}{path}?{urlencode(parameters)}", timeout=WAIT_SECONDS) as answer:
            return json.load(answer)

    def metric(self, expression: str, *, start: Any, stop: Any, step: int = DAY) -> list[Any]:
        """Return the values of a metric, one for each bucket."""
        parameters = {"expression": expression, "start": start, "stop": stop, "step": step}
        return [row.get("value") for row in self.ask("/1.0/metric", parameters)]

    def events(self, expression: str) -> list[Any]:
        """Return all events that an expression selects, ascending."""
        found: list[Any] = self.ask("/1.0/event", {"expression": expression, "stop": "9999-01-01"})
        return found

    def types(self) -> list[str]:
        """Return the names of all types."""
        found: list[str] = self.ask("/1.0/types", {})
        return found

    async def until(self, expression: str, least: float, *, start: Any, stop: Any) -> float:
        """Wait until a metric, summed over its buckets of a day, is at least so much; return it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            values = await asyncio.to_thread(self.metric, expression, start=start, stop=stop)
            value: float = sum(one for one in values if one is not None)
            if value >= least:
                return value
            assert time.monotonic() < deadline, f"{expression} is {value}, not {least}"
            await asyncio.sleep(0.05)

    async def until_now(self, expression: str, least: float) -> float:
        """Wait for a metric of the days around now; see `until`."""
        now = int(time.time() * 1000)
        return await self.until(expression, least, start=now - DAY, stop=now + DAY)


@contextmanager
def both_daemons(directory: Path, *collector_flags: str) -> Iterator[Both]:
    """Run a collector and an evaluator on a SQLite store in `directory`."""
    store = f"sqlite:{directory / 'data'}"
    with (
        daemon("collector", store, directory, *collector_flags) as collector,
        daemon("evaluator", store, directory) as evaluator,
    ):
        yield Both(collector, evaluator)


@contextmanager
def both_with(events: Iterable[RawEvent], directory: Path) -> Iterator[Both]:
    """Run both on a store that has some events."""
    with both_daemons(directory) as both:
        with Emitter(both.collector.http) as emitter:
            emitter.send(events)
        yield both
