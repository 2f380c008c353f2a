"""Few of many events, by an index of the user's: read for one question, and not kept.

What is kept are all events of a stretch of time, whatever is asked of them. Where an index on a field that
must equal something leaves few of a long stretch, and that is not in memory, those few are read alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

from cube.columns import Block, needed
from cube.expression.nodes import Reduction
from cube.model.tier import HOUR, Span, Tier
from cube.store.equality import wanted_by
from cube.store.ports import ReadSession

MOST_ROWS: Final = 16_384
"""More events are read as blocks, which are kept: one by one they cost three times as much."""


def span_of(tier: Tier, gaps: Mapping[int, int]) -> Span:
    """Return the span that some buckets reach over."""
    return Span(min(gaps), max(gaps) + tier.step)


async def is_narrow(session: ReadSession, reduction: Reduction, span: Span) -> bool:
    """Tell whether an index leaves few events of a span, an hour or longer, that filters may pass."""
    wanted = wanted_by(reduction.filters)
    if not wanted or span.length < HOUR.step:
        return False
    found = await session.indexed(reduction.type, span, wanted, MOST_ROWS + 1)
    return found is not None and found <= MOST_ROWS


async def narrowed(
    session: ReadSession, reduction: Reduction, span: Span, count: Callable[[int], None]
) -> AsyncGenerator[Block, None]:
    """Yield blocks with all events of a span that the filters pass, and maybe others, ordered by time.

    ``count`` is told how many events each has.
    """
    scan = session.scan(reduction.type, span, needed(reduction), wanted=wanted_by(reduction.filters))
    async with aclosing(scan) as blocks:
        async for block in blocks:
            count(len(block))
            yield block
