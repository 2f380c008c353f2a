"""The process: settings, store, evaluator, until it is told to stop."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from prometheus_client import CollectorRegistry

from cube.errors import InvalidSettings, Unavailable
from cube.opening import opened
from cube.settings import EvaluatorSettings, environments_of, load
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
from evaluator.app import Evaluator
from evaluator.restriction import refuse_bad_filters

_log = logging.getLogger("cube.evaluator")


def main(argv: Sequence[str] | None = None) -> None:
    """Run an evaluator until SIGTERM or SIGINT; a start that fails ends with status 1 and a sentence."""
    try:
        settings = load(EvaluatorSettings, sys.argv[1:] if argv is None else argv, os.environ)
        set_up_log(settings.program, level=settings.log_level, format=settings.log_format)
        if settings.reuse_port:
            warn_of_others(settings.host, settings.port)
        with reporting(settings.sentry_dsn, settings.program):
            run(serve(settings))
    except (InvalidSettings, Unavailable) as error:
        _refuse(error.message)


async def serve(settings: EvaluatorSettings) -> None:
    """Open the environments' stores, listen, and stop cleanly when told to."""
    refuse_bad_filters(settings.keys)
    environments = environments_of(settings)
    async with opened(settings.store, environments, settings.database, foreign=settings.foreign) as databases:
        ring = KeyRing(settings.keys)
        ring.replace(await databases.keys.all())
        gate = Gate(environments, ring)
        refuse_exposure(settings, gate)
        told = stop_signal(settings.stop_seconds)
        evaluator = Evaluator(
            databases.stores, gate, settings, with_process_figures(CollectorRegistry()), _now
        )
        tell_ready(settings.ready_file, evaluator.addresses)
        _log.info("listening on %(http)s", evaluator.addresses)
        async with followed_keys(databases.keys, ring, evaluator.close_revoked):
            await told.wait()
            _log.info("stopping")
            await evaluator.stop(WORK_SHARE * settings.stop_seconds)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _refuse(reason: str) -> NoReturn:
    sys.stderr.write(f"evaluator: {reason}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()
