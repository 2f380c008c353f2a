"""Each rule of the promise is held by a test: break it, and a random walk finds a wrong answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cube.store.mongo import calls
from tests.mongo_server import MongoServer, mongo_server
from tests.promise import mutations
from tests.promise.mutations import (
    MUTATIONS,
    OF_DELETIONS,
    OF_GRIDS,
    OF_READING_AHEAD,
    OF_SHARED_SCANS,
    WITH_FILES,
)
from tests.promise.places import ClusterPlace, MongoPlace, SqlitePlace
from tests.promise.walks import walk
from tests.tools import LONG, SLOW

__all__ = ["mongo_server"]

CLUSTER_STEPS = 40
AHEAD_STEPS = 60
SEEDS = range(100)
FINDING = {
    "revisions_are_read_after_the_scan": 6,
    "finer_revisions_are_read_before_the_coarse_ones": 6,
    "values_are_believed_at_any_revision": 6,
    "revisions_are_remembered": 6,
    "answers_count_at_any_version_of_the_store": 6,
    "answers_are_kept_with_the_version_that_follows_them": 17,
    "reads_are_joined_after_they_began": 6,
    "revisions_are_kept_with_the_version_that_follows_them": 28,
    "flights_give_all_that_they_have": 38,
    "flights_are_joined_at_any_revision": 9,
    "scans_are_shared_at_any_revision": 3,
    "connections_keep_their_snapshot": 6,
    "expired_buckets_are_scanned": 8,
    "expired_buckets_without_a_value_are_empty": 8,
    "forgotten_buckets_are_empty": 13,
    "blocks_are_taken_at_any_revision": 6,
    "blocks_are_vouched_for_at_any_revision": 6,
    "blocks_keep_the_revisions_that_follow_their_events": 6,
    "parts_are_known_by_their_numbers": 3,
    "parts_that_have_gone_are_counted": 3,
    "what_is_in_no_part_is_not_read": 3,
    "deletions_raise_nothing": 0,
    "deletions_raise_before_they_delete": 2,
    "deletions_judge_what_they_found": 1,
    "files_are_believed_at_any_revision": 10,
    "files_keep_the_revisions_that_follow_their_events": 10,
}
"""A seed that finds each mutation, to begin with: any other does too, but sometimes only one in ten."""

Mutation = Callable[[pytest.MonkeyPatch], None]


@pytest.mark.parametrize("seed", sorted({FINDING[mutate.__name__] for mutate in MUTATIONS}))
def test_a_walk_with_all_rules_finds_nothing(seed: int) -> None:
    walk(SqlitePlace, seed)


def test_on_a_cluster_with_two_primaries_of_a_shard_nothing_is_stale_for_good(
    mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a walk finds what was done until November 2026: reading without a majority."""
    monkeypatch.setattr(calls, "OPERATION_SECONDS", 1e6)  # a killed actor stands at its gate for good
    seeds = (2, 3, 5, 6, 8, 9, 11, 1)  # each has found it: one is enough
    walk(lambda: ClusterPlace(mongo_server), seeds[0], CLUSTER_STEPS)
    mutations.a_cluster_is_read_without_a_majority(monkeypatch)
    for seed in seeds:
        try:
            walk(lambda: ClusterPlace(mongo_server), seed, CLUSTER_STEPS)
        except AssertionError:
            return
    pytest.fail(f"none of {len(seeds)} walks has found what a split does to reads without a majority")


@pytest.mark.parametrize("seed", range(5 if LONG else 1))
def test_a_walk_with_column_files_finds_nothing(seed: int) -> None:
    walk(SqlitePlace, seed, files=True)


@pytest.mark.parametrize("seed", range(8 if LONG else 2))
def test_a_walk_with_windows_finds_nothing(seed: int) -> None:
    walk(SqlitePlace, seed, windows=True)


