"""The keys of an event as a client writes it, and what a client may have meant by others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from cube.errors import shown

KEYS: Final = frozenset(("type", "time", "id", "data"))

_MAX_TOLD = 10
_MAX_COMPARED = 40  # characters of a key that are looked at
_UNWRITTEN = re.compile(r"[\W_]+")
_LIKENESS = 0.75  # tiem is time, and item is not
_OTHER_NAMES: dict[str, str] = {
    **dict.fromkeys(("timestamp", "ts", "datetime", "date"), "time"),
    **dict.fromkeys(("payload", "properties", "fields"), "data"),
}


def unknown(raw: Mapping[Any, Any]) -> list[str]:
    """Return the keys of a would-be event that no event has, in order."""
    return [str(key) for key in raw if key not in KEYS]


def meant(key: str) -> str | None:
    """Return the key that an unknown one is probably meant for: ``Time`` and ``timestamp`` are time."""
    plain = _UNWRITTEN.sub("", key[:_MAX_COMPARED]).lower()
    return _OTHER_NAMES.get(plain) or next(iter(get_close_matches(plain, sorted(KEYS), 1, _LIKENESS)), None)


def without_data(keys: Sequence[str]) -> str:
    """Return the sentence that refuses an event which has unknown keys and no data."""
    told = ", ".join(map(shown, keys[:_MAX_TOLD])) + (", …" if len(keys) > _MAX_TOLD else "")
    accepted = 'accepted is {type, time?, id?, data?}: put what is to be stored into "data".'
    return " ".join(
        [f"Got no data but the unknown key{'s' * (len(keys) > 1)} {told}; {accepted}", *_guesses(keys)]
    )


def left_out(key: str, events: int) -> str | None:
    """Return the sentence about an unknown key of events that were taken without it; None for a far miss."""
    guess = meant(key)
    if guess is None:
        return None
    many = "" if events == 1 else f" in {events} events"
    return f"Got the unknown key {shown(key)}{many}, which is not stored; did you mean {shown(guess)}?"


def _guesses(keys: Iterable[str]) -> list[str]:
    guesses = {key: meant(key) for key in keys}
    return [
        f"Did you mean {shown(guess)} by {shown(key)}?" for key, guess in guesses.items() if guess is not None
    ][:_MAX_TOLD]
