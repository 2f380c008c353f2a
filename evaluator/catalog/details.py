"""Types in detail: how many events of late, how many a second, the first and the last."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from cube.columns import selected
from cube.columns.key_filter import Restriction
from cube.expression.nodes import EventExpression, Reduction
from cube.model import instant
from cube.model.tier import MINUTE, Span
from cube.process.threads import run_in_thread
from evaluator.catalog.sample import scan_all
from evaluator.context import QueryContext
from evaluator.engine.pyramid import Pyramid
from evaluator.scheduling.scheduler import QueryCost

BUCKETS: Final = 60
"""The minutes that are counted, with the one that is open as the last."""

RATE_BUCKETS: Final = 5
"""The last so many of them make the rate."""

AT_ONCE: Final = 4
"""So many types are looked at at once."""

EDGE_EVENTS, EDGE_SECONDS = 20_000, 1.0
"""So many events are looked at, for so long, to find the first or the last that a key's filter passes."""


async def detailed(
    pyramid: Pyramid, restriction: Restriction | None, types: Sequence[str], seconds: float
) -> list[dict[str, Any]]:
    """Return what there is to tell of each type, in order; of those that there was no time for, the name.

    Raises as `Pyramid.evaluate` does.
    """
    found: dict[str, dict[str, Any]] = {}
    waiting = iter(types)
    now = pyramid.context.clock()

    async def work() -> None:
        for type in waiting:
            found[type] = await _details(pyramid, restriction, type, now)

    try:
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
    except TimeoutError:
        pass  # what is missing is told by name
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [found.get(type, {"type": type}) for type in types]


async def _details(pyramid: Pyramid, restriction: Restriction | None, type: str, now: int) -> dict[str, Any]:
    filters = () if restriction is None else restriction.filters
    stop = MINUTE.floor(now) + MINUTE.step
    span = Span(stop - BUCKETS * MINUTE.step, stop)
    series = await pyramid.evaluate(
        Reduction("sum", type, None, filters), MINUTE, span, QueryCost(span.length)
    )
    counts = [None if math.isnan(value) else int(value) for value in series.default.tolist()]
    expression = EventExpression(type, (), filters)
    first = await _edge(pyramid.context, expression, newest=False)
    last = None if first is None and not filters else await _edge(pyramid.context, expression, newest=True)
    return {
        "type": type,
        "counts": {"start": instant.format(span.start), "step": MINUTE.step, "values": counts},
        "events": sum(filter(None, counts)),
        "rate": _rate(counts, now),
        "first": None if first is None else instant.format(first),
        "last": None if last is None else instant.format(last),
    }


def _rate(counts: list[int | None], now: int) -> float:
    """Return events a second in the last minutes, of which the open one has lasted until now."""
    lasted = (RATE_BUCKETS - 1) * MINUTE.step + max(now - MINUTE.floor(now), 1_000)
    return round(sum(filter(None, counts[-RATE_BUCKETS:])) / lasted * 1000, 3)


async def _edge(context: QueryContext, expression: EventExpression, *, newest: bool) -> int | None:
    """Return the time of the first or the last event; None where there is none within the bounds."""
    looked_at = 0
    try:
        async with (
            asyncio.timeout(EDGE_SECONDS),
            context.session(QueryCost()) as (session, time_slice),
        ):
            blocks = scan_all(session, expression, (), newest_first=newest)
            async with aclosing(blocks):
                async for block in blocks:
                    async with time_slice():
                        rows = await run_in_thread(selected, expression, block)
                    if rows.any():
                        return int(block.times[int(rows.argmax())])
                    looked_at += len(block)
                    if looked_at >= EDGE_EVENTS:
                        break
    except TimeoutError:
        pass
    return None
