"""The evaluator's own events, of requests and computations, on their way into the store that it reads."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from cube.errors import CubeError
from cube.model.event import Event
from cube.model.made_id import make_id
from cube.store.ports import EventStore
from cube.web.service import REQUEST
from evaluator.context import Clock

COMPUTE: Final = "cube_compute"

KEPT = 1_000
"""So many events wait for the store at most; they are a by-product, and the oldest are left out."""

_SECONDS = 1.0
_log = logging.getLogger(__name__)


class SelfEvents:
    """Stores events of requests, and one for each computation that is not about either."""

    def __init__(self, events: EventStore, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._waiting: dict[str, deque[Event]] = {type: deque(maxlen=KEPT) for type in (REQUEST, COMPUTE)}
        self._task = asyncio.create_task(self._run())

    def add(self, event: Event) -> None:
        self._waiting[event.type].append(event)

    def computed(self, type: str, expression: str, milliseconds: float) -> None:
        """Note a computation: ``{expression, ms}``; those of our own events would never end."""
        if type not in self._waiting:
            data = {"expression": expression, "ms": round(milliseconds, 3)}
            self.add(Event(COMPUTE, self._clock(), make_id(), data))

    async def close(self) -> None:
        """Store what waits, and end."""
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._save()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_SECONDS)
            await self._save()

    async def _save(self) -> None:
        for type, waiting in self._waiting.items():
            events = list(waiting)
            waiting.clear()
            if not events:
                continue
            try:
                await self._events.save(type, events)
            except CubeError as error:
                _log.warning("%d %s events could not be stored: %s", len(events), type, error.message)
