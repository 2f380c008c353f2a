"""PostHog's events as events."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from collector.protocols.posthog import capture, credentials, refuse
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Translation
from cube.errors import (
    AccessDenied,
    CubeError,
    InvalidRequest,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from cube.model.event import ABSENT
from tests.dialect_request import NOW, context, request

EVENT = {
    "event": "Item Bought",
    "distinct_id": "u1",
    "uuid": "0196F7E2-8DA5-7A10-8000-00B0C0FFEE00",
    "timestamp": "2026-01-02T03:04:05.678+00:00",
    "properties": {"price": 9.5, "token": "KEY", "n": None},
    "$set": {"plan": "pro"},
    "library": "posthog-python",
    "type": "capture",
}
MILLISECONDS = 1_767_323_045_678


def sent(body: Any, query: str = "") -> Translation:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return capture(request(text, target=f"/e/?{query}"), context())


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def packed(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_an_event_keeps_its_name_time_id_and_data() -> None:
    draft = only(sent({"api_key": "KEY", "batch": [EVENT], "sent_at": "2026-01-02T03:04:06Z"}))
    assert (draft.name, draft.fixed, draft.time) == ("Item Bought", False, MILLISECONDS)
    assert draft.id == "0196f7e2-8da5-7a10-8000-00b0c0ffee00"
    assert draft.data == {
        "event": "Item Bought",
        "distinct_id": "u1",
        "properties": {"price": 9.5, "n": None},
        "$set": {"plan": "pro"},
        "sent": 1_767_323_046_000,
        "received": NOW,
    }


@pytest.mark.parametrize(
    "body",
    [
        {"batch": [EVENT]},
        EVENT,
        [EVENT],
        b"data=" + quote(packed(EVENT)).encode(),
        b"data=" + quote(packed({"batch": [EVENT]}), safe="").encode() + b"&compression=base64",
        b"api_key=KEY&data=" + quote(json.dumps(EVENT)).encode(),
    ],
)
def test_every_form_of_a_body_is_read(body: Any) -> None:
    assert only(sent(body)).id == "0196f7e2-8da5-7a10-8000-00b0c0ffee00"


def test_the_first_version_tells_what_is_dropped() -> None:
    body = json.dumps({"created_at": "x", "batch": [EVENT, {**EVENT, "event": 5}, 7]}).encode()
    translation = capture(request(body, target="/i/v1/analytics/events/"), context())
    results = json.loads(translation.reply(translation.rejections).body)["results"]
    reason = "Got 5 as the event; accepted is text that is not empty."
    assert results == {EVENT["uuid"]: {"result": "drop", "details": reason}}


def test_an_image_carries_events_in_its_query() -> None:
    asked = request(target=f"/e/?data={quote(packed(EVENT))}&_=1700000000001", method="GET")
    draft = only(capture(asked, context()))
    assert draft.name == "Item Bought"
    assert draft.data["sent"] == 1_700_000_000_001
    asked.method = "HEAD"
    assert not capture(asked, context()).drafts


@pytest.mark.parametrize(
    ("event", "name", "time"),
    [
        ({"event": "$pageview", "properties": {"distinct_id": 7}, "offset": 1500}, "pageview", NOW - 1500),
        ({"event": "$$heatmap", "$distinct_id": "u", "timestamp": "2026-01-02 03:04:05.678"}, "heatmap", -1),
        ({"event": "$", "distinct_id": "u", "timestamp": MILLISECONDS / 1000}, "$", -1),
        ({"event": "a", "distinct_id": "u"}, "a", ABSENT),
    ],
)
def test_names_and_times_are_those_of_the_libraries(event: Any, name: str, time: Any) -> None:
    draft = only(sent([event]))
    assert draft.name == name
    assert draft.time == (MILLISECONDS if time == -1 else time)
    assert draft.data["event"] == event["event"]
    assert draft.id is ABSENT


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (5, "Got 5; accepted is an object"),
        ({**EVENT, "event": ""}, 'Got "" as the event'),
        ({**EVENT, "event": None}, "Got nothing as the event"),
        ({**EVENT, "distinct_id": None}, "no distinct_id"),
        ({**EVENT, "properties": "x"}, 'Got "x" as properties'),
        ({**EVENT, "timestamp": "soon"}, 'Got the time "soon"'),
        ({**EVENT, "timestamp": None, "offset": 1e300}, "Got the time"),
    ],
)
def test_what_is_wrong_costs_only_itself(wrong: Any, reason: str) -> None:
    translation = sent({"batch": [wrong, EVENT]})
    assert len(translation.drafts) == 1
    (rejection,) = translation.rejections
    assert reason in rejection.reason
    assert rejection.payload == wrong
    assert json.loads(translation.reply(translation.rejections).body) == {"status": 1}


@pytest.mark.parametrize("body", [b"", b"{", b"x", b"data=%7B", {"batch": 5}, b"data=e30"])
def test_what_cannot_be_read_at_all_is_refused_or_kept(body: Any) -> None:
    try:
        translation = sent(body)
    except InvalidRequest:
        return
    assert body == b"data=e30"
    assert translation.rejections


def test_more_than_a_request_may_have_are_refused() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        sent([{}] * (MAX_ITEMS + 1))


@pytest.mark.parametrize(
    ("body", "keys"),
    [
        ({"api_key": "A", "batch": [EVENT]}, {"A", "KEY"}),
        ({"token": "A", "batch": []}, {"A"}),
        ([{"properties": {"token": "A"}}, 5], {"A"}),
        ({"api_key": "", "batch": [{"properties": []}]}, set()),
        (b"{", set()),
    ],
)
def test_the_key_is_found_beside_the_events_and_in_them(body: Any, keys: set[str]) -> None:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    assert credentials(request(text)).keys == keys
    assert credentials(request(captures={"key": "A"})).keys == {"A"}


@pytest.mark.parametrize(
    ("error", "status", "type"),
    [
        (InvalidRequest("wrong"), 400, "validation_error"),
        (TooLarge("wrong"), 413, "validation_error"),
        (AccessDenied("wrong"), 401, "authentication_error"),
        (Unauthenticated("wrong"), 401, "authentication_error"),
        (Overloaded("wrong"), 503, "server_error"),
        (Unavailable("wrong"), 503, "server_error"),
    ],
)
def test_errors_are_told_in_posthogs_form(error: CubeError, status: int, type: str) -> None:
    reply = refuse(error, request())
    told = json.loads(reply.body)
    assert (reply.status, told["type"], told["detail"]) == (status, type, "wrong")
