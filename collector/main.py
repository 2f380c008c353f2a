"""The process: settings, store, collector, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from prometheus_client import CollectorRegistry
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from collector.app import Collector
from cube.errors import InvalidSettings, Unavailable
from cube.opening import opened
from cube.settings import CollectorSettings, environments_of, load
from cube.web import (
    WORK_SHARE,
    Gate,
    KeyRing,
    followed_keys,
    refuse_exposure,
    run,
    set_up_log,
    stop_signal,
    write_ready_file,
)

_log = logging.getLogger("cube.collector")


def main(argv: Sequence[str] | None = None) -> None:
    """Run a collector until SIGTERM or SIGINT; a start that fails ends with status 1 and a sentence."""
    try:
        settings = load(CollectorSettings, sys.argv[1:] if argv is None else argv, os.environ)
        set_up_log(settings.program, level=settings.log_level, format=settings.log_format)
        run(serve(settings))
    except (InvalidSettings, Unavailable) as error:
        _refuse(error.message)


async def serve(settings: CollectorSettings) -> None:
    """Open the environments' stores, listen, and stop cleanly when told to."""
    environments = environments_of(settings)
    async with opened(settings.store, environments, settings.database, foreign=settings.foreign) as databases:
        ring = KeyRing(settings.keys)
        ring.replace(await databases.keys.all())
        gate = Gate(environments, ring)
        refuse_exposure(settings, gate)
        told = stop_signal(settings.stop_seconds)
        collector = await Collector.start(databases.stores, gate, settings, _registry(), _now)
        if settings.ready_file:
            write_ready_file(settings.ready_file, collector.addresses)
        _log.info("listening on %s", " and ".join(collector.addresses.values()))
        async with followed_keys(databases.keys, ring, collector.close_revoked):
            await told.wait()
            _log.info("stopping")
            await collector.stop(WORK_SHARE * settings.stop_seconds)


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


def _now() -> int:
    return time.time_ns() // 1_000_000


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"collector: {reason}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()
