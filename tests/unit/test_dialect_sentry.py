"""Sentry's envelopes as events."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest

from collector.protocols.sentry.envelope import SentryEnvelope
from collector.protocols.sentry.protocol import credentials, envelope, refuse, store
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Translation
from cube.errors import InvalidRequest, TooLarge, Unauthenticated, Unavailable
from cube.model.event import ABSENT
from tests.dialect_request import context, request

MILLISECONDS = 1_767_323_045_678
TIME = "2026-01-02T03:04:05.678000Z"
EVENT = {
    "event_id": "ab12",
    "timestamp": TIME,
    "level": "error",
    "message": "no\nbooks",
    "environment": "test",
}


def enveloped(*items: tuple[Any, Any], **headers: Any) -> bytes:
    """Write an envelope; each item's headers get its length."""
    lines = [json.dumps(headers).encode()]
    for given, value in items:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        head = {"type": given, "length": len(content)} if isinstance(given, str) else given
        lines += (json.dumps(head).encode(), content)
    return b"\n".join(lines) + b"\n"


def read(body: bytes) -> Translation:
    return envelope(request(body, captures={"project": "42"}), context())


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def test_an_error_is_an_event_with_all_that_it_says() -> None:
    draft = only(read(enveloped(("event", EVENT), event_id="ab12")))
    assert (draft.name, draft.fixed, draft.time, draft.id) == ("sentry_error", True, MILLISECONDS, "ab12")
    assert draft.data == {"level": "error", "message": "no\nbooks", "environment": "test", "project": "42"}
    old = store(request(json.dumps(EVENT).encode(), captures={"project": "42"}), context())
    assert only(old) == draft
    assert json.loads(old.reply(()).body) == {"id": "ab12"}


def stored(body: bytes) -> Translation:
    return store(request(body, captures={"project": "42"}), context())


def test_an_event_of_old_may_be_packed_in_base64() -> None:
    """As npm's raven 2.6.4 sends it: without a Content-Encoding, as ``application/octet-stream``."""
    plain = json.dumps(EVENT).encode()
    for level in (1, 6, 9):
        packed = base64.b64encode(zlib.compress(plain, level))
        assert packed.startswith(b"eA") == (level == 1)
        assert only(stored(packed)) == only(stored(plain))


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (base64.b64encode(zlib.compress(b"{}"))[:-4], "cut"),
        (base64.b64encode(zlib.compress(b" " * (1 << 20) + b"{}")), "over 1048576 bytes"),
        (b"eJx!", "no JSON in the zlib format"),
        (base64.b64encode(zlib.compress(b"{}")[:-4] + b"0000"), "no JSON in the zlib format"),
    ],
)
def test_an_event_that_cannot_be_unpacked_is_refused(packed: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        stored(packed)


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        (
            "transaction",
            {
                "event_id": "t",
                "start_timestamp": TIME,
                "timestamp": "2026-01-02T03:04:05.690500Z",
                "spans": [],
            },
            ("sentry_transaction", "t", {"spans": [], "duration_ms": 12.5, "project": "42"}),
        ),
        (
            "span",
            {"span_id": "b", "trace_id": "a", "start_timestamp": MILLISECONDS / 1000, "end_timestamp": None},
            ("sentry_span", "ab", {"span_id": "b", "trace_id": "a", "end_timestamp": None, "project": "42"}),
        ),
        ("check_in", {"check_in_id": "c", "status": "ok", "timestamp": TIME}, ("sentry_check_in", "c", None)),
        ("feedback", EVENT, ("sentry_feedback", "ab12", None)),
    ],
)
def test_each_kind_has_its_type_and_id(type: str, value: Any, expected: tuple[str, str, Any]) -> None:
    draft = only(read(enveloped((type, value))))
    assert (draft.name, draft.id, draft.time) == (*expected[:2], MILLISECONDS)
    assert expected[2] is None or draft.data == expected[2]


