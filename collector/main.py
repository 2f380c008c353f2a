"""The process: settings, stores, collector, until it is told to stop; or several of them on one port.

Each of several is a process of its own, begun afresh, not forked: a *worker*, ``collector.main --worker
DIRECTORY NUMBER COUNT FLAGS…``. In DIRECTORY the workers tell each other their metrics. Port 0 is chosen by
the first and told to the others.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from collector.app import Collector
from collector.ingest.known_keys import KnownKeys, RememberedKeys
from collector.protocols.udp import udp_ports
from cube.columns.key_filter import refuse_bad_filters
from cube.daemon import begun, host, now
from cube.errors import InvalidSettings
from cube.process import activation
from cube.process.event_loop import run, stop_signal, tell_ready
from cube.process.listening import open_datagrams, open_listening, warn_of_others
from cube.process.metrics import MultiprocessRegistry, with_process_metrics
from cube.process.supervisor import FailedStart, Program, Supervisor, run_until
from cube.settings import CollectorSettings
from cube.store.ports import Store
from cube.web import Authenticator

GRACE_SECONDS = 1.0
"""How much longer than ``stop_seconds`` a worker may take before it is killed."""

_WORKER = "--worker"
_PORTS = {"http": "--port", "udp": "--udp-port", "statsd": "--dialects-statsd-port"}
_log = logging.getLogger("cube.collector")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a collector until SIGTERM or SIGINT; a start that fails ends with status 1 and a sentence."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == [_WORKER]:
        _, directory, number, count, *flags = arguments
        _run_worker(Path(directory), int(number), int(count), flags)
        return
    with begun(CollectorSettings, arguments) as settings:
        refuse_bad_filters(settings.keys)  # those who ask The Eye's way are held to them
        if settings.reuse_port:
            warn_of_others(settings.host, settings.port, *udp_ports(settings))
        if settings.processes > 1:
            if activation.handed_over():
                raise InvalidSettings(
                    f"Got processes = {settings.processes} and sockets of systemd; accepted with them is 1."
                )
            if not settings.reuse_port:
                _refuse_taken_ports(settings)
            try:
                run(_supervise(settings, arguments))
            except FailedStart as error:
                raise SystemExit(error.status) from None  # the child has told the reason
            return
        run(_serve(settings, CollectorRegistry()))


async def _serve(settings: CollectorSettings, registry: CollectorRegistry, turns: Path | None = None) -> None:
    """Serve until told to stop, with metrics in a registry; ``turns``: see `cube.daemon.host`."""

    async def start(stores: Mapping[str, Store], authenticator: Authenticator) -> Collector:
        return await Collector.start(stores, authenticator, settings, with_process_metrics(registry), now)

    known = KnownKeys.beside_spool(settings)
    if known is None:
        await host(settings, start, turns=turns)
    else:
        await host(settings, start, late=known.exist, remembered=lambda keys: RememberedKeys(keys, known))


def _refuse_taken_ports(settings: CollectorSettings) -> None:
    """Refuse to share the ports with others, as one collector would."""
    open_listening(settings.host, settings.port, reuse_port=False).close()
    for port in udp_ports(settings):
        open_datagrams(settings.host, port, reuse_port=False).close()


async def _supervise(settings: CollectorSettings, arguments: Sequence[str]) -> None:
    """Run the workers until SIGTERM or SIGINT; ``arguments`` are the flags of this process."""
    told = stop_signal(settings.stop_seconds + 2 * GRACE_SECONDS)
    await run_until(told.wait(), _work(settings, arguments), lambda: _log.info("stopping"))


async def _work(settings: CollectorSettings, arguments: Sequence[str]) -> None:
    """Start the workers, tell where they listen, and keep them running."""
    count = settings.processes
    async with Supervisor(_log.warning, settings.stop_seconds + GRACE_SECONDS) as supervisor:

        def worker(number: int) -> Program:
            place = (_WORKER, str(supervisor.directory), str(number), str(count))
            flags = (*place, *arguments, "--processes", "1", "--reuse-port", "true")
            return Program(f"collector {number}", "collector.main", flags, _PORTS)

        addresses = await supervisor.start(worker(0))
        await asyncio.gather(*(supervisor.start(worker(number).at(addresses)) for number in range(1, count)))
        tell_ready(settings.ready_file, addresses)
        _log.info("%d processes listen on %s", count, " and ".join(addresses.values()))
        await supervisor.keep()


def _run_worker(directory: Path, number: int, count: int, flags: Sequence[str]) -> None:
    """Run one of so many workers until SIGTERM."""

    async def serve(settings: CollectorSettings) -> None:
        registry = MultiprocessRegistry(directory, number, count)
        async with registry.told():
            await _serve(settings, registry, directory)

    os.environ.pop("NOTIFY_SOCKET", None)  # systemd hears of the parent
    with begun(CollectorSettings, flags) as settings:
        run(serve(settings))


if __name__ == "__main__":
    main()
