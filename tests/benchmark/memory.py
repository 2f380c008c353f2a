"""Memory: either daemon's stays flat, over a million events in and over a thousand queries."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmark.collecting import fill
from tests.benchmark.evaluating import FIRST, metric_path, milliseconds
from tests.daemon import Daemon, daemon

STEPS = 10


def bench_memory_of_the_collector() -> None:
    """Resident memory over 1 000 000 events, after a warm-up of 100 000; wanted: within 20 %."""
    with (
        tempfile.TemporaryDirectory() as folder,
        daemon("collector", f"sqlite:{folder}", Path(folder)) as collector,
    ):
        fill(collector, 100_000, 1_000)
        seen = [collector.resident_bytes()]
        for _ in range(STEPS):
            fill(collector, 100_000, 1_000)
            seen.append(collector.resident_bytes())
        report("collector", seen)


def bench_memory_of_the_evaluator() -> None:
    """Resident memory over 1 000 queries, cold and warm, after a warm-up of 100; wanted: within 20 %."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with daemon("collector", f"sqlite:{folder}", directory) as collector:
            fill(collector, 100_000)
        with daemon("evaluator", f"sqlite:{folder}", directory) as evaluator:
            ask(evaluator, 0)
            seen = [evaluator.resident_bytes()]
            for step in range(1, STEPS + 1):
                ask(evaluator, step)
                seen.append(evaluator.resident_bytes())
            report("evaluator", seen)


def ask(evaluator: Daemon, step: int) -> None:
    """Ask 100 different questions, some for the first time and some again."""
    for number in range(100):
        expression = f"sum(request(duration_ms).ge(status, {(step * 50 + number) % 500}))"
        milliseconds(evaluator, metric_path(expression, 10_000, FIRST, FIRST + 720_000), 1)


def report(name: str, seen: list[int]) -> None:
    """Print the figures and their spread around the first."""
    megabytes = [f"{value / 2**20:.0f}" for value in seen]
    worst = max(abs(value / seen[0] - 1) for value in seen)
    print(f"{name}: {' '.join(megabytes)} MiB; furthest from the first: {worst:.0%}", flush=True)
