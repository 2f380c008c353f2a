"""What the parts of the evaluator share: the clock, and work beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Clock: TypeAlias = Callable[[], int]
"""Returns the present instant."""

ASIDE = 2_000
"""Longer answers are written in a thread."""


async def aside(size: int, work: Callable[..., T], *arguments: Any) -> T:
    """Do some work on so many rows: in a thread where it could block the event loop for long."""
    if size <= ASIDE:
        return work(*arguments)
    return await asyncio.to_thread(work, *arguments)
