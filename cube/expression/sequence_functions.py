"""What looks at the events of a key one after another: the names, each with an example that a test asks.

How they are written says `cube.expression.sequence_grammar`, what they mean `docs/functions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class SequenceFunction:
    """``example``: an expression with it; ``detail``: what a completion says."""

    name: str
    example: str
    detail: str


FUNNEL: Final = SequenceFunction(
    "funnel", "funnel(user, 1h, view, cart, buy)", "how many reach each step in order, within a window"
)
RETENTION: Final = SequenceFunction(
    "retention", "retention(user, 1d, 7, signup, view)", "how many come back, period by period"
)
SESSION: Final = SequenceFunction(
    "session", "mean(view.session(user, 30m, length))", "events with short gaps, joined"
)

SEQUENCE_FUNCTIONS: Final[Mapping[str, SequenceFunction]] = {
    each.name: each for each in (FUNNEL, RETENTION, SESSION)
}
"""Each by its name in the expression language; a session stands after events, the others by themselves."""
