"""The blocks of one store, by type, and whether they spare a look at the cache of metrics."""

from __future__ import annotations

from collections.abc import Callable

from cube.columns import has_patterns, paths
from cube.model.reduce import REDUCES
from cube.model.tier import HOUR, Tier
from cube.store.bucket_revisions import BucketRevisions
from evaluator.engine.ahead import AheadBuckets
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.blocks import TypeBlocks
from evaluator.engine.column_files import ColumnFiles
from evaluator.engine.segments import SegmentMap
from evaluator.engine.series import ReductionJob

SPARED_ROWS = 262_144
"""Of so many rows in memory values are computed rather than looked up."""

SHARED_ROWS = 2 * SPARED_ROWS
"""Of more rows values are computed alone: that may take so long that some are to be kept meanwhile."""


class StoreBlocks:
    """The blocks of one store, by type; ``read`` is told of how many events each read was.

    ``files``: where those are that have left the memory, if anywhere.
    """

    def __init__(
        self,
        cache: BlockCache,
        read: Callable[[int], None],
        make: Callable[..., TypeBlocks] | None = None,
        files: ColumnFiles | None = None,
    ) -> None:
        self.files = files
        self._cache = cache
        self._make = TypeBlocks if make is None else make
        self._read = read
        self._types: dict[str, TypeBlocks] = {}

    def of(self, type: str) -> TypeBlocks:
        found = self._types.get(type)
        if found is None:
            ahead = AheadBuckets(type, self._cache, self._read)
            found = self._make(type, SegmentMap(self._cache), ahead, self._read, self.files)
            self._types[type] = found
        return found

    def followed(self, now: int) -> list[TypeBlocks]:
        """Return the blocks of the types of which somebody has lately asked for what was new then."""
        return [found for found in self._types.values() if found.ahead.is_followed(now)]

    def spare_lookup(self, job: ReductionJob, numbers: BucketRevisions) -> bool:
        """Tell whether values are computed as fast from what is in memory as they are looked up.

        So it is of few rows, where no pattern is searched for.
        """
        rows = self._rows(job, numbers) if _is_simple(job) else None
        return rows is not None and rows <= SPARED_ROWS

    def may_share(self, job: ReductionJob, gaps: BucketRevisions) -> bool:
        """Tell whether one scan may serve others, too: unless it is known to be of too many rows."""
        if not _is_simple(job):
            return False
        rows = self._rows(job, gaps)
        return rows is None or rows <= SHARED_ROWS

    def _rows(self, job: ReductionJob, numbers: BucketRevisions) -> int | None:
        return self.of(job.reduction.type).holds(job.tier, numbers, paths(job.reduction))


def _is_simple(job: ReductionJob) -> bool:
    """Tell whether values below an hour are made of kept blocks, in no more time than their rows take."""
    if not isinstance(job.grid, Tier) or job.grid.step >= HOUR.step or job.expired_before is not None:
        return False
    return not REDUCES[job.reduction.reduce].ordered and not has_patterns(job.reduction)
