"""Values as arrays are what contents say, whole or in parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cube.columns import Finals
from cube.columns.groups import Labels
from cube.expression import parse_metric
from cube.expression.nodes import Reduction
from cube.model.tier import TEN_SECONDS, group_key
from cube.store.bucket_revisions import BucketRevisions
from cube.store.metric_ports import CachedBucket
from evaluator.engine.bucket_values import BucketValues
from evaluator.engine.deferred_metrics import unsaved

A, B = group_key("a"), group_key("b")


def reduction(text: str) -> Reduction:
    node = parse_metric(text)
    assert isinstance(node, Reduction)
    return node


SUM, GROUPED = reduction("sum(test(v))"), reduction("sum(test(v)).group(g)")


def found(*cells: tuple[int, Any, float]) -> Finals:
    """What a block says: a bucket, a group and a value each."""
    return Finals(
        np.array([bucket for bucket, _, _ in cells], dtype=np.int64),
        Labels.of(group for _, group, _ in cells),
        np.array([value for _, _, value in cells], dtype=np.float64),
    )


def starts(*buckets: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(buckets, dtype=np.int64)


def shown(values: BucketValues) -> dict[int, Any]:
    """Return the values by bucket, or by bucket and group; None is "no value"."""
    numbers = [None if math.isnan(value) else value for value in values.values.tolist()]
    if values.groups is None:
        return dict(zip(values.buckets.tolist(), numbers, strict=True))
    by_bucket: dict[int, Any] = {bucket: {} for bucket in values.buckets.tolist()}
    for place, group, number in zip(
        values.groups.buckets.tolist(), values.groups.labels, numbers, strict=True
    ):
        by_bucket[int(values.buckets[place])][group] = number
    return by_bucket


def test_what_blocks_say_and_share_is_put_together() -> None:
    parts = [found((0, None, 1.0), (20, None, math.nan)), found((40, None, 4.0), (50, None, 5.0))]
    values = BucketValues.of_finals(SUM, parts, {30: {None: (3.0, 0.0)}}, starts(0, 10, 20, 30, 40))
    assert shown(values) == {0: 1.0, 10: 0.0, 20: None, 30: 3.0, 40: 4.0}


def test_groups_of_several_blocks_are_one_group() -> None:
    parts = [found((0, A, 1.0), (0, B, 2.0)), found((20, B, 3.0), (20, A, 4.0), (30, A, 5.0))]
    values = BucketValues.of_finals(GROUPED, parts, {10: {B: (6.0, 0.0)}}, starts(0, 10, 20, 40))
    assert shown(values) == {0: {A: 1.0, B: 2.0}, 10: {B: 6.0}, 20: {B: 3.0, A: 4.0}, 40: {}}


@pytest.mark.parametrize(
    "values",
    [
        BucketValues.of_finals(SUM, [found((0, None, 1.0), (10, None, math.nan))], {}, starts(0, 10, 20)),
        BucketValues.of_finals(
            GROUPED, [found((0, A, 1.0), (0, B, math.nan), (20, B, 3.0))], {}, starts(0, 10, 20, 30)
        ),
    ],
    ids=["plain", "grouped"],
)
def test_contents_and_parts_say_the_same(values: BucketValues) -> None:
    whole, grouped = shown(values), values.groups is not None
    contents = values.contents()
    assert shown(BucketValues.decoded(contents, grouped=grouped)) == whole
    upside_down = dict(reversed(contents.items()))
    assert shown(BucketValues.decoded(upside_down, grouped=grouped)) == whole
    for some in (starts(), starts(0), starts(10, 20), starts(0, 10, 20, 30, 40)):
        inside = {bucket: value for bucket, value in whole.items() if bucket in some}
        outside = {bucket: value for bucket, value in whole.items() if bucket not in some}
        assert shown(values.only(some)) == inside
        assert shown(values.without(some)) == outside
        assert values.only(some).contents() == {bucket: contents[bucket] for bucket in inside}
    first, rest = values.only(starts(0, 10)), values.without(starts(0, 10))
    assert shown(BucketValues.joined([first, rest])) == whole


def test_what_is_saved_has_the_revision_that_was_read() -> None:
    values = BucketValues.of_finals(SUM, [found((10_000, None, 1.0))], {}, starts(10_000, 20_000))
    gaps = BucketRevisions.of({0: 5, 10_000: 6, 20_000: 7})
    kept = unsaved(gaps, values, TEN_SECONDS)
    contents = values.contents()
    assert len(kept) == 2
    assert dict(kept) == {
        10_000: CachedBucket(6, contents[10_000]),
        20_000: CachedBucket(7, contents[20_000]),
    }
    assert dict(unsaved(gaps, values, TEN_SECONDS, most=7)) == {}


@pytest.mark.parametrize("key", [group_key("x" * 200), group_key(("x" * 100, "y" * 50))], ids=["one", "two"])
def test_what_waits_to_be_saved_counts_the_names_of_groups_as_often_as_they_are_written(key: Any) -> None:
    buckets = starts(*range(0, 1_000_000, 10_000))
    cells = [(bucket, key, 1.0) for bucket in buckets.tolist()]
    values = BucketValues.of_finals(GROUPED, [found(*cells)], {}, buckets)
    kept = unsaved(BucketRevisions(buckets, buckets + 1), values, TEN_SECONDS)
    counted = kept.bytes
    assert counted == pytest.approx(sum(len(each.content) for each in kept.values()), rel=0.25)
    assert kept.bytes == counted, "what is counted when it comes is taken off when it goes"
