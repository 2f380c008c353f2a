"""Tracardi, translated: payloads, what is kept of them, and the replies that its trackers need."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from tornado.httputil import HTTPHeaders

from collector.protocols.shared.dialect import Rejection, RequestContext, Translation
from collector.protocols.tracardi.protocol import TRACARDI
from cube.errors import AccessDenied, CubeError, InvalidRequest, TooLarge, Unauthenticated, Unavailable
from cube.model import instant
from cube.model.environment import Credentials
from cube.model.event import ABSENT, Event
from cube.web import Request

NOW = 1_700_000_000_000
T = 1_600_000_000_000  # 2020-09-13T12:26:40Z


class DialectState(dict[tuple[str, str], Any]):
    """What the dialect remembers."""

    def get(self, kind: str, key: str) -> Any:  # type: ignore[override]  # the port's
        return super().get((kind, key))

    def put(self, kind: str, key: str, value: Any) -> None:
        self[kind, key] = value


def request(
    method: str = "POST",
    target: str = "/track",
    body: Any = b"",
    captures: Mapping[str, str] | None = None,
    **headers: str,
) -> Request:
    fields = HTTPHeaders({name.replace("_", "-"): value for name, value in headers.items()})
    made = Request(method, target, fields, "127.0.0.1")
    made.body = body if isinstance(body, bytes) else json.dumps(body).encode()
    made.captures = captures or {}
    return made


def context(
    memory: DialectState | None = None, environment: str = "test", key: str | None = None
) -> RequestContext:
    return RequestContext(NOW, environment, DialectState() if memory is None else memory, key)


def translated(made: Request, known: RequestContext | None = None) -> Translation:
    path = made.path if not made.captures else "/collect/{event_type}/{source_id}"
    endpoint = next(one for one in TRACARDI.endpoints if path in one.paths)
    return endpoint.translate[made.method](made, known or context())


def tracked(payload: Mapping[str, Any], known: RequestContext | None = None, query: str = "") -> Translation:
    return translated(request(target=f"/track{query}", body={"source": {"id": "src"}, **payload}), known)


def parsed(translation: Translation) -> list[Event]:
    return [
        Event.parse(
            {"type": "a", "time": draft.time, "id": draft.id, "data": draft.data}, now=NOW, unit_known=True
        )
        for draft in translation.drafts
    ]


def answered(translation: Translation, *more: Rejection) -> tuple[int, Any]:
    reply = translation.reply([*translation.rejections, *more])
    return reply.status, json.loads(reply.body)


def profile_id(translation: Translation) -> Any:
    return answered(translation)[1]["profile"]["id"]


def profile_of(translation: Translation) -> Any:
    status, told = answered(translation)
    assert status == 200
    return told["profile"]["id"]


RECEIVED = instant.format(NOW)
PAGE_VIEW = {"type": "page-view"}
SESSION = {"session": {"id": "s1"}, "events": [PAGE_VIEW]}


def test_all_of_a_payload_is_kept_with_each_event() -> None:
    times = {"insert": "2020-09-13T12:26:40.500Z", "create": "2020-09-13T12:26:40", "update": None}
    translation = tracked(
        {
            "session": {"id": "s1", "metadata": {"time": {"insert": "2020-09-13"}}},
            "profile": {"id": "p1", "ids": ["a", "b"], "metadata": {"time": {"insert": "2020-09-12"}}},
            "device": {"id": "d1"},
            "context": {"browser": {"name": "Chrome"}, "page": {"url": "/payload"}},
            "properties": {"campaign": 1},
            "request": {"r": 1},
            "options": {"saveSession": True},
            "metadata": {"ip": "::1"},
            "events": [
                {
                    "id": "e1",
                    "type": "Purchase-Order",
                    "time": times,
                    "properties": {"total.price": 13.45},
                    "context": {"page": {"url": "/event"}},
                    "options": {"async": True},
                    "tags": ["x"],
                    "validation": {"error": False},
                }
            ],
        }
    )
    (draft,) = translation.drafts
    (event,) = parsed(translation)
    assert (draft.name, draft.fixed, event.time, event.id) == ("Purchase-Order", False, T + 500, "e1")
    assert event.data == {
        "type": "Purchase-Order",
        "source": {"id": "src"},
        "session": {"id": "s1", "metadata": {"time": {"insert": "2020-09-13"}}},
        "profile": {"id": "p1", "ids": ["a", "b"], "metadata": {"time": {"insert": "2020-09-12"}}},
        "device": {"id": "d1"},
        "context": {"browser": {"name": "Chrome"}, "page": {"url": "/event"}},
        "request": {"r": 1},
        "payload": {
            "properties": {"campaign": 1},
            "options": {"saveSession": True},
            "metadata": {"ip": "::1"},
        },
        "properties": {"total.price": 13.45},
        "tags": ["x"],
        "options": {"async": True},
        "time": {
            "insert": "2020-09-13T12:26:40.500Z",
            "create": "2020-09-13T12:26:40.000Z",
            "received": RECEIVED,
        },
        "validation": {"error": False},
    }


@pytest.mark.parametrize(
    ("times", "time"),
    [
        ({"insert": "2020-09-13 12:26:40.123456", "create": "2020-01-01T00:00:00Z"}, T + 123),
        ({"create": "2020-09-13T12:26:40.431Z", "insert": None}, T + 431),
        ({"insert": T // 1000}, T),
        ({"insert": T}, T),
        ({"create": T * 1000 + 999}, T),
        ({"create": str(T // 1000)}, T),
        ({"create": f"{T // 1000}.25"}, T + 250),
        ({"update": "2020-09-13T12:26:40Z"}, NOW),
        ({}, NOW),
        (None, NOW),
    ],
)
def test_an_event_happened_when_it_was_inserted_else_created_else_now(times: Any, time: int) -> None:
    (event,) = parsed(tracked({"events": [{"type": "a", "time": times}]}))
    assert event.time == time
    assert event.timed == (time != NOW)


def test_an_event_without_a_time_happened_when_its_payload_says() -> None:
    """As the Python client does it, which gives its events no time of their own."""
    times = {"insert": "2020-09-13 12:26:40.598080"}
    events = [{"type": "a"}, {"type": "a", "time": {"create": T}}]
    own, given = parsed(tracked({"metadata": {"time": times}, "events": events}))
    assert (own.time, given.time) == (T + 598, T)
    assert own.data["time"] == {"received": RECEIVED}
    assert own.data["payload"]["metadata"] == {"time": times}


@pytest.mark.parametrize("times", ["insert=now", {"insert": "now"}, {"insert": None}, None, [1]])
def test_a_payloads_time_that_cannot_be_read_costs_nothing(times: Any) -> None:
    (event,) = parsed(tracked({"metadata": {"time": times}, "events": [{"type": "a"}]}))
    assert (event.time, event.timed) == (NOW, False)
    assert event.data["payload"]["metadata"] == {"time": times}


@pytest.mark.parametrize("text", [str(T + 5000), str(T // 1000 + 5), "2020-09-13T12:26:45Z"])
def test_when_a_request_was_sent_stands_beside_the_events_time(text: str) -> None:
    event = {"type": "a", "time": {"create": T}}
    made = request(body={"source": {"id": "s"}, "events": [event, {"type": "b"}]}, X_Timestamp=text)
    first, second = parsed(translated(made))
    sent = {"sent": "2020-09-13T12:26:45.000Z", "received": RECEIVED}
    assert (first.time, first.data["time"]) == (T, {"create": "2020-09-13T12:26:40.000Z", **sent})
    assert (second.time, second.data["time"]) == (NOW, sent)


def test_a_time_of_sending_that_is_none_costs_nothing() -> None:
    made = request(body={"source": {"id": "s"}, "events": [{"type": "a"}]}, X_Timestamp="now")
    (event,) = parsed(translated(made))
    assert (event.time, "time" in event.data) == (NOW, False)
    assert event.data["request"]["headers"] == {"x-timestamp": "now"}


def test_events_that_are_equal_in_all_stay_as_many() -> None:
    events = [{"type": "a", "time": {"create": T}}] * 3
    assert len({event.id for event in parsed(tracked({"events": events}))}) == 3


def test_an_event_without_an_id_has_none() -> None:
    assert [draft.id for draft in tracked(SESSION).drafts] == [ABSENT]


def test_tags_in_the_options_are_tags() -> None:
    """The JavaScript tracker puts them there."""
    (event,) = parsed(tracked({"events": [{"type": "a", "options": {"tags": ["x", "y"]}}]}))
    assert event.data["tags"] == ["x", "y"]


def test_null_objects_and_unknown_fields_do_no_harm() -> None:
    nothing = dict.fromkeys(("session", "profile", "context", "properties", "request", "options", "device"))
    event = {"type": " a ", "id": None, "time": None, "properties": None, "options": None, "tags": None}
    translation = tracked({**nothing, "metadata": None, "colour": 1, "events": [event]})
    assert parsed(translation)[0].data["type"] == "a"


# Replies.


def test_the_reply_has_what_trackers_need() -> None:
    status, told = answered(tracked({**SESSION, "profile": {"id": "p1"}}))
    assert status == 200
    assert UUID(told.pop("task"))
    assert told == {
        "ux": [],
        "response": {},
        "events": [],
        "profile": {"id": "p1"},
        "session": {"id": "s1"},
        "errors": [],
        "warnings": [],
    }


def test_a_payload_without_events_is_answered_with_null() -> None:
    for payload in ({}, {"events": []}, {"events": None}):
        translation = tracked(payload)
        assert not translation.drafts
        assert answered(translation) == (200, None)


def test_put_is_answered_with_null() -> None:
    assert answered(translated(request("PUT", body=b"anything"))) == (200, None)


def test_a_debugger_is_told_the_ids_of_the_events() -> None:
    translation = tracked({"options": {"debugger": True}, "events": [{"type": "a", "id": "e1"}, PAGE_VIEW]})
    first, second = answered(translation)[1]["events"]
    assert (first, second) == ("e1", translation.drafts[1].id)
    assert UUID(second)


@pytest.mark.parametrize("option", ["saveEvents", "saveEvent"])
def test_events_that_are_not_to_be_saved_are_answered_as_usual(option: str) -> None:
    translation = tracked({**SESSION, "options": {option: False}})
    assert not translation.drafts
    assert profile_of(translation)
    assert tracked({**SESSION, "options": {option: "no"}}).drafts
    wrong = tracked({"events": [PAGE_VIEW, {}], "options": {option: False}})
    assert (wrong.drafts, wrong.rejections) == ((), ())
    assert answered(wrong)[0] == 226


@pytest.mark.parametrize(("option", "name"), [("saveSession", "session"), ("saveProfile", "profile")])
def test_of_what_is_not_to_be_saved_only_the_id_is(option: str, name: str) -> None:
    entities = {"session": {"id": "s1", "x": 1}, "profile": {"id": "p1", "x": 1}}
    (event,) = parsed(tracked({**entities, "events": [PAGE_VIEW], "options": {option: False}}))
    for each, entity in entities.items():
        assert event.data[each] == ({"id": entity["id"]} if each == name else entity)


# Errors.


@pytest.mark.parametrize(
    ("event", "location"),
    [
        ({}, ["type"]),
        ({"type": " "}, ["type"]),
        ({"type": True}, ["type"]),
        ({"type": "a", "id": ""}, ["id"]),
        ({"type": "a", "id": "x" * 513}, ["id"]),
        ({"type": "a", "properties": [1]}, ["properties"]),
        ({"type": "a", "context": "x"}, ["context"]),
        ({"type": "a", "options": 1}, ["options"]),
        ({"type": "a", "tags": "x"}, ["tags"]),
        ({"type": "a", "time": "now"}, ["time"]),
        ({"type": "a", "time": {"create": "yesterday"}}, ["time", "create"]),
        ({"type": "a", "time": {"insert": True}}, ["time", "insert"]),
        ("text", []),
        (None, []),
    ],
)
def test_a_bad_event_costs_none_beside_it(event: Any, location: list[str]) -> None:
    translation = tracked({"session": {"id": "s1"}, "events": [PAGE_VIEW, event, {"type": "b"}]})
    assert [draft.name for draft in translation.drafts] == ["page-view", "b"]
    (rejection,) = translation.rejections
    assert rejection.payload == event
    status, told = answered(translation)
    assert (status, told["errors"]) == (226, [rejection.reason])
    assert told["profile"]["id"]

    alone = tracked({"events": [event]})
    status, told = answered(alone)
    assert status == 422
    (problem,) = told["detail"]
    assert problem["loc"] == ["body", "events", 0, *location]
    assert problem["type"] in ("missing", "value_error")
    assert problem["msg"] == rejection.reason


@pytest.mark.parametrize("bad", [b"NaN", b"1e400", b'"\\ud83d"', b'"\xfc"'])
def test_a_bad_value_that_events_have_in_common_costs_none_of_them(bad: bytes) -> None:
    body = b"""{"source": {"id": "s"}, "session": {"id": "s1", "x": %b}, "context": {"page": "/a", "x": %b},
        "device": {"n": 18446744073709551616}, "events": [{"type": "a"}, {"type": "b"}]}"""
    translation = translated(request(body=body % (bad, bad)))
    assert [event.data for event in parsed(translation)] == [
        {"type": type, "source": {"id": "s"}, "session": {"id": "s1"}, "device": {"n": 2.0**64}}
        | {"profile": {"id": profile_id(translation)}}
        for type in ("a", "b")
    ]
    assert [list(rejection.payload) for rejection in translation.rejections] == [["session"], ["context"]]
    status, told = answered(translation)
    assert (status, len(told["errors"])) == (226, 2)
    assert answered(translation, Rejection("one."), Rejection("two."))[0] == 406


def test_an_event_that_cannot_be_stored_is_told() -> None:
    rejection = Rejection("Too deep.")
    status, told = answered(tracked({"events": [PAGE_VIEW, PAGE_VIEW]}), rejection)
    assert (status, told["errors"]) == (226, ["Too deep."])
    alone = answered(tracked({"events": [PAGE_VIEW]}), rejection)
    assert alone == (406, {"detail": "Validation failed with error: Too deep."})


def refused(error: CubeError) -> tuple[int, Any]:
    assert TRACARDI.refuse is not None
    reply = TRACARDI.refuse(error, request())
    assert reply is not None
    return reply.status, json.loads(reply.body)


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (b"{", []),
        (b"[]", []),
        (b"null", []),
        (b"{}", ["source"]),
        (b'{"source": "x"}', ["source"]),
        (b'{"source": {}}', ["source", "id"]),
        (b'{"source": {"id": "x"}, "session": {}}', ["session", "id"]),
        (b'{"source": {"id": "x"}, "profile": {"id": null}}', ["profile", "id"]),
        (b'{"source": {"id": "x"}, "context": []}', ["context"]),
        (b'{"source": {"id": "x"}, "events": {}}', ["events"]),
    ],
)
def test_a_payload_of_the_wrong_form_is_told_as_tracardi_does(body: bytes, location: list[str]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        translated(request(body=body))
    status, told = refused(caught.value)
    assert (status, [problem["loc"] for problem in told["detail"]]) == (422, [["body", *location]])


def test_other_errors_are_told_as_tracardi_does() -> None:
    assert refused(Unauthenticated("The key is not known.")) == (
        401,
        {"detail": "Access denied. Invalid source."},
    )
    assert refused(AccessDenied("Not that environment.")) == (401, {"detail": "Not that environment."})
    assert refused(TooLarge("Too large.")) == (413, {"detail": "Too large."})
    assert refused(Unavailable("Away.")) == (503, {"detail": "Away."})


def test_a_source_of_tracardis_own_is_refused() -> None:
    with pytest.raises(Unauthenticated, match="Invalid source"):
        tracked({"source": {"id": " @internal"}, "events": [PAGE_VIEW]})


# Sources.


def test_a_source_is_the_key_and_a_header_names_the_environment() -> None:
    assert TRACARDI.credentials is not None
    made = request(body={"source": {"id": " key "}}, X_Context="staging")
    assert TRACARDI.credentials(made) == Credentials(frozenset({"key"}), frozenset({"staging"}))
    collect = request("GET", "/collect/a/key", captures={"event_type": "a", "source_id": "key"})
    assert TRACARDI.credentials(collect) == Credentials(frozenset({"key"}))
    for body in (b"{", b"[]", b'{"source": "key"}', b'{"source": {"id": ["key"]}}', b'{"source": null}'):
        assert TRACARDI.credentials(request(body=body)) == Credentials()


def test_a_source_that_is_a_key_is_stored_by_the_keys_name() -> None:
    (event,) = parsed(tracked({**SESSION, "source": {"id": "secret", "name": "web"}}, context(key="shop")))
    assert event.data["source"] == {"id": "shop", "name": "web"}
    assert "secret" not in json.dumps(event.data)


def test_secrets_of_the_request_are_not_stored() -> None:
    given = {"headers": {"Authorization": "a", "cookie": "c", "x": 1}, "list": [{"api_key": "k", "y": 2}]}
    made = request(
        body={"source": {"id": "s"}, "request": given, "events": [PAGE_VIEW]},
        User_Agent="UA/1",
        Cookie="c",
        Authorization="a",
    )
    (event,) = parsed(translated(made))
    assert event.data["request"] == {"headers": {"user-agent": "UA/1", "x": 1}, "list": [{"y": 2}]}


# Profiles.


def test_one_session_is_one_profile_in_any_process() -> None:
    first, second = profile_of(tracked(SESSION)), profile_of(tracked(SESSION))
    assert first == second
    assert UUID(first)
    assert profile_of(tracked({**SESSION, "session": {"id": "s2"}})) != first
    assert profile_of(tracked(SESSION, context(environment="other"))) != first


def test_a_given_profile_is_that_of_the_session_from_then_on() -> None:
    memory = DialectState()
    assert profile_of(tracked({**SESSION, "profile": {"id": "p1"}}, context(memory))) == "p1"
    assert profile_of(tracked(SESSION, context(memory))) == "p1"
    assert profile_of(tracked({**SESSION, "profile": {"id": "p2"}}, context(memory))) == "p2"
    assert profile_of(tracked(SESSION, context(memory))) == "p2"


def test_a_session_that_is_not_to_be_saved_is_not_remembered() -> None:
    memory = DialectState()
    tracked({**SESSION, "profile": {"id": "p1"}, "options": {"saveSession": False}}, context(memory))
    assert not memory


def test_a_profile_handed_over_from_another_domain_is_taken() -> None:
    handed = {"tracardi": {"pass": {"profile": "p0", "source": "other"}}}
    payload = {**SESSION, "profile": {"id": "p1"}, "context": handed}
    assert profile_of(tracked(payload)) == "p0"
    assert parsed(tracked(payload))[0].data["profile"]["id"] == "p0"
    for nothing in ({"pass": None}, {"pass": {"profile": " "}}, {"pass": {"profile": 5}}, "x"):
        assert profile_of(tracked({**payload, "context": {"tracardi": nothing}})) == "p1"


def test_without_a_session_every_payload_is_a_profile_of_its_own() -> None:
    anonymous = {"events": [PAGE_VIEW]}
    assert profile_of(tracked(anonymous)) != profile_of(tracked(anonymous))
    assert profile_of(tracked({**anonymous, "profile": {"id": "p1"}})) == "p1"
    assert answered(tracked(anonymous))[1]["session"] == {"id": None}


def test_without_a_profile_there_is_none() -> None:
    for translation in (
        tracked({**SESSION, "profile": {"id": "p1"}}, query="?profile_less=true"),
        tracked({**SESSION, "profile": {"id": "p1"}, "profile_less": True}),
    ):
        assert profile_of(translation) is None
        assert "profile" not in parsed(translation)[0].data
    assert profile_of(tracked({**SESSION, "profile_less": True}, query="?profile_less=false"))


# Webhooks.


def collected(method: str = "POST", query: str = "", body: Any = b"", **headers: str) -> Event:
    captures = {"event_type": "order-placed", "source_id": "src", "session_id": "s1"}
    made = request(method, f"/collect/order-placed/src/s1{query}", body, captures, **headers)
    translation = translated(made)
    assert translation.drafts[0].name == "order-placed"
    status, told = answered(translation)
    assert (status, told["profile"], told["session"]) == (200, {"id": None}, {"id": "s1"})
    (event,) = parsed(translation)
    return event


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        (b'{"a.b": 1}', {"a.b": 1}),
        (b"[1]", {"body": [1]}),
        (b"text", {"body": "text"}),
        (b'{"a":', {"body": '{"a":'}),
        (b"\xff", {"body": "\ufffd"}),
    ],
)
def test_the_body_of_a_webhook_is_the_properties(body: bytes, properties: Any) -> None:
    event = collected(body=body)
    assert event.data["properties"] == properties
    assert event.data["session"] == {"id": "s1"}


def test_a_form_of_a_webhook_is_the_properties() -> None:
    event = collected(body=b"a=1&b=x+y", Content_Type="application/x-www-form-urlencoded")
    assert event.data["properties"] == {"a": "1", "b": "x y"}


def test_the_query_of_a_webhook_is_the_properties() -> None:
    event = collected("GET", "?a=1&b=&c=1&c=2&api_key=k")
    assert event.data["properties"] == {"a": "1", "b": "", "c": ["1", "2"]}


def test_a_query_of_too_many_parameters_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than 100 parameters"):
        collected("GET", "?" + "a=1&" * 101)


def test_a_head_request_stores_nothing() -> None:
    captures = {"event_type": "a", "source_id": "src"}
    made = request("GET", "/collect/a/src?x=1", captures=captures)
    made.method = "HEAD"
    endpoint = TRACARDI.endpoints[1]
    assert not endpoint.translate["GET"](made, context()).drafts


def test_a_webhook_without_a_body_is_an_event() -> None:
    made = request("POST", "/collect/a/src", captures={"event_type": "a", "source_id": "src"})
    (event,) = parsed(translated(made))
    assert event.data == {"type": "a", "source": {"id": "src"}}
