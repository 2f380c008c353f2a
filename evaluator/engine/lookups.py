"""Looking up what is cached of a job, in the form of today."""

from __future__ import annotations

from collections.abc import Mapping

from cube.model.tier import Span, Tier
from cube.store.ports import CachedBucket, MetricStore
from evaluator.engine.group_codec import renewed
from evaluator.engine.series import ReductionJob


async def look_up(
    metrics: MetricStore, job: ReductionJob, kind: str, tier: Tier, span: Span
) -> Mapping[int, CachedBucket]:
    """Return what is cached of a job's buckets in an aligned span of a tier, whatever the revisions.

    Values of groups whose events have expired are found as well where an older version kept them, in another
    form: nobody can compute those again.
    """
    found = await metrics.read(job.key(kind), tier, span)
    former = job.former_key(kind)
    if former is None:
        return found
    older = await metrics.read(former, tier, span)
    kept = {
        bucket: CachedBucket(cached.revision, renewed(cached.content))
        for bucket, cached in older.items()
        if bucket not in found and job.is_expired(bucket)
    }
    return {**kept, **found}
