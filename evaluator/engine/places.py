"""Where among the buckets of a span some of them are."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt


def places_of(some: Collection[int], buckets: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the place of each of some buckets of a span among all of them, which ascend."""
    found = np.fromiter(some, np.int64, len(some))
    if isinstance(buckets, range):
        return (found - buckets.start) // buckets.step
    return np.array(buckets, dtype=np.int64).searchsorted(found)
