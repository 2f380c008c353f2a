"""The process: settings, stores, collector, until it is told to stop."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry

from collector.app import Collector
from collector.crew import lead
from collector.ingest.known_keys import KnownKeys, RememberedKeys
from collector.protocols.udp import udp_ports
from cube.columns.key_filter import refuse_bad_filters
from cube.daemon import begun, host, now
from cube.process.supervisor import FailedStart
from cube.settings import CollectorSettings
from cube.store.ports import Store
from cube.web import Gate, run, warn_of_others, with_process_figures


def main(argv: Sequence[str] | None = None) -> None:
    """Run a collector until SIGTERM or SIGINT; a start that fails ends with status 1 and a sentence."""
    arguments = sys.argv[1:] if argv is None else argv
    with begun(CollectorSettings, arguments) as settings:
        refuse_bad_filters(settings.keys)  # those who ask The Eye's way are held to them
        if settings.processes > 1:
            _lead(settings, arguments)
            return
        if settings.reuse_port:
            warn_of_others(settings.host, settings.port, *udp_ports(settings))
        run(serve(settings, CollectorRegistry()))


async def serve(settings: CollectorSettings, registry: CollectorRegistry) -> None:
    """Serve until told to stop, with figures in a registry."""

    async def start(stores: Mapping[str, Store], gate: Gate) -> Collector:
        return await Collector.start(stores, gate, settings, with_process_figures(registry), now)

    known = KnownKeys.beside_spool(settings)
    if known is None:
        await host(settings, start)
    else:
        await host(settings, start, late=known.exist, remembered=lambda keys: RememberedKeys(keys, known))


def _lead(settings: CollectorSettings, arguments: Sequence[str]) -> None:
    try:
        run(lead(settings, arguments))
    except FailedStart as error:
        raise SystemExit(error.status) from None  # the child has told the reason


if __name__ == "__main__":
    main()
