"""What a reader grants a query of a store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

TimeSlice: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""Waits for a time slice of the processor. What takes it (decoding, selecting, reducing) is done in short
pieces, each in a time slice of its own, so that queries share the processor as their reader wishes."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What a reader grants a query.

    ``seconds``: how long a database server may work on one read of it; None does not bound it. How long the
    query waits is its caller's to bound. ``time_slice``: entered around each piece of work on events; unless
    given, nobody waits for anybody.
    """

    seconds: float | None = None
    time_slice: TimeSlice = nullcontext


UNBOUNDED = ReadOptions()
