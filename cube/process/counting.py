"""Counters and histograms that one thread alone counts in, as plain numbers.

`prometheus_client` takes a lock for each, and calls several functions: for an event that comes alone, that
is a tenth of the event loop's time. These are told as its own are, without ``_created``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

T = TypeVar("T")


class Count:
    """One series of a counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount


class Distribution:
    """One series of a histogram; ``bounds``: the greatest value of each bucket but the last, ascending."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total: float = 0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class CountFamily(Collector):
    """A counter: a `Count` for each combination of labels that was asked for, from the first asking on."""

    def __init__(
        self, name: str, help: str, labels: Sequence[str] = (), *, registry: CollectorRegistry
    ) -> None:
        self._about = name, help
        self._labels = labels
        self._series: dict[tuple[str, ...], Count] = {}
        registry.register(self)

    def labels(self, *values: object) -> Count:
        """Return the series of some values of the labels; to keep it costs less than to ask again."""
        return _series(self._series, values, Count())

    def describe(self) -> Iterator[Metric]:
        yield CounterMetricFamily(*self._about, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(*self._about, labels=self._labels)
        for values, count in list(self._series.items()):
            family.add_metric(values, count.value)
        yield family


class DistributionFamily(Collector):
    """A histogram, likewise; ``buckets``: the bounds of each `Distribution`."""

    def __init__(
        self,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._about = name, help
        self._labels = labels
        self._bounds = tuple(buckets)
        self._ends = [*map(str, map(float, self._bounds)), "+Inf"]
        self._series: dict[tuple[str, ...], Distribution] = {}
        registry.register(self)

    def labels(self, *values: object) -> Distribution:
        """Return the series of some values of the labels, likewise."""
        return _series(self._series, values, Distribution(self._bounds))

    def describe(self) -> Iterator[Metric]:
        yield HistogramMetricFamily(*self._about, labels=self._labels)

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(*self._about, labels=self._labels)
        for values, found in list(self._series.items()):
            buckets = list(zip(self._ends, accumulate(found.counts), strict=True))
            family.add_metric(values, buckets, found.total)
        yield family


def _series(known: dict[tuple[str, ...], T], values: Sequence[object], new: T) -> T:
    return known.setdefault(tuple(map(str, values)), new)
