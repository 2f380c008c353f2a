"""What both daemons say of themselves: their routes, as ``/openapi.json`` has them, and their metrics."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from collector.app import Collector
from collector.instrumentation import SpoolCounters
from cube.model.environment import DEFAULT
from cube.process.metrics import merged, with_process_metrics
from cube.settings import CollectorSettings, DialectSettings, EvaluatorSettings, environments_of
from cube.store.sqlite import open_store
from cube.web import Authenticator, KeyRing
from evaluator.app import EvaluatorDaemon

SECONDS = 30.0
"""How long a daemon may take to answer, or to stop."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: its name as Prometheus has it, counter, gauge or histogram, its labels, and what it is."""

    name: str
    kind: str
    labels: tuple[str, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Told:
    """What a daemon tells: ``paths`` of its OpenAPI document, and the ``figures`` that it can have."""

    paths: Mapping[str, Mapping[str, Any]]
    figures: tuple[Figure, ...]


def every_dialect() -> DialectSettings:
    """Return the settings with which every dialect is on."""
    switches = [field.name for field in fields(DialectSettings) if field.type == "bool"]
    on: dict[str, Any] = {name: True for name in switches if "_" not in name}
    return DialectSettings(**on, statsd_port=0)


def both() -> tuple[Told, Told]:
    """Run a collector and an evaluator for a moment, with all that can be on; return what they tell."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(_both(Path(directory)))


async def _both(directory: Path) -> tuple[Told, Told]:
    registries = CollectorRegistry(), CollectorRegistry()
    async with running(directory, registries) as addresses:
        told = [await asyncio.to_thread(_paths, address) for address in addresses]
    SpoolCounters(registries[0], lambda: 0)  # a spool is for a MongoDB alone
    collector, evaluator = (
        Told(paths, tuple(_figures(with_process_metrics(registry))))
        for paths, registry in zip(told, registries, strict=True)
    )
    return collector, evaluator


@asynccontextmanager
async def running(
    directory: Path, registries: tuple[CollectorRegistry, CollectorRegistry]
) -> AsyncIterator[tuple[str, str]]:
    """Run a collector, all dialects on, and an evaluator on a store in a directory; yields both addresses."""
    settings = CollectorSettings(port=0, udp_port=0, dialects=every_dialect())
    store = await open_store(directory, "made")
    gate = Authenticator(environments_of(settings), KeyRing())
    stores = {DEFAULT: store}
    collector = await Collector.start(stores, gate, settings, registries[0], lambda: 0)
    evaluator = EvaluatorDaemon(stores, gate, EvaluatorSettings(port=0), registries[1], lambda: 0)
    try:
        yield collector.addresses["http"], evaluator.addresses["http"]
    finally:
        await evaluator.stop(SECONDS)
        await collector.stop(SECONDS)
        await store.close()


def _figures(registry: CollectorRegistry) -> Iterator[Figure]:
    # Nothing public tells the labels of a metric that has not been counted yet.
    known = registry._names_to_collectors  # noqa: SLF001
    labels = {name: getattr(each, "_labelnames", ()) for name, each in known.items()}
    for each in (*registry.collect(), *text_string_to_metric_families(merged([""]))):
        name = f"{each.name}_total" if each.type == "counter" else each.name
        samples = each.samples[0].labels if each.samples and each.type != "histogram" else {}
        yield Figure(name, each.type, tuple(labels.get(each.name) or samples), each.documentation)


def _paths(address: str) -> dict[str, Any]:
    with urlopen(f"{address}/openapi.json", timeout=SECONDS) as answer:  # noqa: S310  # our own daemon
        paths: dict[str, Any] = json.load(answer)["paths"]
    return paths
