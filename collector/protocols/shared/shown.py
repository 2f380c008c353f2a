"""How refusals show a value that a client sent."""

from __future__ import annotations

from typing import Any

from cube.shown import shown as as_json


def shown(value: Any) -> str:
    """Return a value for a sentence: short, and of what is nested (it may be so without end) its kind."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "an object"
        case list():
            return "an array"
        case _:
            return as_json(value)
