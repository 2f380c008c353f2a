"""Places in a JSON object as a request names them: names with dots between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cube.errors import InvalidRequest
from cube.model.event import ABSENT


def at(record: Mapping[str, Any], path: str) -> Any:
    """Return the value of a property of that name, else at a path such as ``user.id`` or ``items.0.id``.

    Raises `InvalidRequest` where there is none, or null.
    """
    value: Any = record.get(path, ABSENT)
    if value is ABSENT:
        value = record
        for name in path.split("."):
            value = _inside(value, name)
    if value is ABSENT or value is None:
        raise InvalidRequest(f"There is no {path[:80]}; accepted is an object with one.")
    return value


def _inside(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return value.get(name, ABSENT)
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) < 7:
        return value[int(name)] if int(name) < len(value) else ABSENT
    return ABSENT
