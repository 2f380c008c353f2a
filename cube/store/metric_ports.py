"""What the cache of metrics must do.

Errors are those of `cube.store.ports`, which also says what callers have to see to: which revision a metric
is saved with, and when revisions are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from cube.model.tier import Span, Tier
from cube.store.read_options import TimeSlice


class CachedBucket(NamedTuple):
    """One cached bucket: the revision it was computed at, and bytes that only its maker reads."""

    revision: int
    content: bytes


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a cached metric is a metric of.

    ``text``: the canonical text of the reduction. ``kind``: "value" or "partial".
    ``semantics``: the version of the rules that made it; another version is another key.
    """

    type: str
    text: str
    kind: str
    semantics: int


class MetricSave(NamedTuple):
    """Cached buckets of one key and tier that are to be kept."""

    key: CacheKey
    tier: Tier
    buckets: Mapping[int, CachedBucket]


class MetricStore(Protocol):
    """The cache of metrics. Losing it, or any part, costs time only."""

    async def read(self, key: CacheKey, tier: Tier, span: Span) -> Mapping[int, CachedBucket]:
        """Return the cached buckets of a span by bucket start, whatever their revisions; one find."""

    async def save(
        self,
        key: CacheKey,
        tier: Tier,
        buckets: Mapping[int, CachedBucket],
        time_slice: TimeSlice = nullcontext,
    ) -> None:
        """Merge buckets into what is there; a chunk that would be over 1 MB is left as it was.

        A store that does so with this process's processor does it in a time slice.
        """

    async def save_all(self, saves: Sequence[MetricSave], time_slice: TimeSlice = nullcontext) -> None:
        """Do several saves, each as `save` does, in one transaction, or in one write a type.

        No key and tier comes twice.
        """

    async def delete(self, before: int) -> int:
        """Delete all buckets, of every type, that end before `before`; return of how many chunks.

        In slices, between which others get their turn.
        """
