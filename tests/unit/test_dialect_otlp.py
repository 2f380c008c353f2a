"""OTLP log records as events: both encodings mean the same, and none of a record is lost."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tracemalloc
from typing import Any

import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from collector.protocols.otlp.encoding import MAX_RECORD_BYTES
from collector.protocols.otlp.http import credentials, dialect, refuse, translate
from collector.protocols.otlp.protobuf import MAX_FIELDS
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Rejection, Translation
from cube.errors import InvalidRequest, Overloaded, TooLarge, Unavailable
from cube.model.event import ABSENT
from tests.dialect_request import context, request

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}

RECORD: dict[str, Any] = {
    "timeUnixNano": "1700000000123456789",
    "observedTimeUnixNano": "1795321963702000000",
    "severityNumber": 9,
    "severityText": "INFO",
    "eventName": "user.login",
    "body": {"kvlistValue": {"values": [{"key": "n.x", "value": {"intValue": 1}}]}},
    "attributes": [
        {"key": "user.id", "value": {"stringValue": "u"}},
        {"key": "count", "value": {"intValue": "-3"}},
        {"key": "share", "value": {"doubleValue": 0.5}},
        {"key": "ok", "value": {"boolValue": False}},
        {"key": "raw", "value": {"bytesValue": "AP8="}},
        {"key": "list", "value": {"arrayValue": {"values": [{"intValue": 1}, {}]}}},
        {"key": "empty", "value": {}},
    ],
    "droppedAttributesCount": 2,
    "flags": 1,
    "traceId": "5B8EFFF798038103D269B633813FC60C",
    "spanId": "EEE19B7EC3C1B174",
}
DATA = {
    "event_name": "user.login",
    "body": {"n.x": 1},
    "attributes": {
        "user.id": "u",
        "count": -3,
        "share": 0.5,
        "ok": False,
        "raw": "AP8=",
        "list": [1, None],
        "empty": None,
    },
    "severity": {"number": 9, "text": "INFO"},
    "trace_id": "5b8efff798038103d269b633813fc60c",
    "span_id": "eee19b7ec3c1b174",
    "flags": 1,
    "dropped_attributes_count": 2,
    "time_unix_nano": "1700000000123456789",
    "observed_time_unix_nano": "1795321963702000000",
    "resource": {"service.name": "shop"},
    "scope": {"name": "lib", "version": "1.0"},
}


def bytes_field(number: int, value: bytes) -> bytes:
    """Write one field that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def resource_attribute(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def tree(*records: Any, resource: Any = None) -> dict[str, Any]:
    described = {"attributes": [resource_attribute("service.name", "shop")]} if resource is None else resource
    scoped = {"scope": {"name": "lib", "version": "1.0"}, "logRecords": list(records)}
    return {"resourceLogs": [{"resource": described, "scopeLogs": [scoped]}]}


def in_json(*records: Any, **given: Any) -> Translation:
    return translate(request(json.dumps(tree(*records, **given)).encode(), JSON), context())


def in_protobuf(body: bytes) -> Translation:
    return translate(request(body, PROTOBUF), context())


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def message() -> ExportLogsServiceRequest:
    """Return what `RECORD` is, made by the official classes."""
    made = ExportLogsServiceRequest()
    resourced = made.resource_logs.add()
    resourced.resource.attributes.add(key="service.name").value.string_value = "shop"
    scoped = resourced.scope_logs.add()
    scoped.scope.name, scoped.scope.version = "lib", "1.0"
    record = scoped.log_records.add(
        time_unix_nano=1700000000123456789,
        observed_time_unix_nano=1795321963702000000,
        severity_number=9,  # type: ignore[arg-type]  # an enum is its number
        severity_text="INFO",
        event_name="user.login",
        dropped_attributes_count=2,
        flags=1,
        trace_id=bytes.fromhex(RECORD["traceId"]),
        span_id=bytes.fromhex(RECORD["spanId"]),
    )
    record.body.kvlist_value.values.add(key="n.x").value.int_value = 1
    for key, name, value in (
        ("user.id", "string_value", "u"),
        ("count", "int_value", -3),
        ("share", "double_value", 0.5),
        ("ok", "bool_value", False),
        ("raw", "bytes_value", b"\x00\xff"),
    ):
        setattr(record.attributes.add(key=key).value, name, value)
    record.attributes.add(key="list").value.array_value.values.extend([AnyValue(int_value=1), AnyValue()])
    record.attributes.add(key="empty")
    return made


def test_both_encodings_mean_the_same_event() -> None:
    from_json = only(in_json(RECORD))
    assert from_json.name == "user.login"
    assert from_json.time == 1700000000123
    assert from_json.data == DATA
    assert only(in_protobuf(message().SerializeToString())) == from_json


def test_numbers_come_as_text_or_as_numbers() -> None:
    as_numbers = RECORD | {"timeUnixNano": 1700000000123456789, "observedTimeUnixNano": 1795321963702000000}
    assert only(in_json(as_numbers)) == only(in_json(RECORD))


@pytest.mark.parametrize(
    ("record", "time"),
    [
        ({"timeUnixNano": "0", "observedTimeUnixNano": "1700000000000000009"}, 1_700_000_000_000),
        ({"timeUnixNano": "1700000000000000007", "observedTimeUnixNano": "5000000"}, 1_700_000_000_000),
        ({}, ABSENT),
    ],
)
def test_the_time_is_that_of_the_event_else_of_its_observation_else_of_its_arrival(
    record: Any, time: Any
) -> None:
    assert only(in_json(record)).time == time


def test_a_record_without_a_name_is_a_log_line() -> None:
    line = only(in_json({"body": {"stringValue": "hello"}}))
    assert (line.name, line.fixed) == ("log", True)
    old = only(in_json({"attributes": [resource_attribute("event.name", "user.logout")]}))
    assert (old.name, old.fixed) == ("user.logout", False)


def test_a_body_that_is_false_or_zero_is_kept() -> None:
    assert only(in_json({"body": {"intValue": 0}})).data["body"] == 0
    assert only(in_json({"body": {"boolValue": False}})).data["body"] is False


def test_the_same_record_has_the_same_id_and_another_another() -> None:
    same = only(in_json(RECORD)).id
    assert only(in_json(RECORD)).id == same
    assert only(in_json(RECORD | {"severityNumber": 10})).id != same
    assert only(in_json(RECORD, resource={})).id != same


def test_a_record_that_has_an_id_keeps_it() -> None:
    record = {"attributes": [resource_attribute("log.record.uid", "uid-1")]}
    assert only(in_json(record)).id == "uid-1"


def test_ids_are_made_where_hashes_are_not_wanted() -> None:
    asked = request(json.dumps(tree(RECORD)).encode(), JSON)
    assert only(translate(asked, context(), hashed_ids=False)).id is ABSENT


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_has_not_become_its_text_for_them(value: float) -> None:
    made = message()
    made.resource_logs[0].scope_logs[0].log_records[0].body.double_value = value
    expected = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
    assert only(in_protobuf(made.SerializeToString())).data["body"] == expected
    assert only(in_json({"body": {"doubleValue": expected}})).data["body"] == expected


def test_ids_that_are_not_valid_are_absent() -> None:
    for ids in ({"traceId": "00" * 16}, {"traceId": "abc"}, {"spanId": "zz" * 8}, {"traceId": None}):
        assert not only(in_json(ids)).data.keys() & {"trace_id", "span_id"}


@pytest.mark.parametrize(
    "bad",
    [
        7,
        None,
        {"body": {"intValue": "1e-5"}},
        {"body": {"intValue": "1_000"}},
        {"body": {"intValue": "9" * 5000}},
        {"body": {"intValue": 10**309}},
        {"body": {"intValue": -(10**400)}},
        {"body": {"doubleValue": "x"}},
        {"timeUnixNano": "-1"},
        {"severityText": 5},
        {"attributes": {"a": 1}},
    ],
    ids=lambda bad: repr(bad)[:40],
)
def test_a_bad_record_costs_only_itself(bad: Any) -> None:
    translation = in_json(RECORD, bad, {"eventName": "other"})
    assert [draft.name for draft in translation.drafts] == ["user.login", "other"]
    assert [rejection.payload for rejection in translation.rejections] == [bad]
    reply = translation.reply(translation.rejections)
    partial = json.loads(reply.body)["partialSuccess"]
    assert (reply.status, partial["rejectedLogRecords"]) == (200, "1")
    assert partial["errorMessage"] == translation.rejections[0].reason


def test_a_bad_record_in_protobuf_costs_only_itself() -> None:
    good = message().resource_logs[0].scope_logs[0].log_records[0].SerializeToString()
    scoped = b"".join(bytes_field(2, record) for record in (good, b"\x12\xff", good))
    translation = in_protobuf(bytes_field(1, bytes_field(2, scoped)))
    assert len(translation.drafts) == 2
    assert translation.rejections[0].payload == {"base64": "Ev8="}
    response = ExportLogsServiceResponse.FromString(translation.reply(translation.rejections).body)
    assert response.partial_success.rejected_log_records == 1
    assert response.partial_success.error_message


def test_a_bad_resource_costs_its_records_alone() -> None:
    given = tree(RECORD, RECORD, resource={"attributes": [{"key": 5}]})
    given["resourceLogs"] += tree(RECORD)["resourceLogs"]
    asked = request(json.dumps(given).encode(), JSON)
    translation = translate(asked, context())
    assert (len(translation.drafts), len(translation.rejections)) == (1, 2)
    assert not credentials(asked).environments


@pytest.mark.parametrize(("headers", "body", "answer"), [(JSON, b"{}", b"{}"), (PROTOBUF, b"", b"")])
def test_an_empty_request_is_a_success(headers: Any, body: bytes, answer: bytes) -> None:
    translation = translate(request(body, headers), context())
    assert not translation.drafts
    reply = translation.reply([])
    assert (reply.status, reply.body, reply.content_type) == (200, answer, headers["Content-Type"])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b"{"),
        (JSON, b"\xff"),
        (JSON, b'{"resourceLogs": 5}'),
        (JSON, b"[" * 100_000),
        (PROTOBUF, b"\x0a\x05"),
        (PROTOBUF, b"\x0a"),
        (PROTOBUF, b"\x0b"),
        (PROTOBUF, b"\xff" * 20),
        (PROTOBUF, b"\x09\x00"),
        (PROTOBUF, b"{}"),
    ],
)
def test_what_is_no_otlp_is_refused_as_a_whole(headers: Any, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        translate(request(body, headers), context())


def test_another_content_type_is_told_by_415() -> None:
    asked = request(b"", {"Content-Type": "text/plain"})
    with pytest.raises(InvalidRequest) as caught:
        translate(asked, context())
    assert refuse(caught.value, asked).status == 415


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable("The store is away."), 503),
        (Overloaded("Full."), 503),
        (TooLarge("Too large."), 413),
        (InvalidRequest("Bad."), 400),
    ],
)
def test_errors_are_told_in_the_encoding_of_the_request(error: InvalidRequest, status: int) -> None:
    told = refuse(error, request(b"", PROTOBUF))
    assert (told.status, told.content_type) == (status, "application/x-protobuf")
    assert Status.FromString(told.body).message == error.message
    told = refuse(error, request(b"", JSON))
    assert (told.status, told.content_type) == (status, "application/json")
    assert json.loads(told.body) == {"message": error.message}
    long = InvalidRequest("x" * 1000)
    assert Status.FromString(refuse(long, request(b"", PROTOBUF)).body).message == long.message


