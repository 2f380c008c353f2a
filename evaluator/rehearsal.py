"""What an evaluator does before anybody asks, so that the first question pays for no import and no first use.

numpy, pyarrow and Tornado import parts of themselves when these are first needed: tens of milliseconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import numpy as np

from cube.columns import Block, PackedBlock, arrow, finals, paths, states
from cube.errors import Unavailable
from cube.expression import grammar, parse_metric
from cube.expression.nodes import Reduction
from cube.model.tier import MINUTE
from evaluator.context import QueryContext
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.states import encode
from evaluator.query.limits import DeadlineExceeded

EXPRESSIONS = (
    "sum(a(b).eq(c, 'd'))",
    "median(a(b).re(c, 'd'))",
    "distinct(a(c).ne(d, null))",
    "mean(a(b).gt(b, 1)).group(c)",
)
"""Asked of events that there are not; what they mean matters to nobody."""

_ROWS = 128


def rehearse(*, files: bool) -> None:
    """Compute over some rows that were made up; ``files``: whether there may be column files."""
    grammar.prepare()
    if files:
        arrow.load()
    times = np.arange(_ROWS, dtype=np.int64) * (MINUTE.step // 16)
    text = ",".join(f'{{"b":{row % 7 + 0.5},"c":"d{row % 3}","d":null}}' for row in range(_ROWS))
    for expression in EXPRESSIONS:
        reduction = parse_metric(expression)
        if not isinstance(reduction, Reduction):
            raise TypeError(f"Got {expression}; accepted here is a reduction.")
        names = sorted({str(path[0]) for path in paths(reduction)})
        block = PackedBlock.of(Block.from_joined(times, text, fields=names), paths(reduction))
        found = finals(reduction, MINUTE, block)
        BucketValues.of_finals(reduction, [found], found.shared, found.buckets).contents()
        encode(reduction, {**states(reduction, MINUTE, block)})


async def open_stores(contexts: Iterable[QueryContext]) -> None:
    """Look up once in each store: connections are open then."""
    for context in contexts:
        with suppress(Unavailable, DeadlineExceeded):
            async with context.lookup() as session:
                await session.types()


class Rehearsal:
    """Opens the stores while the evaluator begins to serve; ended by `close`."""

    def __init__(self, contexts: Iterable[QueryContext]) -> None:
        self._task = asyncio.create_task(open_stores(contexts), name="opening stores")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
