"""Counters and histograms of one thread are told as those of `prometheus_client` are."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from cube.process.counting import CountFamily, DistributionFamily

BUCKETS = (0.001, 1, 2.5, 10)


def told(registry: CollectorRegistry) -> list[str]:
    """What is told, without when counting began, and in order: theirs begins with the sum."""
    return sorted(line for line in generate_latest(registry).decode().splitlines() if "_created" not in line)


@pytest.mark.parametrize("amounts", [[], [1], [1, 2, 0.5]])
def test_a_counter_is_told_as_theirs(amounts: Iterable[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    own = CountFamily("cube_things", "Things.", registry=ours).labels()
    other = Counter("cube_things", "Things.", registry=theirs)
    for amount in amounts:
        own.inc(amount)
        other.inc(amount)
    assert told(ours) == told(theirs)


def test_a_counter_with_labels_has_those_that_were_asked_for() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    own = CountFamily("cube_things", "Things.", ["route", "status"], registry=ours)
    other = Counter("cube_things", "Things.", ["route", "status"], registry=theirs)
    assert told(ours) == told(theirs)
    for route, status in (("/a", 200), ("/a", 200), ("/b", 404)):
        own.labels(route, status).inc()
        other.labels(route, status).inc()
    assert told(ours) == told(theirs)


@pytest.mark.parametrize("values", [[], [0, 0.001, 0.002, 1, 1.5, 10, 11, 1e9], [-1.0, 2.5]])
def test_a_histogram_is_told_as_theirs(values: Iterable[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    own = DistributionFamily("cube_seconds", "Seconds.", buckets=BUCKETS, registry=ours).labels()
    other = Histogram("cube_seconds", "Seconds.", buckets=BUCKETS, registry=theirs)
    for value in values:
        own.observe(value)
        other.observe(value)
    assert told(ours) == told(theirs)


def test_two_of_one_name_are_refused() -> None:
    registry = CollectorRegistry()
    CountFamily("cube_things", "Things.", registry=registry)
    with pytest.raises(ValueError, match="cube_things"):
        Counter("cube_things", "Things.", registry=registry)
