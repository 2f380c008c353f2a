"""What a daemon's process tells of itself, now and then, in the stores of its environments.

Whoever asks an evaluator how things are reads there what all processes told: none has to reach another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

from cube import json_text
from cube.errors import CubeError
from cube.process.event_loop import resident_bytes
from cube.store.ports import Store

FORMAT: Final = 1
"""Of the reports; a reader leaves out those of a later Cube."""

PUT_SECONDS: Final = 5.0
"""How long a store may take to keep a report."""

GOODBYE_SECONDS: Final = 0.5
"""How long a process that ends waits for its reports to be removed."""

VERSIONS_SECONDS: Final = 600.0
"""How often a store is asked for its versions: its server may be upgraded meanwhile."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class StatusReporter:
    """Tells of a process ``kind`` that listens at ``addresses``, every ``seconds``.

    ``stores``: by the names of their environments. ``told``: what else there is to tell of an environment,
    as JSON; called in the event loop.
    """

    kind: str
    stores: Mapping[str, Store]
    addresses: Mapping[str, str]
    told: Callable[[str], Mapping[str, Any]]
    seconds: float
    process: str = field(default_factory=lambda: secrets.token_hex(8))
    _started: int = field(default_factory=lambda: _now())
    _cpu: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))
    _versions: dict[str, tuple[float, Mapping[str, str]]] = field(default_factory=dict)
    _failing: set[str] = field(default_factory=set)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell of the process while the block runs, until `remove`; with 0 seconds do nothing."""
        if self.seconds:
            self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            if self._task is not None:
                self._task.cancel()

    async def remove(self, seconds: float = GOODBYE_SECONDS) -> None:
        """Tell nothing more, and remove what was told, if that takes no longer than so many seconds."""
        self._stopping.set()
        if self._task is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, GOODBYE_SECONDS)):
                await asyncio.wait({self._task})
                await asyncio.gather(*map(self._remove, self.stores.values()))

    async def tell(self) -> None:
        """Put a report into each store; one that does not answer is left out until the next time."""
        process = self._of_process()
        await asyncio.gather(*(self._tell(name, store, process) for name, store in self.stores.items()))

    async def _run(self) -> None:
        while not self._stopping.is_set():
            await self.tell()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.seconds):
                    await self._stopping.wait()

    async def _tell(self, environment: str, store: Store, process: Mapping[str, Any]) -> None:
        try:
            async with asyncio.timeout(PUT_SECONDS):
                versions = {**process["versions"], **await self._versions_of(environment, store)}
                report = {**process, **self.told(environment), "versions": versions}
                await store.reports.put(self.process, json_text.encode(report).decode())
            self._failing.discard(environment)
        except (CubeError, TimeoutError) as error:
            self._note(environment, error)
        except Exception as error:  # a view of the daemon is nothing to end it for
            self._note(environment, error, exc_info=True)

    async def _versions_of(self, environment: str, store: Store) -> Mapping[str, str]:
        asked, versions = self._versions.get(environment, (0.0, {}))
        if not versions or time.monotonic() - asked > VERSIONS_SECONDS:
            versions = await store.reports.versions()
            self._versions[environment] = (time.monotonic(), versions)
        return versions

    async def _remove(self, store: Store) -> None:
        try:
            await store.reports.remove(self.process)
        except Exception as error:  # it is shown as not living until it is forgotten
            _log.debug("the status of this process stays in the store: %s", error)

    def _note(self, environment: str, error: Exception, *, exc_info: bool = False) -> None:
        """Say once that a store does not take reports, and again when it has taken one meanwhile."""
        if environment not in self._failing:
            self._failing.add(environment)
            what = str(error) or f"the store did not answer within {PUT_SECONDS:g} s"
            _log.warning(
                "cannot tell the status of this process to the store of %s: %s",
                environment, what, exc_info=exc_info,
            )  # fmt: skip

    def _of_process(self) -> dict[str, Any]:
        clock, used = time.monotonic(), time.process_time()
        (before, used_before), self._cpu = self._cpu, (clock, used)
        return {
            "format": FORMAT,
            "kind": self.kind,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": self._started,
            "now": _now(),
            "period_seconds": self.seconds,
            "addresses": dict(self.addresses),
            "memory_bytes": resident_bytes(),
            "cpu": round((used - used_before) / max(clock - before, 0.001), 3),
            "versions": {"cube": version("cube-events"), "python": platform.python_version()},
        }


def _now() -> int:
    return time.time_ns() // 1_000_000
