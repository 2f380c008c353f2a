"""What an intake tells of itself in its daemon's status: arrivals by type, and refusals with examples."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from collector.instrumentation import REASONS
from cube.errors import CubeError, InvalidRequest
from cube.process.recent_counts import RecentCounts

EXAMPLES: Final = 5
"""Of each reason the latest so many different ones are kept."""

EXAMPLE_CHARACTERS: Final = 300
KEPT_CHARACTERS: Final = 2_000
"""Of a message so many are told, and more kept: a key that was cut in two would not be known as one."""


@dataclass(slots=True)
class _Example:
    events: int = 0
    last: int = 0


@dataclass(slots=True)
class _Refusals:
    events: int = 0
    last: int = 0
    examples: OrderedDict[tuple[str | None, str], _Example] = field(default_factory=OrderedDict)


class IntakeTally:
    """Counts what came and what was refused, in memory that is bounded whatever comes.

    ``mask``: takes keys out of a message before anybody is told of it.
    """

    def __init__(self, clock: Callable[[], int], mask: Callable[[str], str]) -> None:
        self.arrivals = RecentCounts(clock)
        self._clock = clock
        self._mask = mask
        self._refusals: dict[str, _Refusals] = {}

    def refused(self, reason: str, events: int, message: str, type: str | None = None) -> None:
        """Count events that were refused, or could not be stored; ``type``: theirs, where it is known.

        ``reason``: one of a fixed set.
        """
        refusals = self._refusals.setdefault(reason, _Refusals())
        key = (type, message[:KEPT_CHARACTERS])
        example = refusals.examples.setdefault(key, _Example())
        now = self._clock()
        for counted in (refusals, example):
            counted.events += events
            counted.last = now
        refusals.examples.move_to_end(key)
        if len(refusals.examples) > EXAMPLES:
            refusals.examples.popitem(last=False)

    def failed(self, error: Exception, events: int, type: str) -> None:
        """Count events that were accepted and could not be stored."""
        if isinstance(error, CubeError):
            reason = "store" if isinstance(error, InvalidRequest) else "unavailable"
            self.refused(reason, events, error.message, type)
        else:
            name = error.__class__.__name__
            self.refused("fault", events, f"Storing them met a fault ({name}), which the log has.", type)

    def told(self) -> dict[str, Any]:
        """Return what is told, as JSON: ``arrivals`` (see `RecentCounts.told`) and ``refusals`` by reason."""
        told = {reason: self._told(refusals) for reason, refusals in self._refusals.items()}
        return {"arrivals": self.arrivals.told(), "refusals": told}

    def _told(self, refusals: _Refusals) -> dict[str, Any]:
        examples = [
            {
                "type": type,
                "message": self._mask(message)[:EXAMPLE_CHARACTERS],
                "events": example.events,
                "last": example.last,
            }
            for (type, message), example in reversed(refusals.examples.items())
        ]
        return {"events": refusals.events, "last": refusals.last, "examples": examples}


def reason_of(error: CubeError) -> str | None:
    """Return the reason that an error refuses events for; None where it does not refuse them for good."""
    kind = next((reason for kind, reason in REASONS if isinstance(error, kind)), None)
    reason: str | None = error.details.get("reason", kind)
    return reason
