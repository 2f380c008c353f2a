"""The terms on which a query reads: for how long, and in whose turn."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

Pace: TypeAlias = Callable[[], AbstractAsyncContextManager[object]]
"""Begins a turn: what takes the processor (decoding, selecting, reducing) is done in short pieces, each
in a turn of its own, so that queries share the processor as their reader wishes."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a reader grants a query.

    ``seconds``: how long a database server may work on one read of it; None does not bound it. How long the
    query waits is its caller's to bound. ``pace``: entered around each piece of work on events; unless
    given, nobody waits for anybody.
    """

    seconds: float | None = None
    pace: Pace = nullcontext


FREELY = Terms()
