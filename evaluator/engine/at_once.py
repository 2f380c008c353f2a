"""Several measurements of one expression at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TypeAlias, TypeVar

from evaluator.engine.series import Series

K = TypeVar("K")

Measure: TypeAlias = Callable[[], Coroutine[None, None, Series]]

AT_ONCE = 2
"""So many are measured at once: one computes while the other waits."""


async def all_of(wanted: Mapping[K, Measure]) -> dict[K, Series]:
    """Return what all measure; the first error ends the others."""
    if len(wanted) == 1:  # the common case, without the cost of tasks
        ((key, only),) = wanted.items()
        return {key: await only()}
    places = asyncio.Semaphore(AT_ONCE)

    async def placed(measure: Measure) -> Series:
        async with places:
            return await measure()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = {key: group.create_task(placed(measure)) for key, measure in wanted.items()}
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return {key: task.result() for key, task in tasks.items()}
