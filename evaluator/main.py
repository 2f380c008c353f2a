"""The process: settings, stores, evaluator, until it is told to stop."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from prometheus_client import CollectorRegistry

from cube.columns.key_filter import refuse_bad_filters
from cube.daemon import begun, host, now
from cube.process.event_loop import run
from cube.process.listening import warn_of_others
from cube.process.metrics import with_process_metrics
from cube.settings import EvaluatorSettings
from cube.store.ports import Store
from cube.web import Authenticator
from evaluator.app import EvaluatorDaemon
from evaluator.without_pandas import hide_pandas


def main(argv: Sequence[str] | None = None) -> None:
    """Run an evaluator until SIGTERM or SIGINT; a start that fails ends with status 1 and a sentence."""
    hide_pandas()
    with begun(EvaluatorSettings, sys.argv[1:] if argv is None else argv) as settings:
        refuse_bad_filters(settings.keys)
        if settings.reuse_port:
            warn_of_others(settings.host, settings.port)
        run(serve(settings))


async def serve(settings: EvaluatorSettings) -> None:
    """Serve until told to stop."""

    async def start(stores: Mapping[str, Store], authenticator: Authenticator) -> EvaluatorDaemon:
        return EvaluatorDaemon(
            stores, authenticator, settings, with_process_metrics(CollectorRegistry()), now
        )

    await host(settings, start)


if __name__ == "__main__":
    main()