@pytest.mark.parametrize("key", ["deployment.environment.name", "deployment.environment"])
def test_the_environment_is_that_of_the_resource(key: str) -> None:
    resource = {"attributes": [resource_attribute(key, "stage")]}
    given = tree(resource=resource)
    given["resourceLogs"] += tree(resource={})["resourceLogs"]
    assert credentials(request(json.dumps(given).encode(), JSON)).environments == {"stage"}
    made = message()
    made.resource_logs[0].resource.attributes.add(key=key).value.string_value = "stage"
    assert credentials(request(made.SerializeToString(), PROTOBUF)).environments == {"stage"}


def test_the_environment_may_be_data_alone() -> None:
    assert dialect().credentials is not None
    assert dialect(environments=False).credentials is None


def nested(levels: int) -> bytes:
    """Return a record whose body is so many arrays in each other."""
    value = b""
    for _ in range(levels):
        value = bytes_field(5, bytes_field(1, value))
    return bytes_field(1, bytes_field(2, bytes_field(2, bytes_field(5, value))))


def test_deep_values_are_refused_before_they_are_read() -> None:
    for levels in (100, 5_000):
        assert in_protobuf(nested(levels)).rejections
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"arrayValue": {"values": [deep]}}
    assert in_json({"body": deep}).rejections


