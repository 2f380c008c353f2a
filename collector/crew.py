"""N collectors on one port: a parent that starts them, keeps them running, and stops them.

Each is a process of its own (`collector.worker`), begun afresh, not forked. Port 0 is chosen by the
first and told to the others.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from collector.protocols.udp import udp_ports
from cube.process.supervisor import Child, Program
from cube.settings import CollectorSettings
from cube.web import open_datagrams, open_listening, stop_signal, tell_ready, warn_of_others

GRACE_SECONDS = 1.0
"""How much longer than ``stop_seconds`` a child may take before it is killed."""

_PORTS = {"http": "--port", "udp": "--udp-port", "statsd": "--dialects-statsd-port"}
_log = logging.getLogger("cube.collector")


async def lead(settings: CollectorSettings, arguments: Sequence[str]) -> None:
    """Run so many collectors until SIGTERM or SIGINT; ``arguments`` are the flags of this process.

    Raises `FailedStart` where one refuses to start, and `InvalidSettings`.
    """
    _look_at_ports(settings)
    told = stop_signal(settings.stop_seconds + 2 * GRACE_SECONDS)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cube-")))
        crew = _Crew(settings, arguments, directory)
        stack.push_async_callback(crew.stop)
        work = asyncio.create_task(crew.run())
        stop = asyncio.create_task(told.wait())
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        _log.info("stopping")
        for task in (work, stop):
            task.cancel()
        await asyncio.wait({work, stop})
        if not work.cancelled():
            work.result()


class _Crew:
    def __init__(self, settings: CollectorSettings, arguments: Sequence[str], directory: Path) -> None:
        self._settings = settings
        self._arguments = (*arguments, "--processes", "1", "--reuse-port", "true")
        self._directory = directory
        self._children: list[Child] = []

    async def run(self) -> None:
        """Start the children, tell where they listen, and keep them."""
        addresses = await self._child(0, {}).start()
        others = [self._child(number, addresses) for number in range(1, self._settings.processes)]
        await asyncio.gather(*(child.start() for child in others))
        tell_ready(self._settings.ready_file, addresses)
        _log.info("%d processes listen on %s", len(self._children), " and ".join(addresses.values()))
        await asyncio.gather(*(child.keep() for child in self._children))

    async def stop(self) -> None:
        """Stop the children, all at once."""
        await asyncio.gather(*(child.stop() for child in self._children))

    def _child(self, number: int, addresses: dict[str, str]) -> Child:
        place = (str(self._directory), str(number), str(self._settings.processes))
        name = f"collector {number}"
        program = Program(name, "collector.worker", (*place, *self._arguments), _PORTS).at(addresses)
        kill_seconds = self._settings.stop_seconds + GRACE_SECONDS
        child = Child(program, self._directory, say=_log.warning, kill_seconds=kill_seconds)
        self._children.append(child)
        return child


def _look_at_ports(settings: CollectorSettings) -> None:
    """Warn of others on the ports, or refuse to share with them, as one collector would."""
    if settings.reuse_port:
        warn_of_others(settings.host, settings.port, *udp_ports(settings))
        return
    open_listening(settings.host, settings.port, reuse_port=False).close()
    for port in udp_ports(settings):
        open_datagrams(settings.host, port, reuse_port=False).close()
