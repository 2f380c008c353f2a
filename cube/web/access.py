"""Who may call: origins now; what a request may do is asked here and nowhere else."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class Access(Protocol):
    """Decides about callers."""

    def allows_origin(self, origin: str) -> bool:
        """Tell whether pages of this origin may call, over HTTP and WebSocket alike."""


class Origins:
    """Access by origin alone: those given, or any if none is given."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self._allowed = frozenset(origin.lower().rstrip("/") for origin in allowed)

    def allows_origin(self, origin: str) -> bool:
        """Tell whether pages of this origin may call."""
        return not self._allowed or origin.lower() in self._allowed
