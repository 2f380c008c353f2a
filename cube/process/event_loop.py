"""A daemon as a process: its event loop, its end, and what it tells about itself."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from cube import files, json_text
from cube.errors import InvalidSettings
from cube.process.logs import log_loop_fault
from cube.process.memory import bound_arenas

WORK_SHARE = 0.9
"""The part of a stop's time in which what was accepted may still be finished; the rest is for closing."""

OVERDUE = 1
"""The exit status of a process that did not end in time by itself."""

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
    # A thread of its own: neither a store that hangs nor a thread that does not return can hold it up.
    overdue = threading.Timer(seconds, _end_now, (seconds,))
    overdue.daemon = True
    overdue.start()


def _end_now(seconds: float) -> None:
    _log.error("the process did not end within %g s of being told to; it is ended now", seconds)
    logging.shutdown()
    os._exit(OVERDUE)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        return None
    return uvloop.new_event_loop
