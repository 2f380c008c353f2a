"""Giving memory back: the C library keeps what was freed, and each of its arenas for itself.

CPython takes everything over 512 bytes from there, bodies and answers among it. After a rush a daemon would
stay as large as it was at the most; on other C libraries than glibc nothing is done.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from cube.process.threads import run_in_thread

ARENAS = 2
"""Arenas of the C library: by default eight a core, each of which keeps what its threads have freed."""

LOOK_SECONDS = 5.0
MOST_SECONDS = 320.0
"""How long it is not looked again at most, where there was nothing to give back."""

SURPLUS_BYTES = 32 * 2**20
"""So much more than at the least is worth the work, which takes milliseconds."""

COLLECT_SHARE = 0.01
"""The event loop stands still while cycles are collected: for this share of the time at most."""

_M_ARENA_MAX = -8
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_log = logging.getLogger(__name__)


def bound_arenas() -> None:
    """Have the C library use few arenas; to be called before there are threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)


def resident_bytes() -> int:
    """Return the process's resident memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


class Trimmer:
    """Gives memory back to the system now and then, from when it is made until `stop`.

    ``resident``, ``trim``: what tells the memory, and what gives some back, from a thread.
    """

    def __init__(
        self,
        resident: Callable[[], int] = resident_bytes,
        trim: Callable[[], object] | None = None,
        *,
        seconds: float = LOOK_SECONDS,
    ) -> None:
        self._resident = resident
        self._trim = _malloc_trim() if trim is None else trim
        self._least = resident()
        self._collect_again = 0.0
        self._task = asyncio.create_task(self._run(seconds))

    def stop(self) -> None:
        """Stop looking."""
        self._task.cancel()

    async def _run(self, seconds: float) -> None:
        wait = seconds
        while self._trim is not None:
            await asyncio.sleep(wait)
            before = self._resident()
            if before <= self._least + SURPLUS_BYTES:
                wait = seconds
                continue
            self._collect()
            await run_in_thread(self._trim)
            after = self._resident()
            self._least = min(self._least, after)
            _log.debug("of %d bytes of memory %d were given back", before, before - after)
            wait = seconds if before - after >= SURPLUS_BYTES // 4 else min(2 * wait, MOST_SECONDS)

    def _collect(self) -> None:
        """Free what refers to itself, as a fault and its trace do; the longer it takes, the less often."""
        began = time.perf_counter()
        if began < self._collect_again:
            return
        gc.collect()
        ended = time.perf_counter()
        self._collect_again = ended + (ended - began) / COLLECT_SHARE


def _malloc_trim() -> Callable[[], object] | None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if trim is None else lambda: trim(0)
