"""OTLP as its writers write it: numbers in every notation, equal records, times in other units."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.protocols.otlp.http import credentials, translate
from collector.protocols.shared.dialect import Translation
from cube.errors import InvalidRequest
from cube.model.event import ABSENT
from tests.dialect_request import context, request

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
TIME = 1_760_000_000_123_000_000


def sent(body: Any) -> Translation:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return translate(request(text, JSON), context())


def in_json(*records: Any) -> Translation:
    return sent({"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]})


def data(record: Any) -> Any:
    translation = in_json(record)
    assert not translation.rejections, translation.rejections
    return translation.drafts[0].data


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({"intValue": "7"}, 7),
        ({"intValue": 3.0}, 3),
        ({"intValue": "3.0"}, 3),
        ({"intValue": "1.76e18"}, 1_760_000_000_000_000_000),
        ({"intValue": 2**53 + 1}, 2**53 + 1),
        ({"intValue": -(2**63)}, -(2**63)),
        ({"intValue": 2**63}, float(2**63)),
        ({"intValue": str(2**63)}, float(2**63)),
        ({"intValue": 1e21}, 1e21),
        ({"doubleValue": None}, "NaN"),
        ({"doubleValue": "NaN"}, "NaN"),
        ({"doubleValue": "-Infinity"}, "-Infinity"),
        ({"doubleValue": "2.5e3"}, 2500.0),
        ({"doubleValue": 4}, 4.0),
        ({}, None),
        ({"stringValue": ""}, ""),
        ({"stringValue": "x", "doubleValue": None}, "x"),
    ],
)
def test_a_number_is_read_in_every_notation(value: Any, read: Any) -> None:
    found = data({"timeUnixNano": "1", "attributes": [{"key": "v", "value": value}]})["attributes"]["v"]
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize("text", ["NaN", "-Infinity"])
def test_a_bare_nan_is_what_its_protobuf_twin_is(text: str) -> None:
    body = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"doubleValue":%b}}]}]}]}' % text.encode()
    assert sent(body).drafts[0].data["body"] == text


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("flags", "1", 1),
        ("flags", 1.0, 1),
        ("droppedAttributesCount", "2", 2),
        ("severityNumber", "9", {"number": 9}),
        ("severityNumber", "SEVERITY_NUMBER_INFO", {"number": 9}),
        ("severityNumber", "SEVERITY_NUMBER_FATAL4", {"number": 24}),
        ("timeUnixNano", 1.76e18, "1760000000000000000"),
        ("timeUnixNano", "1.76e18", "1760000000000000000"),
        ("observedTimeUnixNano", "1760000000123456789", "1760000000123456789"),
    ],
)
def test_a_field_is_read_in_every_notation(field: str, value: Any, read: Any) -> None:
    names = {"flags": "flags", "droppedAttributesCount": "dropped_attributes_count"}
    names |= {"severityNumber": "severity", "timeUnixNano": "time_unix_nano"}
    assert data({field: value})[names.get(field, "observed_time_unix_nano")] == read


@pytest.mark.parametrize(
    "value",
    [
        {"intValue": 3.5},
        {"intValue": "3_0"},
        {"intValue": "NaN"},
        {"intValue": "1e400"},
        {"intValue": "1e999999999"},
        {"doubleValue": "1e400"},
        {"doubleValue": ""},
        {"doubleValue": "0x10"},
    ],
)
def test_what_is_no_number_refuses_its_record(value: Any) -> None:
    translation = in_json({"eventName": "good"}, {"eventName": "bad", "body": value})
    assert [draft.name for draft in translation.drafts] == ["good"]
    assert len(translation.rejections) == 1


def test_equal_records_of_one_request_are_events_and_a_resend_is_the_same() -> None:
    record = {"timeUnixNano": str(TIME), "body": {"stringValue": "burst"}}
    ids = [draft.id for draft in in_json(*[record] * 50).drafts]
    assert len(set(ids)) == 50
    assert [draft.id for draft in in_json(*[record] * 50).drafts] == ids
    assert in_json(record).drafts[0].id == ids[0]


def test_equal_records_of_two_scopes_are_counted_together() -> None:
    group = {"scopeLogs": [{"logRecords": [{"timeUnixNano": str(TIME)}]}]}
    assert len({draft.id for draft in sent({"resourceLogs": [group, group]}).drafts}) == 2


def test_records_without_any_time_are_never_taken_for_a_resend() -> None:
    assert [draft.id for draft in in_json({"body": {"stringValue": "a"}}).drafts] == [ABSENT]
    uid = {"attributes": [{"key": "log.record.uid", "value": {"stringValue": "u"}}]}
    assert in_json(uid).drafts[0].id == "u"


@pytest.mark.parametrize("time", [TIME, TIME // 1000, TIME // 10**6])
def test_the_unit_of_a_time_is_told_by_its_magnitude(time: int) -> None:
    assert in_json({"timeUnixNano": str(time)}).drafts[0].time == TIME // 10**6
    assert in_json({"observedTimeUnixNano": time}).drafts[0].time == TIME // 10**6


@pytest.mark.parametrize(
    "body",
    [
        {"resourceSpans": []},
        {"resource_logs": []},
        {"logRecords": [{"timeUnixNano": "1"}]},
        {"resourceLogs": {}},
        [],
        5,
        b"{",
    ],
)
def test_another_object_is_refused_as_a_whole_and_so_becomes_a_dead_letter(body: Any) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert credentials(request(text, JSON)).environments == frozenset()
    with pytest.raises(InvalidRequest):
        sent(body)


@pytest.mark.parametrize(
    "wrong",
    [
        5,
        None,
        {"instrumentationLibraryLogs": []},
        {"scopeLogs": 5},
        {"scopeLogs": [{"logs": []}]},
        {"scopeLogs": [{"scope": {}, "logRecords": 7}]},
        {"scopeLogs": ["x"]},
        {"scopeLogs": [{"logRecords": [{"message": "x"}]}]},
    ],
)
def test_an_object_that_is_not_understood_costs_only_itself(wrong: Any) -> None:
    good = {"resource": {}, "scopeLogs": [{"logRecords": [{"eventName": "good"}]}]}
    translation = sent({"resourceLogs": [good, wrong, good]})
    assert [draft.name for draft in translation.drafts] == ["good", "good"]
    (rejection,) = translation.rejections
    assert json.dumps(rejection.payload) in json.dumps(wrong)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Return the path to each value in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*path, name))


def test_a_value_that_no_json_has_is_a_rejection_wherever_it_stands() -> None:
    value = {
        "kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [{"intValue": 1}]}}}]}
    }
    record = {"timeUnixNano": "1", "severityNumber": 9, "severityText": "", "flags": 1, "traceId": "ab"}
    record |= {"eventName": "e", "body": value, "attributes": [{"key": "k", "value": {"stringValue": "s"}}]}
    scoped = {"scope": {"name": "n", "attributes": []}, "logRecords": [record]}
    whole = {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [scoped]}]}
    for path in places(whole):
        for bad in (b"NaN", b"1e400", b'"\\ud800"', b'"\xff"', b'{"\\ud800":NaN}', b"[" * 900 + b"]" * 900):
            given = json.loads(json.dumps(whole)) if path else "@"
            target = given
            for name in path[:-1]:
                target = target[name]
            if path:
                target[path[-1]] = "@"
            asked = request(json.dumps(given).encode().replace(b'"@"', bad), JSON)
            credentials(asked)
            with suppress(InvalidRequest):
                translation = translate(asked, context())
                translation.reply(translation.rejections)


def test_what_is_empty_is_no_mistake() -> None:
    for empty in ({"resource": {}}, {"scopeLogs": None}, {"scopeLogs": [{"scope": {}, "schemaUrl": ""}]}):
        assert sent({"resourceLogs": [empty]}).rejections == []


def test_traces_in_protobuf_are_not_taken_for_empty_logs() -> None:
    traces = ExportTraceServiceRequest()
    span = traces.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id = b"1" * 16, b"2" * 8
    translation = translate(request(traces.SerializeToString(), PROTOBUF), context())
    assert not translation.drafts
    assert len(translation.rejections) == 1
    with pytest.raises(InvalidRequest):
        translate(request(b"\x12\x00", PROTOBUF), context())


def test_equal_records_in_protobuf_are_events_too() -> None:
    made = ExportLogsServiceRequest()
    scoped = made.resource_logs.add().scope_logs.add()
    for _ in range(50):
        scoped.log_records.add(time_unix_nano=TIME).body.string_value = "burst"
    translation = translate(request(made.SerializeToString(), PROTOBUF), context())
    assert len({draft.id for draft in translation.drafts}) == 50
