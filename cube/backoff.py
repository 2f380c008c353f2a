"""How long to wait before something is tried again: a pause that doubles."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MOST_DOUBLINGS = 64


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds: the first, then twice as long each time, up to the longest."""

    first: float
    longest: float = math.inf

    def pause(self, failures: int) -> float:
        """Return how long to wait after so many failures before, in a row, from 0."""
        return min(self.first * 2.0 ** min(failures, _MOST_DOUBLINGS), self.longest)
