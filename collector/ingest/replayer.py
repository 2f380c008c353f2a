"""The drain: moves what is in the spool to the store, once that answers, beside new events."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from collector.ingest.spooling import Relay
from cube.errors import CubeError, Unavailable
from cube.spool import Delivery, Spool
from cube.store.ports import Store

PING_SECONDS = 2.0
"""How long the store has to answer before a batch is tried on it."""

LOOK_SECONDS = 10.0

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 2.0

_log = logging.getLogger(__name__)


async def ping(store: Store) -> None:
    """Return if a store answers within `PING_SECONDS`; raise `Unavailable` if it does not."""
    try:
        async with asyncio.timeout(PING_SECONDS):
            await store.ping()
    except TimeoutError:
        raise Unavailable(f"The store did not answer within {PING_SECONDS:g} s.") from None


class Drain:
    """Empties one spool into its store; a task of its own from the moment it is made.

    ``look_seconds``: how often, with nothing to do, it looks for what processes left that have ended.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        relay: Relay,
        delivery: Delivery,
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._look_seconds = look_seconds
        self._store = store
        self._spool = spool
        self._relay = relay
        self._delivery = delivery
        self._woken = asyncio.Event()
        self._woken.set()
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        relay.follow(self)

    def wake(self) -> None:
        """Look whether there is work."""
        self._woken.set()

    async def stop(self) -> None:
        """Finish the batch under way and do no more; while the store is away, end at once."""
        self._stopping.set()
        self._woken.set()
        if self._relay.away:
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            if not (self._spool.events or self._relay.away):
                await self._idle()
            elif await self._step():
                pause = FIRST_PAUSE_SECONDS
            else:
                await self._rest(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _idle(self) -> None:
        self._woken.clear()
        try:
            async with asyncio.timeout(self._look_seconds):
                await self._woken.wait()
        except TimeoutError:
            try:
                await self._spool.take_over()
            except CubeError as error:
                _log.warning("cannot look for spool files now: %s", error.message)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _step(self) -> bool:
        """Drain a batch; return whether the next one may follow at once."""
        try:
            await self._relay.settled()
            if self._relay.away:
                await ping(self._store)
            moved = await self._delivery.batch()
        except Unavailable as error:
            self._relay.lost(error.message)
            return False
        except CubeError as error:  # of the spool's own disk
            _log.warning("cannot drain the spool now: %s", error.message)
            return False
        except Exception:
            _log.exception("draining the spool met a fault")
            return False
        self._relay.back()
        return moved or not self._spool.events
