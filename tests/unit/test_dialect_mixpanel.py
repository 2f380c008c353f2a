"""Mixpanel's events as events."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from collector.protocols.mixpanel import credentials, dialect, is_ours, refuse
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Translation
from cube.errors import AccessDenied, InvalidRequest, TooLarge, Unavailable
from cube.model.event import ABSENT
from cube.web import FORM
from tests.dialect_request import context, request

EVENT = {
    "event": "Item Bought",
    "properties": {
        "token": "KEY",
        "distinct_id": "u1",
        "time": 1767323045.678,
        "$insert_id": "i1",
        "price": 4,
    },
}
MILLISECONDS = 1_767_323_045_678
FORMS = {"Content-Type": FORM}
PATHS = {path: endpoint for endpoint in dialect().endpoints for path in endpoint.paths}


def base64_of(value: Any) -> str:
    return quote(base64.b64encode(json.dumps(value).encode()).decode(), safe="")


def sent(
    body: bytes, target: str = "/track", headers: Mapping[str, str] | None = None, method: str = "POST"
) -> Translation:
    made = request(body, headers or FORMS, target, method)
    return PATHS[made.path].translate[method](made, context())


def form(value: Any, target: str = "/track") -> Translation:
    return sent(f"data={base64_of(value)}&verbose=1".encode(), target)


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def told(translation: Translation) -> tuple[int, Any]:
    reply = translation.reply(translation.rejections)
    return reply.status, json.loads(reply.body)


def test_an_event_keeps_its_name_time_and_properties() -> None:
    draft = only(form(EVENT))
    assert (draft.name, draft.fixed, draft.time) == ("Item Bought", False, MILLISECONDS)
    assert draft.data == {"event": "Item Bought", "properties": {"distinct_id": "u1", "price": 4}}


def test_the_id_is_that_of_an_event_of_one_person() -> None:
    ids = [
        only(form({**EVENT, "event": name, "properties": {**EVENT["properties"], **other}})).id  # type: ignore[dict-item]
        for name, other in (
            ("a", {}),
            ("a", {"price": 9, "time": 1767323046}),
            ("b", {}),
            ("a", {"distinct_id": "u2"}),
            ("a", {"$insert_id": "i2"}),
        )
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4
    assert only(form({"event": "a", "properties": {"time": 1767323045}})).id is ABSENT


@pytest.mark.parametrize(
    "body",
    [
        b"data=" + base64_of([EVENT]).encode(),
        b"data=" + quote(json.dumps(EVENT)).encode() + b"&ip=0",
        json.dumps([EVENT]).encode(),
        json.dumps(EVENT).encode() + b"\n",
    ],
)
def test_every_form_of_a_body_is_read(body: bytes) -> None:
    assert only(sent(body)).time == MILLISECONDS


def test_the_query_of_a_get_is_read() -> None:
    target = f"/track?verbose=0&data={base64_of(EVENT)}"
    translation = sent(b"", target, method="GET")
    assert only(translation).name == "Item Bought"
    assert translation.reply(()).body == b"1"
    assert sent(b"", f"{target}&img=1", method="GET").reply(()).content_type == "image/gif"


@pytest.mark.parametrize(
    ("name", "time", "expected"),
    [("$identify", 1767323045, 1_767_323_045_000), ("a", MILLISECONDS, MILLISECONDS), ("a", None, ABSENT)],
)
def test_times_are_read_in_the_units_that_libraries_send(name: str, time: Any, expected: Any) -> None:
    draft = only(form({"event": name, "properties": {"time": time}}))
    assert (draft.name, draft.time) == (name.lstrip("$"), expected)


def test_profiles_and_groups_are_events_of_their_own_types() -> None:
    profile = {"$token": "KEY", "$distinct_id": "u1", "$time": MILLISECONDS, "$set": {"plan": "pro"}}
    draft = only(form([profile], "/engage"))
    assert (draft.name, draft.fixed, draft.time) == ("mixpanel_profile", True, MILLISECONDS)
    assert draft.data == {"$distinct_id": "u1", "$set": {"plan": "pro"}}
    group = {"$token": "KEY", "$group_key": "company", "$group_id": "acme", "$set": {}, "$time": 0}
    assert (only(form(group, "/groups")).name, only(form(group, "/groups")).time) == (
        "mixpanel_group",
        ABSENT,
    )


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (5, "Got 5; accepted is an object"),
        ({"properties": {}}, "Got nothing as the event"),
        ({"event": "a"}, "as properties"),
        ({"event": "a", "properties": {"time": "soon"}}, 'Got the time "soon"'),
    ],
)
def test_what_is_wrong_costs_only_itself(wrong: Any, reason: str) -> None:
    translation = form([wrong, EVENT])
    assert len(translation.drafts) == 1
    assert reason in translation.rejections[0].reason
    assert told(translation) == (200, {"status": 1, "error": None})


def test_an_import_counts_and_tells_what_is_wrong_where_it_is_asked_to() -> None:
    wrong = {"event": "", "properties": {"$insert_id": "x"}}
    lines = "\n".join(json.dumps(each) for each in (EVENT, wrong, EVENT)).encode() + b"\nno JSON"
    status, answer = told(sent(lines, "/import"))
    assert (status, answer) == (200, {"code": 200, "num_records_imported": 2, "status": "OK"})
    status, answer = told(sent(lines, "/import?strict=1"))
    assert (status, answer["code"], answer["num_records_imported"]) == (400, 400, 2)
    assert [(each["index"], each["insert_id"]) for each in answer["failed_records"]] == [(1, "x"), (3, "")]
    assert told(form(EVENT, "/import")) == (200, {"status": 1, "error": None})


@pytest.mark.parametrize("body", [b"", b"data=%7B", b"data=x!", b"a=b"])
def test_what_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        sent(body)


def test_more_than_a_request_may_have_are_refused() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        sent(b"{}" * (MAX_ITEMS + 1), "/import")


@pytest.mark.parametrize(
    ("body", "headers", "query", "keys"),
    [
        (b"data=" + base64_of([EVENT, {"$token": "A"}]).encode(), {}, "", {"KEY", "A"}),
        (b"data=" + base64_of(EVENT).encode() + b"&api_key=B", {}, "", {"B"}),
        (b"data=" + base64_of(EVENT).encode(), {"Authorization": "Basic eDp5"}, "", set()),
        (b"data=" + base64_of(EVENT).encode(), {}, "api_key=B", set()),
        (b"data=%7B", {}, "", set()),
    ],
)
def test_the_token_is_the_key_unless_one_stands_outside(
    body: bytes, headers: dict[str, str], query: str, keys: set[str]
) -> None:
    assert credentials(request(body, {**FORMS, **headers}, f"/import?{query}")).keys == keys


def test_a_form_is_mixpanels_and_json_tracardis() -> None:
    assert is_ours(request(headers=FORMS))
    assert is_ours(request(method="GET"))
    assert not is_ours(request(headers={"Content-Type": "application/json"}))
    beacon = request(headers={"Content-Type": "text/plain;charset=UTF-8"})
    assert not is_ours(beacon)
    beacon.query = "verbose=1&ip=1&_=1795978736219"
    assert is_ours(beacon)
    assert not is_ours(request())


def test_errors_are_told_in_mixpanels_form() -> None:
    reply = refuse(AccessDenied("No."), request())
    assert (reply.status, json.loads(reply.body)) == (401, {"status": 0, "error": "No."})
    assert refuse(Unavailable("Gone."), request()).status == 503


@pytest.mark.parametrize("prefix", ["", "/mixpanel"])
def test_settings_and_recordings_are_answered_and_nothing_is_kept(prefix: str) -> None:
    """A page takes any other answer for an error, and tells of each."""
    token = {"Authorization": "Basic S0VZOg=="}
    asked = sent(b"", f"{prefix}/settings?sdk_config=1&mp_lib=web", token, "GET")
    assert (asked.drafts, told(asked)) == ((), (200, {}))
    recorded = {**token, "Content-Type": "application/octet-stream"}
    taken = sent(b"\x1f\x8b\x08part", f"{prefix}/record?format=gzip&seq=0", recorded)
    assert (taken.drafts, told(taken)) == ((), (200, {"code": 200, "status": "OK"}))
