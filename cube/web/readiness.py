"""Whether a daemon can do its work: looked at for `/readyz`, and told in the log where that changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from cube.errors import CubeError

_log = logging.getLogger(__name__)


class Readiness:
    """Looks, one look at a time: anybody may ask, as often as they like, and a look may cost a write.

    ``look`` returns if the daemon can do its work, and raises `Unavailable` or `Overloaded` if not. Who
    asks while it looks gets what that look finds.
    """

    def __init__(self, look: Callable[[], Awaitable[None]]) -> None:
        self._look = look
        self._looking: asyncio.Task[CubeError | None] | None = None
        self._told = ""

    async def check(self) -> None:
        """Return if the daemon can do its work; else raise the error that says why not."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._find())
        error = await asyncio.shield(self._looking)
        if error is not None:
            raise error

    async def _find(self) -> CubeError | None:
        try:
            await self._look()
        except CubeError as error:
            self._tell(error.message)
            return error
        finally:
            self._looking = None
        self._tell("")
        return None

    def _tell(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            if reason:
                _log.warning("not ready: %s", reason)
            else:
                _log.info("ready again")