def test_an_item_may_hold_many() -> None:
    log = {
        "timestamp": MILLISECONDS / 1000,
        "level": "warn",
        "body": "bought",
        "attributes": {"price": {"value": 4, "type": "integer"}, "odd": 5},
    }
    span = {"span_id": "b", "trace_id": "a", "start_timestamp": 1767323045.5, "end_timestamp": 1767323046.75}
    metric = {"timestamp": 1767323045.5, "name": "orders", "type": "counter", "value": 1}
    body = enveloped(
        ("log", {"items": [log, log, 5]}),
        ("span", {"version": 2, "items": [span]}),
        ("trace_metric", {"items": [metric]}),
    )
    translation, again = read(body), read(body)
    assert [each.name for each in translation.drafts] == ["sentry_log"] * 2 + ["sentry_span", "sentry_metric"]
    assert translation.drafts[0].data["attributes"] == {"price": 4, "odd": 5}
    assert translation.drafts[2].data["duration_ms"] == 1250
    assert len({each.id for each in translation.drafts}) == 4, "two equal logs are two"
    assert [each.id for each in again.drafts] == [each.id for each in translation.drafts]
    assert translation.rejections[0].reason == "Got 5; accepted is an object."


def test_what_is_not_an_event_is_not_stored() -> None:
    items = [(name, {"a": 1}) for name in ("session", "client_report", "attachment", "profile", "unheard-of")]
    translation = read(
        enveloped(*items, ({"type": "attachment", "length": 3}, b"\n\xff\n"), ("event", EVENT))
    )
    assert only(translation).id == "ab12"


def test_an_item_without_a_length_ends_with_its_line_and_one_with_it_may_have_newlines() -> None:
    text = json.dumps(EVENT, indent=1).encode()
    body = b'{}\n{"type":"event"}\n%s\n\n{"type":"event","length":%d}\n%s' % (
        json.dumps(EVENT).encode(),
        len(text),
        text,
    )
    first, second = read(body).drafts
    assert first == second
    assert [item.type for item in SentryEnvelope.parse(b'{}\n{"type":"a"}').items()] == ["a"]


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (b"no JSON\n", "not JSON"),
        (b"5\n", "as an item's headers"),
        (b'{"type":"event","length":9999}\n', "Got the length 9999 of"),
        (b'{"type":"event","length":"x"}\n', 'Got the length "x" of'),
        (b'{"type":"event"}\n[]\n', "as an item; accepted is an object"),
        (b'{"type":"log"}\n{}\n', "as the items of a log"),
        (b'{"type":"event"}\n{"timestamp":"soon"}\n', 'Got the time "soon"'),
    ],
)
def test_an_item_that_is_wrong_costs_no_other(items: bytes, reason: str) -> None:
    translation = read(b"{}\n" + items + enveloped(("event", EVENT)).partition(b"\n")[2])
    assert [draft.id for draft in translation.drafts] == ["ab12"]
    assert any(reason in each.reason for each in translation.rejections), translation.rejections
    assert translation.reply(translation.rejections).status == 200


def test_without_an_id_or_a_time_there_is_none() -> None:
    draft = only(read(enveloped(("event", {"message": "x"}))))
    assert (draft.id, draft.time) == (ABSENT, ABSENT)


@pytest.mark.parametrize("body", [b"", b"{", b"[]\n", b"x\n{}"])
def test_what_is_no_envelope_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body)


def test_more_than_a_request_may_have_are_refused() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        read(b"{}\n" + b'{"type":"event"}\n{}\n' * (MAX_ITEMS + 1))


@pytest.mark.parametrize(
    ("headers", "query", "body", "keys"),
    [
        ({"X-Sentry-Auth": "Sentry sentry_version=7, sentry_key=K, sentry_client=x"}, "", b"{}", {"K"}),
        ({"X-Sentry-Auth": "Sentry sentry_key=K,sentry_version=7"}, "", b"{}", {"K"}),
        ({"Authorization": "Sentry sentry_key=K"}, "", b"{}", {"K"}),
        ({}, "sentry_version=7&sentry_key=K", b"", {"K"}),
        ({}, "", b'{"dsn": "http://K@host/42"}\n', {"K"}),
        ({"X-Sentry-Auth": "Sentry sentry_key=K"}, "sentry_key=L", b"", {"K", "L"}),
        ({}, "", b'{"dsn": "http://[::"}\n', set()),
        ({}, "a=1&a=2", b"{}", set()),
    ],
)
def test_the_key_is_that_of_the_dsn(headers: dict[str, str], query: str, body: bytes, keys: set[str]) -> None:
    assert credentials(request(body, headers, f"/api/42/envelope/?{query}")).keys == keys


def test_errors_are_told_in_a_header_as_well() -> None:
    reply = refuse(Unauthenticated("Who is é?"), request())
    assert (reply.status, json.loads(reply.body)) == (401, {"detail": "Who is é?"})
    assert ("X-Sentry-Error", "Who is ??") in reply.headers
    assert refuse(Unavailable("Gone."), request()).status == 503
