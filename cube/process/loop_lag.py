"""The event loop's pulse: how late it comes to what was due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

BEAT_SECONDS = 0.25


class Pulse:
    """Tells `late` how many seconds each beat came too late, from when it is made until `stop`."""

    def __init__(self, late: Callable[[float], None]) -> None:
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._schedule()

    def stop(self) -> None:
        """Stop beating."""
        self._timer.cancel()

    def _schedule(self) -> None:
        self._due = self._loop.time() + BEAT_SECONDS
        self._timer = self._loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        self._late(max(0.0, self._loop.time() - self._due))
        self._schedule()
