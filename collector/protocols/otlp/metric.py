"""Metrics: each data point is an event of type ``metric``, whose name is data, for there are many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from collector.protocols.otlp.encoding import Drafter, Encoding
from collector.protocols.otlp.record import Attributes, InstrumentationScope, milliseconds, present
from collector.protocols.shared.dialect import DialectState, Draft
from collector.protocols.shared.values import hashed
from cube.errors import InvalidRequest

TYPE: Final = "metric"

TEMPORALITIES: Final = ("unspecified", "delta", "cumulative")

_TEMPORALITY_NAMES: Final = {
    f"AGGREGATION_TEMPORALITY_{name.upper()}": number for number, name in enumerate(TEMPORALITIES)
}
_KINDS: Final = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_NO_RECORDED_VALUE = 1
_SEEN: Final = "otlp_series"


@dataclass(frozen=True, slots=True)
class SeenPoint:
    """The newest point of a cumulative series that this process has seen, and what it added."""

    start: int
    time: int
    totals: Mapping[str, float]
    added: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Point:
    """One encoded data point, and what it has in common with the others of its metric."""

    encoded: Any
    kind: str
    shared: Mapping[str, Any]

    @property
    def is_cumulative(self) -> bool:
        return self.shared.get("temporality") == TEMPORALITIES[2]


class PointDrafter(Drafter):
    """Parts metrics into points, and makes the drafts of these.

    ``state``: what has been seen of cumulative series.
    """

    def __init__(
        self, encoding: Encoding, resource: Attributes, scope: InstrumentationScope, state: DialectState
    ) -> None:
        self._encoding = encoding
        self._shared = present(resource=resource, scope=msgspec.to_builtins(scope))
        self._state = state

    def parts(self, encoded: Any) -> Iterable[Any]:
        try:
            self._encoding.check_size(encoded)
            return list(self._points(self._encoding.message(encoded)))
        except InvalidRequest as error:
            return (error,)

    def _points(self, metric: Any) -> Iterator[Point]:
        of, kind = self._encoding, self._encoding.either(metric, _KINDS)
        if kind is None:
            raise InvalidRequest(f"Got a metric without data; accepted is one of {', '.join(_KINDS)}.")
        content = getattr(metric, kind)
        shared = {"name": metric.name or "", "kind": kind, **present(unit=metric.unit)}
        if kind in ("sum", "histogram", "exponential_histogram"):
            number = of.enum(content.aggregation_temporality, _TEMPORALITY_NAMES)
            shared["temporality"] = TEMPORALITIES[number if 0 <= number < len(TEMPORALITIES) else 0]
        if kind == "sum":
            shared["monotonic"] = bool(content.is_monotonic)
        return (Point(each, kind, shared) for each in of.counted(content.data_points))

    def draft(self, part: Point | InvalidRequest) -> Draft | None:
        """Make the event of a point; None where it says that there is no value."""
        if isinstance(part, InvalidRequest):
            raise part
        return self._draft(part)

    def _draft(self, point: Point) -> Draft | None:
        of, given = self._encoding, point.encoded
        if given is None:
            raise InvalidRequest("Got null as a data point; accepted is an object.")
        if of.whole(given.flags) & _NO_RECORDED_VALUE:
            return None
        values = self._values(point)
        if values is None:
            return None
        start, time = of.whole(given.start_time_unix_nano), of.whole(given.time_unix_nano)
        series = {**point.shared, **present(attributes=of.pairs(given.attributes)), **self._shared}
        times = present(start_time_unix_nano=str(start or ""), time_unix_nano=str(time or ""))
        added = self._added(point, series, start, time, values) if time else {}
        id = hashed([series, start, time])
        delta = {"delta": added.get("value", added)} if added else {}
        data = {**series, **times, **values, **delta}
        return Draft(TYPE, milliseconds(time), id, data, data, fixed=True)

    def _values(self, point: Point) -> dict[str, Any] | None:
        given, of = point.encoded, self._encoding
        match point.kind:
            case "gauge" | "sum":
                return self._number(given)
            case "summary":
                quantiles = [
                    {"quantile": of.double(each.quantile), "value": of.double(each.value)}
                    for each in of.counted(given.quantile_values)
                ]
                return {"count": of.whole(given.count), "sum": of.double(given.sum), "quantiles": quantiles}
            case "histogram":
                bounds = [of.double(each) for each in of.counted(given.explicit_bounds)]
                buckets = [of.whole(each) for each in of.counted(given.bucket_counts)]
                return self._distribution(given) | present(bounds=bounds, buckets=buckets)
            case _:
                return self._distribution(given) | self._exponential(given)

    def _number(self, given: Any) -> dict[str, Any] | None:
        of = self._encoding
        name = of.either(given, ("as_int", "as_double"))
        if name is None:
            return None
        value = of.whole(given.as_int) if name == "as_int" else of.double(given.as_double)
        return None if value == "NaN" else {"value": value}

    def _distribution(self, given: Any) -> dict[str, Any]:
        of = self._encoding
        named = {name: of.optional(given, name) for name in ("sum", "min", "max")}
        read = {name: of.double(value) for name, value in named.items() if value is not None}
        return {"count": of.whole(given.count), **read}

    def _exponential(self, given: Any) -> dict[str, Any]:
        of = self._encoding
        sides = {name: self._side(of.optional(given, name)) for name in ("positive", "negative")}
        return {
            "scale": of.whole(given.scale),
            "zero_count": of.whole(given.zero_count),
            **present(zero_threshold=of.double(given.zero_threshold or 0.0), **sides),
        }

    def _side(self, side: Any) -> dict[str, Any]:
        """Read ``positive`` or ``negative``: counts from the bucket (base^offset, base^(offset + 1)] on."""
        if side is None:
            return {}
        counts = [self._encoding.whole(each) for each in self._encoding.counted(side.bucket_counts)]
        return {"offset": self._encoding.whole(side.offset), "buckets": counts} if counts else {}

    def _added(
        self, point: Point, series: Mapping[str, Any], start: int, time: int, values: Mapping[str, Any]
    ) -> Mapping[str, float]:
        """Return what a cumulative series has grown by since its point before, where that was seen here.

        A point that comes again has what it had; after a restart all of it is new.
        """
        names = ("value", "count", "sum")
        totals = {name: values[name] for name in names if isinstance(values.get(name), int | float)}
        if not point.is_cumulative or not totals:
            return {}
        key = hashed(series)
        seen: SeenPoint | None = self._state.get(_SEEN, key)
        if seen is not None and time <= seen.time:
            return seen.added if time == seen.time else {}
        added: dict[str, float] = {}
        if seen is not None and start == seen.start:
            added = {name: totals[name] - seen.totals[name] for name in totals if name in seen.totals}
        elif seen is not None and start >= seen.time:
            added = totals
        self._state.put(_SEEN, key, SeenPoint(start, time, totals, added))
        return added
