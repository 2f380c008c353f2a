"""The messages of OTLP as its JSON has them: lowerCamelCase, unknown fields ignored, nothing required."""

from __future__ import annotations

import msgspec

from collector.protocols.otlp.json_numbers import Number


class Camel(msgspec.Struct, rename="camel", gc=False):
    """A message whose names are in lowerCamelCase."""


class JsonAnyValue(Camel):
    """``AnyValue``: one of the fields."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: Number | None = None
    double_value: Number | msgspec.UnsetType | None = msgspec.UNSET
    bytes_value: str | None = None
    array_value: JsonArray | None = None
    kvlist_value: JsonPairs | None = None


class JsonArray(Camel):
    """``ArrayValue``."""

    values: list[JsonAnyValue | None] | None = None


class JsonPair(Camel):
    """``KeyValue``."""

    key: str = ""
    value: JsonAnyValue | None = None


class JsonPairs(Camel):
    """``KeyValueList``."""

    values: list[JsonPair] | None = None


class JsonResource(Camel):
    """``Resource``."""

    attributes: list[JsonPair] | None = None


class JsonScope(Camel):
    """``InstrumentationScope``."""

    name: str | None = None
    version: str | None = None
    attributes: list[JsonPair] | None = None


class JsonRecord(Camel):
    """``LogRecord``."""

    time_unix_nano: Number | None = None
    observed_time_unix_nano: Number | None = None
    severity_number: Number | None = None
    severity_text: str | None = None
    body: JsonAnyValue | None = None
    attributes: list[JsonPair] | None = None
    dropped_attributes_count: Number | None = None
    flags: Number | None = None
    trace_id: str | None = None
    span_id: str | None = None
    event_name: str | None = None


class JsonEvent(Camel):
    """``Span.Event``."""

    time_unix_nano: Number | None = None
    name: str | None = None
    attributes: list[JsonPair] | None = None
    dropped_attributes_count: Number | None = None


class JsonLink(Camel):
    """``Span.Link``."""

    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    attributes: list[JsonPair] | None = None
    dropped_attributes_count: Number | None = None
    flags: Number | None = None


class JsonStatus(Camel):
    """``Status`` of a span."""

    message: str | None = None
    code: Number | None = None


class JsonSpan(Camel):
    """``Span``."""

    trace_id: str | None = None
    span_id: str | None = None
    trace_state: str | None = None
    parent_span_id: str | None = None
    flags: Number | None = None
    name: str | None = None
    kind: Number | None = None
    start_time_unix_nano: Number | None = None
    end_time_unix_nano: Number | None = None
    attributes: list[JsonPair] | None = None
    dropped_attributes_count: Number | None = None
    events: list[JsonEvent] | None = None
    dropped_events_count: Number | None = None
    links: list[JsonLink] | None = None
    dropped_links_count: Number | None = None
    status: JsonStatus | None = None


class JsonBuckets(Camel):
    """``ExponentialHistogramDataPoint.Buckets``."""

    offset: Number | None = None
    bucket_counts: list[Number] | None = None


class JsonQuantile(Camel):
    """``SummaryDataPoint.ValueAtQuantile``."""

    quantile: Number | None = None
    value: Number | None = None


class JsonPoint(Camel):
    """A data point of any kind; each kind has some of the fields."""

    attributes: list[JsonPair] | None = None
    start_time_unix_nano: Number | None = None
    time_unix_nano: Number | None = None
    flags: Number | None = None
    as_double: Number | None = None
    as_int: Number | None = None
    count: Number | None = None
    sum: Number | None = None
    min: Number | None = None
    max: Number | None = None
    bucket_counts: list[Number] | None = None
    explicit_bounds: list[Number] | None = None
    scale: Number | None = None
    zero_count: Number | None = None
    zero_threshold: Number | None = None
    positive: JsonBuckets | None = None
    negative: JsonBuckets | None = None
    quantile_values: list[JsonQuantile] | None = None


class JsonPoints(Camel):
    """What a metric of any kind holds."""

    data_points: list[JsonPoint | None] | None = None
    aggregation_temporality: Number | None = None
    is_monotonic: bool | None = None


class JsonMetric(Camel):
    """``Metric``: one of the kinds."""

    name: str | None = None
    unit: str | None = None
    gauge: JsonPoints | None = None
    sum: JsonPoints | None = None
    histogram: JsonPoints | None = None
    exponential_histogram: JsonPoints | None = None
    summary: JsonPoints | None = None
