"""A deletion of events by an expression, as it is kept for what comes late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cube.model.tier import DAY

DELETION_DAYS: Final = 30
"""A deletion is remembered for so long: a spool that is older brings back what was deleted."""

KEPT_MS: Final = DELETION_DAYS * DAY.step


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was deleted: the events in ``[start, stop)`` that an expression selects.

    ``expression``: its canonical text, the filter of a key included. ``at``: when it was done last, by the
    clock of who did it, milliseconds since 1970: what was accepted before that is deleted. ``by``: who did;
    ``events``: how many were deleted.
    """

    type: str
    expression: str
    start: int
    stop: int
    at: int
    by: str
    events: int = 0
