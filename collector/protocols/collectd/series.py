"""What collectd's counters mean: rates per second, or the differences of Square's Cube."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COUNTED: Final = frozenset({"derive", "counter"})
"""The kinds whose values mean something only beside the reading before."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The last values of a series, at a time in milliseconds, and what was stored of them."""

    time: int
    values: tuple[float | None, ...]
    shown: tuple[float | None, ...]


def rate(kind: str, last: Reading | None, place: int, time: int, value: float) -> float | None:
    """Return a derive's or counter's rate per second since the last reading; other kinds as they are.

    None: there is no rate, for it is the first reading, an older one, or the first after a reset.
    """
    if kind not in COUNTED:
        return value
    before = _before(last, place)
    if last is None or before is None or time <= last.time:
        return None
    delta = _advance(before, value) if kind == "counter" else value - before
    return None if delta is None or delta < 0 else delta * 1000 / (time - last.time)


def difference(kind: str, last: Reading | None, place: int, time: int, value: float) -> float | None:
    """Return, as Square's Cube does, a derive's difference to the last reading, the first time 0."""
    if kind != "derive":
        return value
    before = _before(last, place)
    if last is not None and time <= last.time:
        return None
    return 0 if before is None else value - before


def _before(last: Reading | None, place: int) -> float | None:
    return last.values[place] if last is not None and place < len(last.values) else None


def _advance(before: float, value: float) -> float | None:
    """Return how far a counter went; one that went back has wrapped at 32 or 64 bits, or was reset.

    It counts as wrapped where that is the shorter way: under half of its range.
    """
    if value >= before:
        return value - before
    size = 2**32 if before < 2**32 else 2**64
    wrapped = size - before + value
    return wrapped if wrapped < size / 2 else None
