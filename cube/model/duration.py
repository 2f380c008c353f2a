"""Durations: lengths of time as words (``15m``, ``1h30m``, ``500ms``) and as whole milliseconds.

This module is the only place that reads and writes them. Days are 24 hours and weeks 7 days: steps that
follow a calendar (months, days of a time zone) are `cube.model.grid`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from cube.errors import InvalidRequest, shown

UNITS: Final = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
"""The milliseconds of each unit, longest first."""

LONGEST: Final = 366 * UNITS["d"]
"""No duration is longer than the longest year."""

PATTERN: Final = r"(?:[0-9]+(?:ms|w|d|h|m|s))+"
"""What text looks like a duration, as a regular expression; `parse` says whether it is one."""

ACCEPTED: Final = "a whole number and a unit of ms, s, m, h, d or w, such as 15m, 2h, 1h30m or 7d"

_PART = re.compile(r"([0-9]{1,15})(ms|w|d|h|m|s)", re.ASCII)
_WHOLE = re.compile(PATTERN, re.ASCII)


def parse(text: str, longest: int = LONGEST) -> int:
    """Read a duration as milliseconds, from 1 to `longest`.

    Several units stand from the longest to the shortest, each once: ``1h30m``. Raises `InvalidRequest`, whose
    message shows the text and says what is accepted.
    """
    if len(text) > 100 or not _WHOLE.fullmatch(text):
        raise InvalidRequest(f"Got the duration {shown(text)}; accepted is {ACCEPTED}.")
    parts = _PART.findall(text)
    lengths = [UNITS[unit] for _, unit in parts]
    if sorted(set(lengths), reverse=True) != lengths:
        raise InvalidRequest(
            f"Got the duration {shown(text)}; accepted are longer units before shorter ones."
        )
    total = sum(int(number) * UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 1 <= total <= longest:
        raise InvalidRequest(
            f"Got the duration {shown(text)}; accepted are durations from 1ms to {format(longest)}."
        )
    return total


@lru_cache(maxsize=100)  # of tiers for every question
def format(milliseconds: int) -> str:
    """Write a duration in the longest unit of which it is a whole number: ``90s``, ``15m``, ``1w``."""
    for unit, length in UNITS.items():
        if milliseconds % length == 0 and milliseconds:
            return f"{milliseconds // length}{unit}"
    return "0ms"