@pytest.mark.parametrize(
    "mutate",
    [mutations.values_are_believed_at_any_revision, mutations.flights_are_joined_at_any_revision],
    ids=lambda mutate: mutate.__name__,
)
def test_a_broken_rule_is_found_by_windows(mutate: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in (23, *SEEDS):  # that finds the second one
        try:
            walk(SqlitePlace, seed, windows=True)
        except AssertionError:
            return
    pytest.fail(f"no walk of {len(SEEDS)} has found that {mutate.__name__.replace('_', ' ')}")


@pytest.mark.parametrize("seed", range(12 if LONG else 3))
def test_a_walk_over_grids_finds_nothing(seed: int) -> None:
    walk(SqlitePlace, seed, grids=True)


@pytest.mark.parametrize("mutate", OF_GRIDS, ids=lambda mutate: mutate.__name__)
def test_a_broken_rule_is_found_by_grids(mutate: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in SEEDS:
        try:
            walk(SqlitePlace, seed, grids=True)
        except AssertionError:
            return
    pytest.fail(f"no walk of {len(SEEDS)} has found that {mutate.__name__.replace('_', ' ')}")


@pytest.mark.parametrize("seed", range(12 if LONG else 3))
def test_a_walk_with_deletions_finds_nothing(seed: int) -> None:
    walk(SqlitePlace, seed, deletions=True)


@pytest.mark.parametrize("seed", range(12 if LONG else 2))
def test_a_walk_that_reads_ahead_finds_nothing(seed: int) -> None:
    walk(SqlitePlace, seed, AHEAD_STEPS, ahead=True)


@pytest.mark.parametrize("seed", range(12 if LONG else 2))
def test_a_walk_with_charts_finds_nothing(seed: int) -> None:
    walk(SqlitePlace, seed, AHEAD_STEPS, charts=True)


@pytest.mark.parametrize("mutate", OF_SHARED_SCANS, ids=lambda mutate: mutate.__name__)
def test_a_broken_rule_of_shared_scans_is_found(mutate: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in (FINDING[mutate.__name__], *SEEDS):
        try:
            walk(SqlitePlace, seed, AHEAD_STEPS, charts=True)
        except AssertionError:
            return
    pytest.fail(f"no walk of {len(SEEDS)} has found that {mutate.__name__.replace('_', ' ')}")


@pytest.mark.parametrize("mutate", OF_READING_AHEAD, ids=lambda mutate: mutate.__name__)
def test_a_broken_rule_of_reading_ahead_is_found(mutate: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in (FINDING[mutate.__name__], *SEEDS):
        try:
            walk(SqlitePlace, seed, AHEAD_STEPS, ahead=True)
        except AssertionError:
            return
    pytest.fail(f"no walk of {len(SEEDS)} has found that {mutate.__name__.replace('_', ' ')}")


@SLOW
def test_a_walk_with_deletions_on_mongodb_finds_nothing(
    mongo_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "OPERATION_SECONDS", 1e6)  # a killed actor stands at its gate for good
    for seed in (4, 7):
        walk(lambda: MongoPlace(mongo_server), seed, 60, deletions=True)


@pytest.mark.parametrize("mutate", OF_DELETIONS, ids=lambda mutate: mutate.__name__)
def test_a_broken_rule_of_deletions_is_found(mutate: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in (FINDING[mutate.__name__], *SEEDS):
        try:
            walk(SqlitePlace, seed, deletions=True)
        except AssertionError:
            return
    pytest.fail(f"no walk of {len(SEEDS)} has found that {mutate.__name__.replace('_', ' ')}")


@pytest.mark.parametrize("mutate", WITH_FILES, ids=lambda mutate: mutate.__name__)
def test_a_broken_rule_of_column_files_is_found(mutate: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in (FINDING[mutate.__name__], *SEEDS):
        try:
            walk(SqlitePlace, seed, files=True)
        except AssertionError:
            return
    pytest.fail(f"no walk of {len(SEEDS)} has found that {mutate.__name__.replace('_', ' ')}")


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_a_broken_rule_is_found(mutate: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in (FINDING[mutate.__name__], *SEEDS):
        try:
            walk(SqlitePlace, seed)
        except AssertionError:
            return
    pytest.fail(f"no walk of {len(SEEDS)} has found that {mutate.__name__.replace('_', ' ')}")
