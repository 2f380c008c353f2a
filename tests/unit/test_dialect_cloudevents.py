"""CloudEvents as events: attributes, data in all its forms, headers, replies."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from collector.protocols.cloudevents.http import (
    credentials,
    dialect,
    handshake,
    header_text,
    refuse,
    translate,
)
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Rejection, Translation
from cube.errors import InvalidRequest, TooLarge
from cube.model.event import ABSENT
from tests.dialect_request import context, request

STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/src", "type": "com.acme.order.created"}
HEADERS = {f"ce-{name}": value for name, value in ATTRIBUTES.items()}


def structured(**given: Any) -> Translation:
    return translate(request(json.dumps(ATTRIBUTES | given).encode(), STRUCTURED), context())


def in_binary(body: bytes, **headers: str) -> Translation:
    return translate(
        request(body, HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}), context()
    )


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def status(translation: Translation) -> int:
    return translation.reply(translation.rejections).status


def test_an_event_keeps_its_attributes() -> None:
    given = {"time": "2026-01-02T03:04:05.678901Z", "subject": "é 100%", "dataschema": "http://s", "myext": 3}
    draft = only(structured(data={"k.x": 1}, **given))
    assert (draft.name, draft.time, draft.id) == ("com.acme.order.created", 1_767_323_045_678, "/src\n1")
    assert draft.data == {
        "id": "1",
        "source": "/src",
        "type": "com.acme.order.created",
        "subject": "é 100%",
        "dataschema": "http://s",
        "extensions": {"myext": 3},
        "data": {"k.x": 1},
    }


def test_an_event_without_a_time_happens_on_arrival() -> None:
    assert only(structured()).time is ABSENT


def test_null_attributes_are_absent() -> None:
    assert only(structured(subject=None, myext=None, data=None)).data.keys() == {"id", "source", "type"}


def test_source_and_id_together_identify_an_event() -> None:
    assert only(structured(source="/other")).id == "/other\n1"
    hashed = only(structured(source="/" + "s" * 600)).id
    assert len(hashed) == 64
    assert hashed != only(structured(source="/" + "s" * 601)).id


@pytest.mark.parametrize(
    "given",
    [
        {"id": ""},
        {"id": None},
        {"id": 1},
        {"source": None},
        {"type": ["x"]},
        {"specversion": "2.0"},
        {"specversion": None},
        {"time": "yesterday"},
        {"subject": ""},
        {"data": 1, "data_base64": "AA=="},
        {"data_base64": "not base64!"},
        {"data_base64": 7},
        {"data_base64": "AP8=", "datacontenttype": "application/json"},
    ],
    ids=str,
)
def test_an_event_that_breaks_the_rules_is_refused(given: dict[str, Any]) -> None:
    translation = structured(**given)
    assert not translation.drafts
    (rejection,) = translation.rejections
    assert rejection.payload == ATTRIBUTES | given
    assert rejection.reason.endswith(".")
    assert status(translation) == 400


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ({"data": "x", "datacontenttype": "text/plain"}, {"data": "x"}),
        ({"data": [1, {"a": None}]}, {"data": [1, {"a": None}]}),
        ({"data": False}, {"data": False}),
        ({"data_base64": "AP8="}, {"data_base64": "AP8="}),
        ({"data_base64": "eyJhIjoxfQ==", "datacontenttype": "application/x+json"}, {"data": {"a": 1}}),
        ({"data_base64": "aGk=", "datacontenttype": "text/plain"}, {"data": "hi"}),
        ({"data_base64": "aGk=", "datacontenttype": "image/png"}, {"data_base64": "aGk="}),
        ({"data": "aGk=", "datacontentencoding": "base64", "specversion": "0.3"}, {"data_base64": "aGk="}),
    ],
    ids=str,
)
def test_data_are_stored_in_the_form_that_can_be_queried(given: Any, content: Any) -> None:
    data = only(structured(**given)).data
    assert {name: data[name] for name in ("data", "data_base64") if name in data} == content


@pytest.mark.parametrize(
    ("media", "body", "content"),
    [
        ("application/json; charset=utf-8", b'{"k": "v"}', {"data": {"k": "v"}}),
        ("application/vnd.x+json", b"1", {"data": 1}),
        (None, b'{"k": 1}', {"data": {"k": 1}}),
        (None, b"plain", {"data": "plain"}),
        (None, b"\xff\x00", {"data_base64": "/wA="}),
        ("text/csv", b"a,b", {"data": "a,b"}),
        ("text/plain; charset=iso-8859-1", b"\xe9", {"data": "é"}),
        ("text/plain; charset=punycode", b"a", {"data_base64": "YQ=="}),
        ("application/octet-stream", b"\x00\xff", {"data_base64": "AP8="}),
        ("application/json", b"", {}),
        ("application/json", b"hello", {"data": "hello"}),
        ("application/json; charset=utf-8", b"NaN", {"data": "NaN"}),
        ("application/json", b"[info] started", {"data": "[info] started"}),
        ("application/json", b"[2026-01-02] started", {"data": "[2026-01-02] started"}),
        ("application/json", b"['a', True]", {"data": "['a', True]"}),
        ("application/json", b'"quoted" he said', {"data": '"quoted" he said'}),
        ("application/json", b'"quoted"', {"data": "quoted"}),
        ("application/json", "h\u00e9".encode(), {"data": "h\u00e9"}),
    ],
)
def test_a_body_in_binary_mode_is_read_by_its_media_type(
    media: str | None, body: bytes, content: Any
) -> None:
    data = only(in_binary(body, **({} if media is None else {"Content_Type": media}))).data
    assert {name: data[name] for name in ("data", "data_base64") if name in data} == content
    assert data.get("datacontenttype") == media


def test_broken_json_in_binary_mode_is_refused_with_all_that_came() -> None:
    translation = in_binary(b"{", Content_Type="application/json")
    assert translation.rejections[0].payload["body"] == "{"
    assert translation.rejections[0].payload["source"] == "/src"
    assert status(translation) == 400


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("%C3%A9%20100%25", "é 100%"),
        ("é%", "é%"),  # Latin-1 and a bare %: the JavaScript SDK
        ("\xc3\xa9", "é"),  # UTF-8 that nobody encoded
        ("%E9", "%E9"),  # no UTF-8
        ("%2525", "%25"),  # decoded once
        ('"a \\"b\\""', 'a "b"'),
        ("%zz", "%zz"),
        ("", ""),
    ],
)
def test_header_values_are_decoded_where_that_is_valid(sent: str, meant: str) -> None:
    assert header_text(sent) == meant


def test_headers_become_attributes_and_extensions() -> None:
    draft = only(in_binary(b"", CE_Subject="%C3%A9", ce_MyExt="x"))
    assert draft.data["subject"] == "é"
    assert draft.data["extensions"] == {"myext": "x"}


def test_a_bad_event_of_a_batch_costs_only_itself() -> None:
    batch = [ATTRIBUTES, {}, 7, ATTRIBUTES | {"id": "2"}]
    translation = translate(request(json.dumps(batch).encode(), BATCH), context())
    assert [draft.id for draft in translation.drafts] == ["/src\n1", "/src\n2"]
    assert [rejection.payload for rejection in translation.rejections] == [{}, 7]
    assert "Event 2" in translation.rejections[1].reason
    reply = translation.reply(translation.rejections)
    assert reply.status == 200
    assert json.loads(reply.body)["stored"] == 2


def test_a_reply_tells_no_more_rejections_than_somebody_reads() -> None:
    translation = translate(request(json.dumps([1] * 500 + [ATTRIBUTES]).encode(), BATCH), context())
    report = json.loads(translation.reply(translation.rejections).body)
    assert (report["stored"], len(report["errors"])) == (1, 100)


def test_more_events_than_a_batch_may_have_are_refused_untranslated() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        translate(request(b"[" + b"1," * MAX_ITEMS + b"1]", BATCH), context())


def test_a_batch_is_answered_by_what_became_of_it() -> None:
    empty = translate(request(b"[]", BATCH), context())
    assert status(empty) == 204
    two = translate(request(json.dumps([ATTRIBUTES, ATTRIBUTES]).encode(), BATCH), context())
    assert two.reply([]).status == 204
    assert two.reply([Rejection("Bad.")]).status == 200
    assert two.reply([Rejection("Bad."), Rejection("Worse.")]).status == 400


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"Content-Type": "application/cloudevents+avro"}, b"", 415),
        ({"Content-Type": "application/cloudevents-batch+protobuf"}, b"", 415),
        ({"Content-Type": "application/json"}, b"{}", 400),
        ({}, b"{}", 400),
        (STRUCTURED, b"{", 400),
        (STRUCTURED, b"\xff", 400),
        (STRUCTURED, b"[" * 100_000, 400),
        (BATCH, b"{}", 400),
    ],
)
def test_what_is_no_cloudevent_is_refused_as_a_whole(headers: Any, body: bytes, expected: int) -> None:
    asked = request(body, headers)
    with pytest.raises(InvalidRequest) as caught:
        translate(asked, context())
    reply = refuse(caught.value, asked)
    assert reply.status == expected
    assert json.loads(reply.body)["error"]


def test_a_webhook_is_granted_what_it_asks_for() -> None:
    headers = {"WebHook-Request-Origin": "eventemitter.example.com", "WebHook-Request-Rate": "120"}
    reply = handshake(request(b"", headers, method="OPTIONS"))
    assert reply is not None
    assert reply.status == 200
    assert dict(reply.headers) == {
        "WebHook-Allowed-Origin": "eventemitter.example.com",
        "WebHook-Allowed-Rate": "120",
        "Allow": "POST",
    }
    assert handshake(request(b"", {"Origin": "https://a.example"}, method="OPTIONS")) is None


def test_a_token_in_the_query_is_a_key() -> None:
    assert credentials(request(target="/cloudevents?access_token=k1")).keys == {"k1"}
    assert not credentials(request(target="/cloudevents")).keys
    assert [endpoint.paths for endpoint in dialect().endpoints] == [("/cloudevents", "/")]


def test_deep_data_are_left_for_the_event_to_refuse() -> None:
    deep = json.dumps(ATTRIBUTES | {"data": 0}).replace(": 0", ": " + "[" * 500 + "]" * 500)
    assert translate(request(deep.encode(), STRUCTURED), context()).drafts
    encoded = base64.b64encode(b"[" * 5_000).decode()
    assert structured(data_base64=encoded, datacontenttype="application/json").rejections
