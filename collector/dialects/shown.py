"""How refusals show a value that a client sent."""

from __future__ import annotations

from typing import Any


def shown(value: Any) -> str:
    """Return a value for a sentence: short, and of what is nested (it may be so without end) its kind."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "an object"
        case list():
            return "an array"
        case str():
            return repr(value[:80])
        case _:
            return repr(value)[:80]
