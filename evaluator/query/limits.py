"""What a query cannot have: more than its limits allow, or time or memory that the evaluator lacks now."""

from __future__ import annotations

from typing import Any, ClassVar

from cube.errors import InvalidQuery, Overloaded

RETRY_SECONDS = 5
"""When to come back: by then a long query or two have ended."""


class LimitExceeded(InvalidQuery):
    """A query wants more than one may have; ``reason``: "groups", "cells", "memory" or "bytes"."""

    def __init__(self, message: str, *, reason: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.reason = reason


class QueryOverloaded(Overloaded):
    """The evaluator has not the time or the memory for a query now; ``reason``: what it lacks."""

    reason: ClassVar[str]
    text: ClassVar[str]

    def __init__(self, limit: float) -> None:
        super().__init__(self.text.format(limit), retry_after_seconds=RETRY_SECONDS)


class DeadlineExceeded(QueryOverloaded):
    """A query took longer than so many seconds."""

    reason = "time"
    text = "The query took more than {:g} s, which is the limit: take a shorter span, or ask again later."


class QueueFull(QueryOverloaded):
    """So many long queries wait already that this one need not begin to."""

    reason = "waiting"
    text = "{} long queries wait already: take a shorter span, or ask again later."


class AnswerDropped(QueryOverloaded):
    """All answers together would hold more than so many bytes, and this one most of it."""

    reason = "answers"
    text = (
        "All answers together would hold more than {} bytes, and this one most of them: take a shorter span"
        " or a lower limit, or ask again later."
    )
