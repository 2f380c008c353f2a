"""A daemon as a process: its event loop, its memory, its end, and what it tells about itself.

Memory is given back: the C library keeps what was freed, and each of its arenas for itself. CPython takes
everything over 512 bytes from there, bodies and answers among it, so after a rush a daemon would stay as
large as it was at the most. On other C libraries than glibc nothing is done.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path

from cube import files, json_text
from cube.backoff import Backoff
from cube.errors import InvalidSettings
from cube.process.logs import log_loop_fault
from cube.process.threads import run_in_thread

WORK_SHARE = 0.9
"""The part of a stop's time in which what was accepted may still be finished; the rest is for closing."""

OVERDUE = 1
"""The exit status of a process that did not end in time by itself."""

ARENAS = 2
"""Arenas of the C library: by default eight a core, each of which keeps what its threads have freed."""

TRIM_SECONDS = 5.0
LONGEST_TRIM_SECONDS = 320.0
"""How long it is not looked again at most, where there was nothing to give back."""

SURPLUS_BYTES = 32 * 2**20
"""So much more than at the least is worth the work, which takes milliseconds."""

COLLECT_SHARE = 0.01
"""The event loop stands still while cycles are collected: for this share of the time at most."""

PROBE_SECONDS = 0.25
"""How often the event loop's lag is measured."""

_M_ARENA_MAX = -8
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_log = logging.getLogger(__name__)


def stop_signal(seconds: float) -> asyncio.Event:
    """Return an event that is set when the process is told to stop (SIGTERM or SIGINT).

    From then on it has so many seconds: whatever hangs then, the process ends.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def tell() -> None:
        if not told.is_set():
            told.set()
            _notify("STOPPING=1")
            _end_within(seconds)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    return told


def tell_ready(path: str, addresses: Mapping[str, str]) -> None:
    """Tell where the process listens in a file, if there is one, and systemd, if it asks, that it does.

    Raises `InvalidSettings` where the file cannot be written.
    """
    if path:
        try:
            files.write(Path(path), json_text.encode(addresses) + b"\n")
        except OSError as error:
            raise InvalidSettings(f"The ready file {path} cannot be written: {error.strerror}.") from None
    _notify("READY=1")


def run(main: Coroutine[object, object, None]) -> None:
    """Run a daemon to its end, on uvloop where there is one."""
    # A batch of events makes thousands of objects that need no collector; looking for cycles among them
    # at Python's usual pace takes a tenth of the time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    _raise_file_limit()
    bound_arenas()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.get_loop().set_exception_handler(log_loop_fault)
        runner.run(main)


def open_files() -> int:
    """Return how many files, connections among them, the process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class LoopLagProbe:
    """Tells `late` how many seconds too late the event loop came to what was due, until `stop`."""

    def __init__(self, late: Callable[[float], None]) -> None:
        self._late = late
        self._loop = asyncio.get_running_loop()
        self._schedule()

    def stop(self) -> None:
        self._timer.cancel()

    def _schedule(self) -> None:
        self._due = self._loop.time() + PROBE_SECONDS
        self._timer = self._loop.call_at(self._due, self._measure)

    def _measure(self) -> None:
        self._late(max(0.0, self._loop.time() - self._due))
        self._schedule()


def resident_bytes() -> int:
    """Return the process's resident memory; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


class MemoryTrimmer:
    """Gives memory back to the system now and then, from when it is made until `stop`.

    ``resident``, ``trim``: what tells the memory, and what gives some back, from a thread.
    """

    def __init__(
        self,
        resident: Callable[[], int] = resident_bytes,
        trim: Callable[[], object] | None = None,
        *,
        seconds: float = TRIM_SECONDS,
    ) -> None:
        self._resident = resident
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._trim = trim or (None if malloc_trim is None else partial(malloc_trim, 0))
        self._least = resident()
        self._collect_again = 0.0
        self._task = asyncio.create_task(self._run(seconds))

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self, seconds: float) -> None:
        backoff, in_vain = Backoff(seconds, longest=LONGEST_TRIM_SECONDS), 0
        while self._trim is not None:
            await asyncio.sleep(backoff.pause(in_vain))
            before = self._resident()
            if before <= self._least + SURPLUS_BYTES:
                in_vain = 0
                continue
            self._collect()
            await run_in_thread(self._trim)
            after = self._resident()
            self._least = min(self._least, after)
            _log.debug("of %d bytes of memory %d were given back", before, before - after)
            in_vain = 0 if before - after >= SURPLUS_BYTES // 4 else in_vain + 1

    def _collect(self) -> None:
        """Free what refers to itself, as a fault and its trace do; the longer it takes, the less often."""
        began = time.perf_counter()
        if began < self._collect_again:
            return
        gc.collect()
        ended = time.perf_counter()
        self._collect_again = ended + (ended - began) / COLLECT_SHARE


def _notify(state: str) -> None:
    """Tell systemd our state, as sd_notify(3) does, if it started us with ``Type=notify``."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        try:
            own.sendto(state.encode(), f"\0{path[1:]}" if path.startswith("@") else path)
        except OSError as error:
            _log.warning("systemd cannot be told %s: %s", state, error.strerror)


def _raise_file_limit() -> None:
    """Take what the system grants: the soft limit is often 1 024, for programs that use select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:
        _log.warning("only %d files can be open: %s", soft, error)


def _end_within(seconds: float) -> None:
    def end() -> None:
        _log.error("the process did not end within %g s of being told to; it is ended now", seconds)
        logging.shutdown()
        os._exit(OVERDUE)

    # A thread of its own: neither a store that hangs nor a thread that does not return can hold it up.
    overdue = threading.Timer(seconds, end)
    overdue.daemon = True
    overdue.start()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return None
    return uvloop.new_event_loop


def bound_arenas() -> None:
    """Have the C library use few arenas; called before there are threads."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, ARENAS)
