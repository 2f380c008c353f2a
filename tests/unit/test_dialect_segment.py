"""Segment's messages as events."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from collector.protocols.segment import batch, call, credentials, dialect, pixel, refuse
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Translation
from cube.errors import AccessDenied, InvalidRequest, Overloaded, TooLarge, Unauthenticated, Unavailable
from cube.model.event import ABSENT
from tests.dialect_request import NOW, context, request

TRACK = {
    "type": "track",
    "messageId": "mid-1",
    "timestamp": "2026-01-02T03:04:05.678+00:00",
    "userId": "u1",
    "anonymousId": None,
    "event": "Item Purchased",
    "properties": {"price": 9.5, "in stock": True, "n": None},
    "context": {"library": {"name": "analytics-python"}},
    "integrations": {},
}


def batched(*messages: Any, **body: Any) -> Translation:
    return batch(request(json.dumps({"batch": messages, "writeKey": "wk"} | body).encode()), context())


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def shown(data: str, kind: str = "track") -> Any:
    return request(b"", target=f"/v1/pixel/{kind}?data={data}", method="GET", captures={"kind": kind})


def test_a_tracked_event_keeps_its_name_time_id_and_data() -> None:
    draft = only(batched(TRACK))
    assert (draft.name, draft.fixed) == ("Item Purchased", False)
    assert (draft.time, draft.id) == (1_767_323_045_678, "mid-1")
    assert draft.data == {
        "event": "Item Purchased",
        "properties": {"price": 9.5, "in stock": True, "n": None},
        "user_id": "u1",
        "context": {"library": {"name": "analytics-python"}},
        "received": NOW,
    }


@pytest.mark.parametrize(
    ("message", "stored"),
    [
        ({"type": "identify", "traits": {"plan": "pro"}}, {"traits": {"plan": "pro"}}),
        ({"type": "page", "name": "Home", "category": "Docs"}, {"name": "Home", "category": "Docs"}),
        (
            {"type": "screen", "name": "Home", "properties": {"a": 1}},
            {"name": "Home", "properties": {"a": 1}},
        ),
        ({"type": "group", "groupId": "g", "traits": {}}, {"group_id": "g", "traits": {}}),
        ({"type": "alias", "previousId": "p"}, {"previous_id": "p"}),
    ],
)
def test_the_other_calls_are_types_of_their_own(message: Any, stored: Any) -> None:
    draft = only(batched(message | {"userId": 7}))
    assert (draft.name, draft.fixed) == (message["type"], True)
    assert draft.data == stored | {"user_id": 7}
    single = only(
        call(request(json.dumps(message | {"userId": 7}).encode()), context(), kind=message["type"])
    )
    assert single.data == draft.data


def test_the_batchs_context_is_merged_under_that_of_each_message() -> None:
    first, second = batched(
        {"type": "page", "userId": "u", "context": {"ip": "2.2.2.2"}},
        {"type": "page", "userId": "u"},
        context={"ip": "1.1.1.1", "locale": "de"},
    ).drafts
    assert first.data["context"] == {"ip": "2.2.2.2", "locale": "de"}
    assert second.data["context"] == {"ip": "1.1.1.1", "locale": "de"}


def test_more_messages_than_a_batch_may_have_are_refused_untranslated() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        batched(*[1] * (MAX_ITEMS + 1))


def test_a_batchs_context_is_not_copied_without_bound() -> None:
    messages = [{"type": "page", "userId": "u", "context": {"a": 1}}] * 1_000
    assert batched(*messages, context={"b": "x" * 10_000}).drafts
    with pytest.raises(TooLarge):
        batched(*messages, context={"b": "x" * 20_000})


@pytest.mark.parametrize("levels", range(900, 1_000, 10))
def test_a_context_of_any_depth_is_no_fault(levels: int) -> None:
    body = (
        b'{"batch": [{"type": "page", "userId": "u"}], "context": {"a": '
        + b"[" * levels
        + b"]" * levels
        + b"}}"
    )
    try:
        batch(request(body), context())
    except InvalidRequest as error:
        assert "deep" in error.message  # noqa: PT017  # either is fine; a RecursionError is not


def test_the_time_is_never_that_of_sending() -> None:
    message = {"type": "page", "userId": "u", "sentAt": "2026-01-01T00:00:00Z"}
    assert only(batched(message, sentAt="2026-01-01T00:00:00Z")).time is ABSENT
    original = message | {"timestamp": None, "originalTimestamp": "2025-01-01T00:00:00Z"}
    assert only(batched(original)).time == 1_735_689_600_000


SENT = 1_767_225_600_000


@pytest.mark.parametrize(
    ("message", "body", "clocks"),
    [
        ({}, {}, {}),
        ({}, {"sentAt": "2026-01-01T00:00:00Z"}, {"sent": SENT}),
        ({"timestamp": "2025-01-01T00:00:00Z"}, {}, {"received": NOW}),
        ({"timestamp": SENT, "sentAt": SENT // 1000}, {"sentAt": 5}, {"sent": SENT, "received": NOW}),
        ({"timestamp": SENT, "sentAt": "soon"}, {}, {"sent": "soon", "received": NOW}),
    ],
)
def test_when_it_was_sent_and_received_is_kept_beside_its_time(message: Any, body: Any, clocks: Any) -> None:
    data = only(batched({"type": "page", "userId": "u", **message}, **body)).data
    assert {name: data[name] for name in ("sent", "received") if name in data} == clocks


@pytest.mark.parametrize("time", [SENT, SENT // 1000, str(SENT // 1000), SENT * 1000, "2026-01-01T00:00:00Z"])
def test_a_time_that_is_a_number_tells_its_unit_by_its_magnitude(time: Any) -> None:
    assert only(batched({"type": "page", "userId": "u", "timestamp": time})).time == SENT


@pytest.mark.parametrize(
    "bad",
    [
        7,
        {},
        {"type": "track", "userId": "u"},
        {"type": "track", "userId": "u", "event": ""},
        {"type": "track", "event": "E"},
        {"type": "page", "userId": None, "anonymousId": ""},
        {"type": "teleport", "userId": "u"},
        {"type": ["track"], "userId": "u"},
    ],
    ids=str,
)
def test_a_bad_message_costs_only_itself(bad: Any) -> None:
    translation = batched(TRACK, bad, TRACK | {"messageId": "mid-2"})
    assert [draft.id for draft in translation.drafts] == ["mid-1", "mid-2"]
    assert [rejection.payload for rejection in translation.rejections] == [bad]
    reply = translation.reply(translation.rejections)
    assert (reply.status, json.loads(reply.body)) == (200, {"success": True})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"batch": {}}', b"{}", b"[" * 100_000])
def test_a_body_that_is_no_batch_is_refused(body: bytes) -> None:
    asked = request(body)
    assert not credentials(asked).keys
    with pytest.raises(InvalidRequest) as caught:
        batch(asked, context())
    assert refuse(caught.value, asked).status == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unauthenticated("Unknown."), 401),
        (AccessDenied("Differs."), 401),
        (TooLarge("Too large."), 400),
        (Unavailable("Away."), 503),
        (Overloaded("Full."), 503),
    ],
)
def test_errors_have_segments_statuses(error: Any, status: int) -> None:
    assert refuse(error, request(target="/v1/batch")).status == status


def test_a_write_key_in_the_body_is_a_key() -> None:
    assert credentials(request(b'{"batch": [], "writeKey": "wk"}')).keys == {"wk"}
    assert not credentials(request(b'{"batch": [], "writeKey": 5}')).keys
    assert dialect().secrets == {"writeKey"}


def test_an_import_is_a_batch() -> None:
    translate = {path: endpoint.translate for endpoint in dialect().endpoints for path in endpoint.paths}
    assert translate["/v1/import"] == translate["/v1/batch"]


def test_a_pixel_takes_json_and_base64_of_it_in_all_its_writings() -> None:
    message = json.dumps({"userId": "u", "event": "é>?~~", "writeKey": "wk"}).encode()
    plain = "%7B%22userId%22:%22u%22,%22event%22:%22E%22,%22writeKey%22:%22wk%22%7D"
    encoded = base64.b64encode(message).decode()
    for data in (plain, encoded, encoded.rstrip("="), base64.urlsafe_b64encode(message).decode()):
        asked = shown(data)
        assert only(pixel(asked, context())).data["user_id"] == "u"
        assert credentials(asked).keys == {"wk"}


def test_a_pixel_is_always_an_image() -> None:
    good = pixel(shown(base64.b64encode(b'{"userId":"u","event":"E"}').decode()), context())
    assert good.reply([]).body.startswith(b"GIF89a")
    asked = shown("%7B")
    with pytest.raises(InvalidRequest) as caught:
        pixel(asked, context())
    for error, status in (
        (caught.value, 200),
        (Unauthenticated("Unknown."), 200),
        (Unavailable("The store is away."), 503),
    ):
        reply = refuse(error, asked)
        assert (reply.status, reply.content_type) == (status, "image/gif")
        assert reply.body.startswith(b"GIF89a")
    with pytest.raises(InvalidRequest):
        pixel(shown("e30=", kind="teleport"), context())
