"""The marker of a type: its revisions are complete, for these tiers and in this format.

Where a tier is added, taken away or changed, the marker that is stored vouches for other tiers than there
are now. Then the type's revisions are built again on first use, which raises every bucket of every tier:
so nothing is believed that was computed from a tier without revisions.

All processes on a store must know the same tiers: one that knows fewer raises fewer.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from cube.model.tier import CACHED_TIERS

FORMAT: Final = 1
"""Of what a store keeps. One with a later number is refused; raised whenever an older Cube would read
wrong what is stored."""

FIRST_STEPS: Final = (10_000, 60_000, 300_000, 3_600_000, 86_400_000, 604_800_000)
"""What a marker without a list of tiers vouches for: the tiers that there were before markers had one."""


def steps() -> list[int]:
    """Return what a marker that is set now vouches for: the steps of the tiers with revisions, ascending."""
    return sorted(tier.step for tier in CACHED_TIERS)


def vouches(stored: Collection[int] | None) -> bool:
    """Tell whether a stored marker is about the tiers that there are, neither more nor fewer."""
    return sorted(FIRST_STEPS if stored is None else stored) == steps()
