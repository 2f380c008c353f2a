"""Revisions as arrays are the mappings that they stand for, whatever is taken of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.model.tier import Span
from cube.store.bucket_revisions import NO_REVISIONS, BucketRevisions

MAPPINGS = st.dictionaries(
    st.integers(-20, 20).map(lambda bucket: 10 * bucket), st.integers(1, 3), max_size=12
)
BUCKETS = st.lists(st.integers(-25, 25).map(lambda bucket: 10 * bucket), unique=True).map(sorted)


@given(MAPPINGS)
def test_they_are_a_mapping_in_order_of_time(mapping: dict[int, int]) -> None:
    revisions = BucketRevisions.of(mapping)
    assert revisions == mapping
    assert mapping == revisions
    assert list(revisions) == sorted(mapping)
    assert dict(revisions) == dict(revisions.items()) == mapping
    assert (len(revisions), bool(revisions)) == (len(mapping), bool(mapping))
    assert BucketRevisions.of(revisions) is revisions
    assert all(revisions[bucket] == number for bucket, number in mapping.items())
    assert revisions.get(5) is None


@given(MAPPINGS, MAPPINGS)
def test_they_are_compared_bucket_by_bucket(ours: dict[int, int], theirs: dict[int, int]) -> None:
    one, other = BucketRevisions.of(ours), BucketRevisions.of(theirs)
    assert (one == other) == (ours == theirs)
    assert ours != theirs or hash(one) == hash(other)
    assert one.agreeing(other) == {at: number for at, number in ours.items() if theirs.get(at) == number}
    differing = [at for at in ours.keys() | theirs.keys() if ours.get(at) != theirs.get(at)]
    assert one.differing(other).tolist() == sorted(differing)


@given(MAPPINGS, BUCKETS)
def test_some_of_them_are_taken(mapping: dict[int, int], buckets: list[int]) -> None:
    revisions, some = BucketRevisions.of(mapping), np.array(buckets, dtype=np.int64)
    assert revisions.at(some).tolist() == [mapping.get(bucket, 0) for bucket in buckets]
    assert revisions.only(some) == {at: number for at, number in mapping.items() if at in buckets}
    assert revisions.without(some) == {at: number for at, number in mapping.items() if at not in buckets}


@given(MAPPINGS, st.integers(-250, 250), st.integers(-250, 250))
def test_a_part_of_them_begins_in_a_span(mapping: dict[int, int], start: int, stop: int) -> None:
    part = BucketRevisions.of(mapping).part(Span(start, stop))
    assert part == {at: number for at, number in mapping.items() if start <= at < stop}
    if part:
        assert part.span(10) == Span(min(part), max(part) + 10)


@given(MAPPINGS, MAPPINGS)
def test_those_of_other_buckets_are_joined(ours: dict[int, int], theirs: dict[int, int]) -> None:
    others = {bucket: number for bucket, number in theirs.items() if bucket not in ours}
    joined = BucketRevisions.of(ours).joined(BucketRevisions.of(others))
    assert list(joined.items()) == sorted((ours | others).items())


def test_what_is_not_there_raises() -> None:
    with pytest.raises(KeyError):
        NO_REVISIONS[0]
    assert NO_REVISIONS == {}
