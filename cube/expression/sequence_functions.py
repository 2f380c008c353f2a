"""What looks at the events of a key one after another: the names, each with an example that a test asks.

How they are written says `cube.expression.sequence_grammar`, what they mean `docs/functions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cube.expression.nodes import Funnel, MetricExpression
from cube.expression.printer import print_expression
from cube.expression.traversal import walk


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


def funnel_steps(metric: MetricExpression) -> list[str] | None:
    """Return the texts of the steps that the groups 1, 2, … of a metric are; None where they are others.

    They are others where no funnel is in it, or several that differ in their steps.
    """
    found = {each.steps for each in walk(metric) if isinstance(each, Funnel)}
    return [print_expression(step) for step in found.pop()] if len(found) == 1 else None
