"""Asks a store a question as a Cube would that has a tier more: 15 minutes, between 5 minutes and the hour.

Run as ``python -m tests.added_tier STORE STEP START STOP EXPRESSION`` in a process of its own, since tiers
are facts that everything imports; prints the values as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace

from cube.model import tier

QUARTER = 900_000


def add() -> None:
    """Add the tier, before anything else has imported the others."""
    quarter = tier.Tier("15 minutes", QUARTER, 0, tier.FIVE_MINUTES, cached=True)
    tier.HOUR = replace(tier.HOUR, finer=quarter)
    tier.DAY = replace(tier.DAY, finer=tier.HOUR)
    tier.WEEK = replace(tier.WEEK, finer=tier.DAY)
    finer = [one for step, one in tier.TIERS.items() if step < QUARTER]
    tier.TIERS = {one.step: one for one in (*finer, quarter, tier.HOUR, tier.DAY, tier.WEEK)}
    tier.CACHED_TIERS = tuple(one for one in tier.TIERS.values() if one.cached)


async def ask(store: str, step: int, start: int, stop: int, expression: str) -> list[float | None]:
    from cube.model.environment import DEFAULT, Environment
    from cube.store.factory import opened
    from tests.evaluator_running import bench_on

    environments = [Environment(DEFAULT, "test")]
    async with (
        opened(store, environments, "test") as databases,
        bench_on(databases.stores[DEFAULT]) as bench,
    ):
        return await bench.values(expression, step, start, stop)


if __name__ == "__main__":
    add()
    url, *numbers, text = sys.argv[1:]
    print(json.dumps(asyncio.run(ask(url, *map(int, numbers), text))))
