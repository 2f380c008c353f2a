"""How foreign names become types and property names: one documented rule for all dialects."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from cube.event import MAX_DATA_DEPTH, MAX_TYPE_LENGTH, is_property

_LOWER_UPPER = re.compile(r"([a-z0-9])([A-Z])")
_ACRONYM = re.compile(r"([A-Z]+)([A-Z][a-z])")
_OTHER = re.compile(r"[^a-z0-9_]+")
_LEAVES = frozenset((str, int, float, bool, type(None)))  # most values: told without asking what they can do
_PROPERTY_OTHER = re.compile(r"[^A-Za-z0-9_$]+")


def slug(name: str) -> str:
    """Return the type that a foreign name becomes: ``userID`` is user_id, ``Item Purchased`` item_purchased.

    Accents go (NFKD), words of camelCase are parted by ``_``, all is lower case, every run of other
    characters is one ``_``, those at the ends go, a leading digit gets ``e_`` before it, nothing
    becomes ``event``, and it ends at 64 characters.
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    parted = _LOWER_UPPER.sub(r"\1_\2", _ACRONYM.sub(r"\1_\2", ascii_name)).lower()
    text = _OTHER.sub("_", parted).strip("_") or "event"
    text = f"e_{text}" if text[0].isdigit() else text
    return text[:MAX_TYPE_LENGTH].rstrip("_")


def property_name(name: str) -> str:
    """Return a name that data may have: runs of other characters are ``_``; a digit gets one before it."""
    if is_property(name):
        return name
    text = _PROPERTY_OTHER.sub("_", name) or "_"
    return text if is_property(text) else f"_{text}"


def named(value: Any, depth: int = MAX_DATA_DEPTH) -> Any:
    """Return a JSON value whose property names, at every depth, are fit for an event's data.

    Of two names that become one the first keeps it, the second gets ``_2`` behind it, and so on. What
    is deeper than data may be stays as it is: `Event.parse` refuses it.
    """
    if depth < 0 or value.__class__ in _LEAVES:
        return value
    if isinstance(value, Mapping):
        return _named(value, depth - 1)
    if isinstance(value, list | tuple):
        return [named(item, depth - 1) for item in value]
    return value


def _named(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    fit: dict[str, Any] = {}
    last: dict[str, int] = {}  # the number that a name got last, so that many alike take no long search
    for name, item in value.items():
        wanted = free = property_name(str(name))
        while free in fit:
            last[wanted] = last.get(wanted, 1) + 1
            free = f"{wanted}_{last[wanted]}"
        fit[free] = named(item, depth)
    return fit
