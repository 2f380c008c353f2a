"""The evaluator's own refusals: what a query was over, by a word that is counted."""

from __future__ import annotations

from typing import Any

from cube.errors import InvalidQuery, Overloaded

RETRY_SECONDS = 5
"""When to come back: by then a long query or two have ended."""


class LimitExceeded(InvalidQuery):
    """A query wants more than one may have; ``reason``: "groups", "cells", "memory" or "bytes"."""

    def __init__(self, message: str, *, reason: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.reason = reason


class DeadlineExceeded(Overloaded):
    """A query took longer than one may."""

    reason = "time"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"The query took more than {seconds:g} s, which is the limit: take a shorter span,"
            " or ask again later.",
            retry_after_seconds=RETRY_SECONDS,
        )


class QueueFull(Overloaded):
    """So many long queries wait already that this one need not begin to."""

    reason = "waiting"

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"{waiting} long queries wait already: take a shorter span, or ask again later.",
            retry_after_seconds=RETRY_SECONDS,
        )


class AnswerDropped(Overloaded):
    """All answers together would hold too much, and this one most of it."""

    reason = "answers"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"All answers together would hold more than {limit} bytes, and this one most of them: take a"
            " shorter span or a lower limit, or ask again later.",
            retry_after_seconds=RETRY_SECONDS,
        )


def reason_of(error: BaseException) -> str | None:
    """Return the word of a refusal; None for any other error."""
    return (
        error.reason
        if isinstance(error, (LimitExceeded, DeadlineExceeded, QueueFull, AnswerDropped))
        else None
    )