def test_a_record_over_its_bound_is_refused() -> None:
    translation = in_json({"body": {"stringValue": "x" * MAX_RECORD_BYTES}}, RECORD)
    assert (len(translation.drafts), len(translation.rejections)) == (1, 1)


def test_millions_of_empty_records_take_no_memory() -> None:
    body = bytes_field(1, bytes_field(2, b"\x12\x00" * 1_000_000))
    in_protobuf(b"")  # imports
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge, match=str(MAX_FIELDS)):
            in_protobuf(body)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_values_are_counted_before_they_are_read() -> None:
    body = bytes_field(5, bytes_field(5, b"\x0a\x00" * 400_000))
    empties = in_protobuf(bytes_field(1, bytes_field(2, bytes_field(2, body) * 5)))
    assert (len(empties.drafts), len(empties.rejections)) == (2, 3)
    assert "values" in empties.rejections[0].reason


def test_more_records_than_a_request_may_have_are_refused_untranslated() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        in_json(*[{}] * (MAX_ITEMS + 1))
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        in_protobuf(bytes_field(1, bytes_field(2, b"\x12\x00" * (MAX_ITEMS + 1))))


def test_unknown_fields_are_skipped() -> None:
    body = b"\x78\x01\x79" + bytes(8) + b"\x7d" + bytes(4) + bytes_field(99, b"new")
    assert len(in_protobuf(body + message().SerializeToString()).drafts) == 1
    given = tree(RECORD | {"new": 1}) | {"new": [1]}
    assert len(translate(request(json.dumps(given).encode(), JSON), context()).drafts) == 1


def test_protobuf_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, collector.main; sys.exit('google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_rejections_of_drafts_count_as_rejected_too() -> None:
    assert json.loads(in_json(RECORD).reply([Rejection("Bad.")]).body)["partialSuccess"] == {
        "rejectedLogRecords": "1",
        "errorMessage": "Bad.",
    }
    assert issubclass(ExportLogsServiceRequest, Message)
