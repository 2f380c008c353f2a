"""The process: settings, store, collector, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry

from collector.app import Collector
from collector.crew import lead
from collector.known_keys import KnownKeys, RememberedKeys
from collector.receivers import udp_ports
from cube.cli.supervisor import FailedStart
from cube.errors import InvalidSettings, Unavailable
from cube.opening import opened
from cube.settings import CollectorSettings, environments_of, load
from cube.web import (
    WORK_SHARE,
    Gate,
    KeyRing,
    followed_keys,
    refuse_exposure,
    reporting,
    run,
    set_up_log,
    stop_signal,
    tell_ready,
    warn_of_others,
    with_process_figures,
)

_log = logging.getLogger("cube.collector")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a collector until SIGTERM or SIGINT; a start that fails ends with status 1 and a sentence."""
    arguments = sys.argv[1:] if argv is None else argv
    with begin(arguments) as settings:
        if settings.processes > 1:
            run(lead(settings, arguments))
        else:
            if settings.reuse_port:
                warn_of_others(settings.host, settings.port, *udp_ports(settings))
            run(serve(settings, CollectorRegistry()))


@contextmanager
def begin(arguments: Sequence[str]) -> Iterator[CollectorSettings]:
    """Read the settings and set up the log; a refusal within the block ends the process with a sentence."""
    try:
        settings = load(CollectorSettings, arguments, os.environ)
        set_up_log(settings.program, level=settings.log_level, format=settings.log_format)
        with reporting(settings.sentry_dsn, settings.program):
            yield settings
    except FailedStart as error:
        raise SystemExit(error.status) from None  # the child has told the reason
    except (InvalidSettings, Unavailable) as error:
        sys.stderr.write(f"collector: {error.message}\n")
        raise SystemExit(1) from None


async def serve(settings: CollectorSettings, registry: CollectorRegistry) -> None:
    """Open the environments' stores, listen, and stop cleanly when told to."""
    environments = environments_of(settings)
    known = KnownKeys.beside_spool(settings)
    async with opened(
        settings.store,
        environments,
        settings.database,
        foreign=settings.foreign,
        late=known is not None and known.exist,
    ) as databases:
        keys = databases.keys if known is None else RememberedKeys(databases.keys, known)
        ring = KeyRing(settings.keys)
        ring.replace(await keys.all())
        gate = Gate(environments, ring)
        refuse_exposure(settings, gate)
        told = stop_signal(settings.stop_seconds)
        collector = await Collector.start(
            databases.stores, gate, settings, with_process_figures(registry), _now
        )
        tell_ready(settings.ready_file, collector.addresses)
        _log.info("listening on %s", " and ".join(collector.addresses.values()))
        async with followed_keys(keys, ring, collector.close_revoked):
            await told.wait()
            _log.info("stopping")
            await collector.stop(WORK_SHARE * settings.stop_seconds)


def _now() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
