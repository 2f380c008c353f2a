"""CloudEvents, OTLP and Segment: both encodings mean the same, and no input is a fault."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from collector.protocols import segment
from collector.protocols.cloudevents import http as cloudevents
from collector.protocols.otlp import http as otlp
from collector.protocols.shared.dialect import Translation
from cube.errors import InvalidEvent, InvalidRequest
from cube.model.event import ABSENT, Event
from tests.dialect_request import NOW, context, request
from tests.tools import examples

JSON = {"Content-Type": "application/json"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}
INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LEAVES = st.none() | st.booleans() | INTEGERS | st.floats() | TEXT | st.binary(max_size=4)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT.filter(bool), inner, max_size=3),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(TEXT.filter(bool), VALUES, max_size=4)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT.filter(bool), inner, max_size=3),
    max_leaves=8,
)


def in_json(value: Any) -> dict[str, Any]:
    """Return a value as OTLP's JSON has it."""
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value if value - value == 0 else str(value)}
        case str():
            return {"stringValue": value}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list():
            return {"arrayValue": {"values": [in_json(item) for item in value]}}
        case _:
            return {"kvlistValue": {"values": pairs_in_json(value)}}


def pairs_in_json(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": in_json(value)} for key, value in values.items()]


def in_protobuf(value: Any) -> AnyValue:
    """Return a value as the official classes have it."""
    made = AnyValue()
    match value:
        case None:
            pass
        case bool():
            made.bool_value = value
        case int():
            made.int_value = value
        case float():
            made.double_value = value
        case str():
            made.string_value = value
        case bytes():
            made.bytes_value = value
        case list():
            made.array_value.SetInParent()
            made.array_value.values.extend(in_protobuf(item) for item in value)
        case _:
            made.kvlist_value.SetInParent()
            made.kvlist_value.values.extend(pairs_in_protobuf(value))
    return made


def pairs_in_protobuf(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=in_protobuf(value)) for key, value in values.items()]


def message(resource: dict[str, Any], attributes: dict[str, Any], body: Any, name: str) -> bytes:
    made = ExportLogsServiceRequest()
    resourced = made.resource_logs.add()
    resourced.resource.attributes.extend(pairs_in_protobuf(resource))
    record = resourced.scope_logs.add().log_records.add(
        event_name=name, time_unix_nano=1_700_000_000_005_000_000
    )
    record.attributes.extend(pairs_in_protobuf(attributes))
    record.body.CopyFrom(in_protobuf(body))
    return bytes(made.SerializeToString())


def checked(translation: Translation) -> None:
    """Make the reply, and events of all drafts: one that is not valid is refused by name, not a fault."""
    translation.reply(translation.rejections)
    for draft in translation.drafts:
        with suppress(InvalidEvent):
            Event.parse(
                {"type": "a", "time": draft.time, "id": draft.id, "data": draft.data},
                now=NOW,
                unit_known=True,
            )


@given(ATTRIBUTES, ATTRIBUTES, VALUES, TEXT)
def test_both_encodings_of_otlp_mean_the_same(
    resource: dict[str, Any], attributes: dict[str, Any], body: Any, name: str
) -> None:
    record = {
        "timeUnixNano": "1700000000005000000",
        "eventName": name,
        "attributes": pairs_in_json(attributes),
        "body": in_json(body),
    }
    scoped = [{"logRecords": [record]}]
    tree = {"resourceLogs": [{"resource": {"attributes": pairs_in_json(resource)}, "scopeLogs": scoped}]}
    one = otlp.translate(request(json.dumps(tree).encode(), JSON), context())
    other = otlp.translate(request(message(resource, attributes, body, name), PROTOBUF), context())
    assert not one.rejections
    assert one.drafts == other.drafts
    (draft,) = one.drafts
    event = Event.parse(
        {"type": "a", "time": draft.time, "id": draft.id, "data": draft.data}, now=NOW, unit_known=True
    )
    assert event.time == 1_700_000_000_005
    assert event.data is not ABSENT


@given(ATTRIBUTES, VALUES, st.data())
@settings(max_examples=examples(200))
def test_no_damaged_protobuf_is_a_fault(attributes: dict[str, Any], body: Any, data: st.DataObject) -> None:
    damaged = bytearray(message(attributes, attributes, body, "name"))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    asked = request(bytes(damaged), PROTOBUF)
    with suppress(InvalidRequest):
        otlp.credentials(asked)
        checked(otlp.translate(asked, context()))


@given(
    st.dictionaries(
        st.sampled_from(["specversion", "id", "source", "type", "time", "data", "data_base64", "x"]), PLAIN
    ).map(lambda drawn: {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"} | drawn),
    st.sampled_from(["application/cloudevents+json", "application/cloudevents-batch+json"]),
)
def test_no_cloudevent_is_a_fault(event: dict[str, Any], media: str) -> None:
    body: Any = [event, 1] if "batch" in media else event
    asked = request(json.dumps(body).encode(), {"Content-Type": media})
    checked(cloudevents.translate(asked, context()))


@given(
    st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"])),
    st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    st.binary(),
)
def test_no_headers_of_a_cloudevent_are_a_fault(subject: str, media: str | None, body: bytes) -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "/s",
        "ce-type": "t",
        "ce-subject": subject,
    }
    asked = request(body, headers | ({} if media is None else {"Content-Type": media}))
    with suppress(InvalidRequest):
        checked(cloudevents.translate(asked, context()))


@given(st.lists(st.dictionaries(st.sampled_from(["type", "userId", "event", "context", "messageId"]), PLAIN)))
def test_no_message_of_segment_is_a_fault(messages: list[Any]) -> None:
    good = {"type": "track", "userId": "u", "event": "E"}
    asked = request(json.dumps({"batch": [good | message for message in messages]}).encode())
    checked(segment.batch(asked, context()))


@given(st.binary(), st.sampled_from([JSON, PROTOBUF, {"Content-Type": "application/cloudevents+json"}, {}]))
def test_no_bytes_are_a_fault(body: bytes, headers: dict[str, str]) -> None:
    for translate in (otlp.translate, cloudevents.translate, segment.batch):
        with suppress(InvalidRequest):
            checked(translate(request(body, headers), context()))
