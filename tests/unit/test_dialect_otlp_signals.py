"""OTLP's spans and metrics as events: both encodings mean the same."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.protocols.otlp.http import translate_metrics, translate_spans
from collector.protocols.shared.dialect import DialectState, Draft, RequestContext, Translation
from cube.errors import InvalidRequest
from cube.model.event import ABSENT
from tests.dialect_request import NOW, request

TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
START, END = 1_700_000_000_123_456_789, 1_700_000_000_135_956_789
SPANS: dict[str, Any] = {
    "traceId": TRACE,
    "spanId": SPAN,
    "parentSpanId": PARENT,
    "name": "GET /",
    "kind": 2,
    "startTimeUnixNano": str(START),
    "endTimeUnixNano": str(END),
    "attributes": [{"key": "http.route", "value": {"stringValue": "/"}}],
    "events": [{"name": "e", "timeUnixNano": str(START), "attributes": []}],
    "links": [{"traceId": TRACE, "spanId": PARENT}],
    "status": {"code": 2, "message": "oops"},
    "flags": 257,
    "droppedEventsCount": 1,
}
DATA = {
    "name": "GET /",
    "kind": "server",
    "trace_id": TRACE,
    "span_id": SPAN,
    "parent_span_id": PARENT,
    "duration_ms": 12.5,
    "status": "error",
    "status_message": "oops",
    "attributes": {"http.route": "/"},
    "events": [{"name": "e", "time_unix_nano": str(START)}],
    "links": [{"trace_id": TRACE, "span_id": PARENT}],
    "flags": 257,
    "dropped_events_count": 1,
    "start_time_unix_nano": str(START),
    "end_time_unix_nano": str(END),
    "resource": {"service.name": "shop"},
    "scope": {"name": "lib", "version": "1"},
}
RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]}
SCOPE = {"name": "lib", "version": "1"}


def context(state: DialectState | None = None) -> RequestContext:
    return RequestContext(NOW, "default", DialectState() if state is None else state)


def as_json(tree: Any, kind: Any) -> Any:
    return request(json.dumps(tree).encode(), {"Content-Type": "application/json"})


def as_protobuf(tree: Any, kind: Any) -> Any:
    body = json_format.ParseDict(in_base64(tree), kind()).SerializeToString()
    return request(body, {"Content-Type": "application/x-protobuf"})


def in_base64(tree: Any) -> Any:
    """Protobuf's own JSON has ids in base64, OTLP's in hex."""
    if isinstance(tree, list):
        return [in_base64(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        name: base64.b64encode(bytes.fromhex(value)).decode()
        if name in ("traceId", "spanId", "parentSpanId")
        else in_base64(value)
        for name, value in tree.items()
    }


ENCODINGS = pytest.mark.parametrize("encoded", [as_json, as_protobuf])
Encoded = Callable[[Any, Any], Any]


def spans(encoded: Encoded, *given: Any) -> Translation:
    tree = {"resourceSpans": [{"resource": RESOURCE, "scopeSpans": [{"scope": SCOPE, "spans": list(given)}]}]}
    return translate_spans(encoded(tree, ExportTraceServiceRequest), context())


def metrics(encoded: Encoded, *given: Any, state: DialectState | None = None) -> Translation:
    scoped = [{"scope": SCOPE, "metrics": list(given)}]
    tree = {"resourceMetrics": [{"resource": RESOURCE, "scopeMetrics": scoped}]}
    return translate_metrics(encoded(tree, ExportMetricsServiceRequest), context(state))


def drafts(translation: Translation) -> list[Draft]:
    assert not translation.rejections
    return list(translation.drafts)


@ENCODINGS
def test_a_span_keeps_all_that_it_says(encoded: Encoded) -> None:
    (draft,) = drafts(spans(encoded, SPANS))
    assert (draft.name, draft.fixed, draft.time, draft.id) == ("span", True, START // 10**6, TRACE + SPAN)
    assert draft.data == DATA


@ENCODINGS
def test_a_span_says_little_or_ends_before_it_starts(encoded: Encoded) -> None:
    least = {"traceId": TRACE, "spanId": SPAN}
    backwards = {**least, "startTimeUnixNano": str(END), "endTimeUnixNano": str(START), "kind": 9}
    first, second = drafts(spans(encoded, least, backwards))
    assert first.time is ABSENT
    shared = {"resource": {"service.name": "shop"}, "scope": SCOPE}
    names = {"name": "", "trace_id": TRACE, "span_id": SPAN, "duration_ms": None, "status": "unset"}
    assert first.data == {**names, "kind": "unspecified", **shared}
    assert (second.data["duration_ms"], second.data["kind"]) == (None, "9")


@ENCODINGS
def test_a_span_without_ids_costs_itself_alone(encoded: Encoded) -> None:
    wrong = [{"name": "a"}, {**SPANS, "traceId": "00" * 16}, {**SPANS, "spanId": "ab"}]
    translation = spans(encoded, SPANS, *wrong)
    assert len(translation.drafts) == 1
    assert len(translation.rejections) == 3
    assert "traceId of 16 bytes" in translation.rejections[0].reason
    reply = translation.reply(translation.rejections)
    if encoded is as_protobuf:
        partial = ExportTraceServiceResponse.FromString(reply.body).partial_success
        assert (partial.rejected_spans, "16 bytes" in partial.error_message) == (3, True)
    else:
        assert json.loads(reply.body)["partialSuccess"]["rejectedSpans"] == "3"


def point(**given: Any) -> Any:
    return {"startTimeUnixNano": str(START), "timeUnixNano": str(END), **given}


@ENCODINGS
def test_each_kind_of_metric_keeps_its_values(encoded: Encoded) -> None:
    attributes = [{"key": "a", "value": {"intValue": "1"}}]
    given = [
        {"name": "g", "unit": "ms", "gauge": {"dataPoints": [point(asDouble=1.5, attributes=attributes)]}},
        {
            "name": "s",
            "sum": {"dataPoints": [point(asInt="-7")], "aggregationTemporality": 1, "isMonotonic": True},
        },
        {
            "name": "h",
            "histogram": {
                "dataPoints": [
                    point(count="3", sum=6, min=1, max=3, bucketCounts=["1", "2"], explicitBounds=[2])
                ],
                "aggregationTemporality": 1,
            },
        },
        {
            "name": "e",
            "exponentialHistogram": {
                "dataPoints": [
                    point(count="3", scale=-1, zeroCount="1", positive={"offset": -2, "bucketCounts": ["2"]})
                ],
                "aggregationTemporality": 1,
            },
        },
        {
            "name": "q",
            "summary": {
                "dataPoints": [point(count="3", sum=6, quantileValues=[{"quantile": 0.5, "value": 2}])]
            },
        },
    ]
    made = drafts(metrics(encoded, *given))
    assert {draft.name for draft in made} == {"metric"}
    assert {draft.time for draft in made} == {END // 10**6}
    shared = {
        "resource": {"service.name": "shop"},
        "scope": SCOPE,
        "start_time_unix_nano": str(START),
        "time_unix_nano": str(END),
    }
    assert [draft.data for draft in made] == [
        {"name": "g", "kind": "gauge", "unit": "ms", "attributes": {"a": 1}, "value": 1.5, **shared},
        {"name": "s", "kind": "sum", "temporality": "delta", "monotonic": True, "value": -7, **shared},
        {
            "name": "h",
            "kind": "histogram",
            "temporality": "delta",
            "count": 3,
            "sum": 6,
            "min": 1,
            "max": 3,
            "bounds": [2],
            "buckets": [1, 2],
            **shared,
        },
        {
            "name": "e",
            "kind": "exponential_histogram",
            "temporality": "delta",
            "count": 3,
            "scale": -1,
            "zero_count": 1,
            "positive": {"offset": -2, "buckets": [2]},
            **shared,
        },
        {
            "name": "q",
            "kind": "summary",
            "count": 3,
            "sum": 6,
            "quantiles": [{"quantile": 0.5, "value": 2}],
            **shared,
        },
    ]
    assert len({draft.id for draft in made}) == 5
    assert [draft.id for draft in drafts(metrics(encoded, *given))] == [draft.id for draft in made]


def cumulative(value: float, time: int, start: int = START) -> Any:
    points = [{"startTimeUnixNano": str(start), "timeUnixNano": str(time), "asDouble": value}]
    return {"name": "c", "sum": {"dataPoints": points, "aggregationTemporality": 2, "isMonotonic": True}}


@ENCODINGS
def test_what_a_cumulative_series_has_grown_by_is_told_where_the_point_before_was_seen(
    encoded: Encoded,
) -> None:
    """Again for one that is sent again; all of it after a restart; not for one that comes late."""
    state, second = DialectState(), 10**9
    steps = [
        (cumulative(5, END), None),
        (cumulative(7, END + second), 2),
        (cumulative(7, END + second), 2),
        (cumulative(6, END + second // 2), None),
        (cumulative(3, END + 3 * second, END + 2 * second), 3),
        (cumulative(4, END + 4 * second, END + 2 * second), 1),
    ]
    for given, delta in steps:
        (draft,) = drafts(metrics(encoded, given, state=state))
        assert draft.data.get("delta") == delta
    histogram = {"name": "h", "histogram": {"aggregationTemporality": 2}}
    for count, time in ((1, END), (4, END + second)):
        given = [{"timeUnixNano": str(time), "count": str(count), "sum": 2 * count}]
        histogram["histogram"] = {"aggregationTemporality": 2, "dataPoints": given}
        (draft,) = drafts(metrics(encoded, histogram, state=state))
    assert draft.data["delta"] == {"count": 3, "sum": 6}


def test_a_point_without_a_value_is_no_event_and_no_error() -> None:
    nothing = [point(), point(asDouble=None), point(asInt="1", flags=1), point(asDouble="NaN")]
    assert drafts(metrics(as_json, {"name": "g", "gauge": {"dataPoints": nothing}})) == []
    (draft,) = drafts(metrics(as_json, {"name": "g", "gauge": {"dataPoints": [point(asDouble="Infinity")]}}))
    assert draft.data["value"] == "Infinity"


@ENCODINGS
def test_a_metric_that_is_none_costs_itself_alone(encoded: Encoded) -> None:
    good = {"name": "g", "gauge": {"dataPoints": [point(asInt="1"), point(asInt="2")]}}
    translation = metrics(encoded, {"name": "x"}, good)
    assert len(translation.drafts) == 2
    (rejection,) = translation.rejections
    assert "without data" in rejection.reason
    reply = translation.reply(translation.rejections)
    if encoded is as_protobuf:
        partial = ExportMetricsServiceResponse.FromString(reply.body).partial_success
        assert partial.rejected_data_points == 1
    else:
        assert json.loads(reply.body)["partialSuccess"]["rejectedDataPoints"] == "1"


@pytest.mark.parametrize(
    "metric",
    [
        {"name": 5, "gauge": {"dataPoints": [{}]}},
        {"name": "g", "gauge": {"dataPoints": [None]}},
        {"name": "g", "gauge": {"dataPoints": [{"asInt": "x"}]}},
        {"name": "g", "gauge": {"dataPoints": {}}},
        {"name": "h", "histogram": {"dataPoints": [{"bucketCounts": ["a"]}]}},
        "a",
        None,
    ],
)
def test_json_that_is_no_metric_is_refused(metric: Any) -> None:
    translation = metrics(as_json, metric)
    assert len(translation.rejections) == 1
    assert not translation.drafts


def test_another_signal_is_told() -> None:
    with pytest.raises(InvalidRequest, match="resourceLogs and no resourceSpans"):
        translate_spans(as_json({"resourceLogs": []}, None), context())
