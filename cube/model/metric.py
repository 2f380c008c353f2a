"""Metrics: what an evaluation yields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Group: TypeAlias = str | int | float | bool

_RANKS = {int: 0, float: 0, str: 1, bool: 2}


@dataclass(frozen=True, slots=True)
class Metric:
    """One number for one bucket.

    ``time``: the bucket's start. ``value``: None is "no value". ``group``: None where the
    expression has no group (a group itself is never null).
    """

    time: int
    value: float | None
    group: Group | None = None


def group_key(group: Group) -> tuple[int, Group]:
    """Return the key by which groups are equal and ordered: numbers, strings, booleans.

    ``1`` and ``1.0`` are one group; ``1``, ``"1"`` and ``True`` are three.
    """
    return (_RANKS[type(group)], group)
