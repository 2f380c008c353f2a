"""The errors that callers meet, and how their messages show a value that a client sent.

::

    CubeError
    ├── InvalidRequest          the caller's mistake: HTTP 400
    │   ├── InvalidEvent        index, field, id: which event, and where in it
    │   │   └── ExpiredEvent    the store would delete it for its age
    │   ├── InvalidExpression   line, column (both from 1)
    │   ├── InvalidQuery        a parameter beside the expression
    │   ├── TooLarge            HTTP 413
    │   ├── NotFound            HTTP 404
    │   ├── Conflict            HTTP 412; revision: the present one, saved, by
    │   └── InUse               HTTP 409; definitions, boards: what would be broken
    ├── InvalidSettings         refused at start
    ├── AccessDenied            HTTP 403
    │   └── Unauthenticated     HTTP 401
    ├── Overloaded              HTTP 503 with Retry-After: we are at a bound of our own
    └── Unavailable             HTTP 503 with Retry-After: the store does not answer

Every message is one sentence that says what was got and what is accepted. ``details`` are
further keys of a JSON answer; they never hold a key or a stack trace. Anything that is not a
`CubeError` is a fault of ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

LONGEST_SHOWN: Final = 80
"""Characters of a value in a message; a longer one is cut and ends in ``...``."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, default=repr)
_NESTED = (Mapping, list, tuple)


class CubeError(Exception):
    """The root of all errors that Cube raises on purpose.

    ``type``: of the event that it is about, where that is known; for the daemon's status, not for the answer.
    """

    type: str | None = None

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = {key: value for key, value in details.items() if value is not None}


class InvalidRequest(CubeError):
    """The request is wrong; sending it again unchanged cannot help.

    ``events``: how many events are refused with it, the right ones beside a wrong one among them.
    """

    events = 1


class InvalidEvent(InvalidRequest):
    """An event breaks the rules of `cube.model.event`.

    Details: ``index`` (its place in the batch, from 0), ``field`` (the path in it), ``id``.
    """

    def at(self, index: int) -> InvalidEvent:
        """Return the same error, telling which event of a batch it is."""
        placed = InvalidEvent(self.message, **{**self.details, "index": index})
        placed.type = self.type
        return placed


class ExpiredEvent(InvalidEvent):
    """The store refuses an event for its age; ``before``: what is older has expired, in milliseconds."""

    def __init__(self, message: str, *, before: int, **details: Any) -> None:
        super().__init__(message, **details)
        self.before = before


class InvalidExpression(InvalidRequest):
    """An expression does not parse, or breaks a bound; ``line`` and ``column`` count from 1."""

    def __init__(self, message: str, *, line: int, column: int, **details: Any) -> None:
        super().__init__(message, line=line, column=column, **details)
        self.line = line
        self.column = column


class InvalidQuery(InvalidRequest):
    """A query parameter other than the expression is wrong; ``field`` names it."""


class TooLarge(InvalidRequest):
    """A body, message or event is over its limit."""


class NotFound(InvalidRequest):
    """There is nothing under this name."""


class Conflict(InvalidRequest):
    """Somebody else has changed it meanwhile; see `cube.store.ports.text_conflict`."""


class InUse(InvalidRequest):
    """Others would be broken by the change; nothing is changed. Details: ``definitions``, ``boards``."""


class InvalidSettings(CubeError):
    """A setting is unknown or has a bad value; the process does not start."""


class AccessDenied(CubeError):
    """The caller is known, and may not do this."""


class Unauthenticated(AccessDenied):
    """The key is missing or unknown."""


class _TryAgain(CubeError):
    """Nothing was acknowledged; try again after ``retry_after_seconds`` (whole, >= 1)."""

    def __init__(self, message: str, *, retry_after_seconds: int = 1, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_seconds = retry_after_seconds


class Overloaded(_TryAgain):
    """A bound of this process is reached."""


class Unavailable(_TryAgain):
    """The store does not answer."""


def shown(value: object) -> str:
    """Return a value for a sentence, as JSON: valid Unicode of at most `LONGEST_SHOWN` characters.

    NaN and infinities are written as JSON writers write them, lone surrogates as escapes. Of what is
    nested only as much is looked at as is shown.
    """
    text = _written(value)
    text = text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def described(value: object) -> str:
    """Return a value for a sentence, but of what is nested its kind alone."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return shown(value)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return _ENCODER.encode(value if len(value) <= LONGEST_SHOWN else value[:LONGEST_SHOWN])
    if isinstance(value, float) and value.__class__ is not float:
        return repr(value)  # which shows the number as it was given
    if not isinstance(value, _NESTED):
        return _ENCODER.encode(value)
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(value)
    text = ""
    for part in _ENCODER.iterencode(value):
        text += part
        if len(text) > LONGEST_SHOWN:
            break
    return text
