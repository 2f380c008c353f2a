"""The Eye, translated: what is an event, what is not, and what is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from tornado.httputil import HTTPHeaders

from collector.protocols.eye import EYE
from collector.protocols.shared.dialect import RequestContext, Search, Translation
from cube.errors import CubeError, InvalidRequest, NotFound, Unavailable
from cube.expression import print_expression
from cube.model.event import Event
from cube.store.find import Found
from cube.web import Reply, Request
from cube.web.error_replies import MethodNotAllowed

# From the README of the-eye.
EXAMPLE: dict[str, Any] = {
    "session_id": "e2085be5-9137-4e4e-80b5-f1ffddc25423",
    "category": "form interaction",
    "name": "submit",
    "data": {
        "host": "www.consumeraffairs.com",
        "path": "/",
        "form": {"first_name": "John", "last_name": "Doe"},
    },
    "timestamp": "2021-01-01 09:15:27.243860",
}


class DialectState:
    """What a dialect of these tests remembers."""

    def get(self, kind: str, key: str) -> Any:
        return None

    def put(self, kind: str, key: str, value: Any) -> None:
        raise AssertionError("The Eye remembers nothing")


CONTEXT = RequestContext(1_700_000_000_000, "test", DialectState())


def request(
    method: str = "POST",
    target: str = "/api/event/",
    body: bytes = b"",
    content_type: str | None = "application/json",
    **headers: str,
) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        named["Content-Type"] = content_type
    made = Request(method, target, HTTPHeaders(named), "127.0.0.1")
    made.body = body
    return made


def translated(made: Request) -> Translation:
    endpoint = next(one for one in EYE.endpoints if made.path in one.paths)
    return endpoint.translate[made.method](made, CONTEXT)


def sent(value: Any) -> Translation:
    return translated(request(body=json.dumps(value).encode()))


def parsed(translation: Translation) -> Event:
    (draft,) = translation.drafts
    assert not translation.rejections
    assert draft.fixed
    raw = {"type": draft.name, "time": draft.time, "id": draft.id, "data": draft.data}
    return Event.parse(raw, now=0, unit_known=True)


def answered(reply: Reply) -> tuple[int, Any]:
    return reply.status, json.loads(reply.body)


def refused(error: CubeError, made: Request | None = None) -> tuple[int, Any]:
    assert EYE.refuse is not None
    reply = EYE.refuse(error, made or request())
    assert reply is not None
    return answered(reply)


def test_the_example_of_the_readme_becomes_an_event() -> None:
    event = parsed(sent(EXAMPLE))
    assert (event.type, event.time) == ("eye", 1_609_492_527_243)
    assert event.data == {**EXAMPLE, "timestamp": "2021-01-01T09:15:27.243860Z"}
    assert answered(sent(EXAMPLE).reply(())) == (201, {"success": True})


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2021-01-01T09:15:27.243860Z", "2021-01-01T09:15:27.243860Z"),
        ("2021-01-01 09:15:27,5", "2021-01-01T09:15:27.500000Z"),
        ("2021-01-01 09:15:27.1234567", "2021-01-01T09:15:27.123456Z"),
        ("2021-01-01T09:15", "2021-01-01T09:15:00.000000Z"),
        ("2021-01-01T09:15:27+02:00", "2021-01-01T07:15:27.000000Z"),
        ("2021-01-01T09:15:27-0130", "2021-01-01T10:45:27.000000Z"),
        ("2021-1-2 3:04", "2021-01-02T03:04:00.000000Z"),
        ("2999-01-01 00:00", "2999-01-01T00:00:00.000000Z"),
        ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:59.999999Z"),
    ],
)
def test_a_timestamp_is_kept_to_the_microsecond_in_utc(text: str, stored: str) -> None:
    assert parsed(sent({**EXAMPLE, "timestamp": text})).data["timestamp"] == stored


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": ""},
        {"session_id": "  "},
        {"session_id": None},
        {"session_id": True},
        {"session_id": ["a"]},
        {"session_id": "a\0b"},
        {"category": "x" * 151},
        {"name": {}},
        {"timestamp": 1_609_492_527},
        {"timestamp": "2021-01-01"},
        {"timestamp": "2021-02-30 00:00"},
        {"timestamp": "0001-01-01T00:00+14:00"},
        {"timestamp": "yesterday"},
        {"timestamp": None},
        {"data": None},
    ],
)
def test_a_wrong_field_is_no_success_and_is_kept(change: dict[str, Any]) -> None:
    wrong = {**EXAMPLE, **change}
    translation = sent(wrong)
    assert not translation.drafts
    (rejection,) = translation.rejections
    assert next(iter(change)) in rejection.reason
    assert rejection.payload == wrong
    assert answered(translation.reply(translation.rejections)) == (201, {"success": False})


@pytest.mark.parametrize("missing", EXAMPLE)
def test_every_field_is_required(missing: str) -> None:
    (rejection,) = sent({name: value for name, value in EXAMPLE.items() if name != missing}).rejections
    assert missing in rejection.reason


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b'"text"', b"1", b"null", b""])
def test_a_body_that_is_no_object_is_no_success(body: bytes) -> None:
    translation = translated(request(body=body))
    assert not translation.drafts
    assert answered(translation.reply(translation.rejections)) == (201, {"success": False})


def test_an_event_that_cube_refuses_is_no_success() -> None:
    translation = sent({**EXAMPLE, "data": {"n": 2**64}})
    with pytest.raises(InvalidRequest, match="64-bit integers"):
        parsed(translation)
    assert translation.drafts[0].source == {**EXAMPLE, "data": {"n": 2**64}}


def test_numbers_are_made_text_blanks_go_and_other_fields_are_ignored() -> None:
    data = parsed(sent({**EXAMPLE, "session_id": 17, "name": " a  b ", "colour": "red"})).data
    assert (data["session_id"], data["name"]) == ("17", "a  b")
    assert "colour" not in data


@pytest.mark.parametrize("data", [{}, [1, 2], "x", 0, False])
def test_data_is_any_json_but_null(data: Any) -> None:
    assert parsed(sent({**EXAMPLE, "data": data})).data["data"] == data


def test_names_of_any_kind_are_kept_as_they_are() -> None:
    names = {"user.id": 1, "ö": [{"a-b": 2}]}
    data = parsed(sent({**EXAMPLE, "data": names})).data
    assert data["data"] == names
    assert "original" not in data


def test_an_exact_resend_has_the_same_id_and_nothing_else_has() -> None:
    changes: list[Mapping[str, Any]] = [
        {},
        {"session_id": "other"},
        {"name": "other"},
        {"data": {}},
        {"timestamp": "2021-01-01 09:15:27.243861"},
    ]
    ids = [parsed(sent({**EXAMPLE, **change})).id for change in changes]
    assert len(set(ids)) == len(changes)
    again = {**dict(reversed(EXAMPLE.items())), "timestamp": "2021-01-01T10:15:27.243860+01:00"}
    assert parsed(sent(again)).id == ids[0]


def test_ids_of_one_millisecond_are_ordered_by_their_microseconds() -> None:
    stamps = ["2021-01-01 09:15:27.2430", "2021-01-01 09:15:27.243009", "2021-01-01 09:15:27.243860"]
    ids = [str(parsed(sent({**EXAMPLE, "timestamp": stamp})).id) for stamp in stamps]
    assert ids == sorted(ids)


def test_a_form_is_an_event_whose_data_is_json() -> None:
    body = b"session_id=s&category=c&name=n+m&timestamp=2021-01-01+09:15:27.243860&data=%7B%22a%22%3A1%7D"
    event = parsed(translated(request(body=body, content_type="application/x-www-form-urlencoded")))
    assert (event.data["name"], event.data["data"]) == ("n m", {"a": 1})


def test_a_multipart_form_is_an_event() -> None:
    fields = {**{name: str(EXAMPLE[name]) for name in EXAMPLE}, "data": '{"é": 1}'}
    parts = (f'--B\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items())
    body = ("".join(parts) + "--B--\r\n").encode()
    event = parsed(translated(request(body=body, content_type='multipart/form-data; boundary="B"')))
    assert event.data["session_id"] == EXAMPLE["session_id"]
    assert event.data["data"] == {"é": 1}


def test_json_without_a_content_type_is_read() -> None:
    body = json.dumps(EXAMPLE).encode()
    assert parsed(translated(request(body=body, content_type=None))).data["name"] == "submit"
    assert parsed(translated(request(body=body, content_type="Application/JSON; charset=utf-8")))


def refused_body(body: bytes, content_type: str) -> tuple[int, Any]:
    made = request(body=body, content_type=content_type)
    with pytest.raises(InvalidRequest) as caught:
        translated(made)
    return refused(caught.value, made)


def test_what_cannot_be_read_is_told_in_the_protocols_own_form() -> None:
    status, told = refused_body(b"{", "application/json")
    assert status == 400
    assert told["detail"].startswith("JSON parse error - ")
    assert refused_body(b"a", "text/plain") == (
        415,
        {"detail": 'Unsupported media type "text/plain" in request.'},
    )
    assert refused_body(b"data=%7B", "application/x-www-form-urlencoded")[0] == 400
    assert refused_body(b"name=%FF", "application/x-www-form-urlencoded")[0] == 400
    assert refused_body(b"--B", "multipart/form-data; boundary=B")[0] == 400


def test_other_errors_are_told_in_the_protocols_own_form() -> None:
    assert refused(MethodNotAllowed("PUT", ("GET", "POST")), request("PUT")) == (
        405,
        {"detail": 'Method "PUT" not allowed.'},
    )
    assert refused(Unavailable("The store is away.")) == (503, {"detail": "The store is away."})
    assert refused(NotFound("Nothing there.")) == (404, {"detail": "Nothing there."})


def test_the_metadata_names_every_field() -> None:
    endpoint = EYE.endpoints[0]
    assert endpoint.options is not None
    reply = endpoint.options(request("OPTIONS"))
    assert reply is not None
    status, metadata = answered(reply)
    assert status == 200
    assert metadata["actions"]["POST"].keys() == EXAMPLE.keys()


def read(target: str, scheme: str = "http", **headers: str) -> Search | Reply:
    made = request("GET", target, Host="eye.example", **headers)
    made.scheme = scheme
    endpoint = next(one for one in EYE.endpoints if made.path in one.paths)
    return endpoint.reads["GET"](made, CONTEXT)


def searched(query: str = "", scheme: str = "http", **headers: str) -> Search:
    search = read(f"/api/event/?{query}", scheme, **headers)
    assert isinstance(search, Search)
    return search


def test_the_greeting_needs_no_store() -> None:
    for path in ("/api/", "/api"):
        reply = read(path)
        assert isinstance(reply, Reply)
        assert (reply.status, reply.body) == (200, b"Hello from The Eye!")


def test_without_parameters_the_newest_hundred_are_asked_for() -> None:
    search = searched()
    assert print_expression(search.expression) == "eye(*)"
    assert (search.limit, search.offset) == (100, 0)
    assert parsed(sent({**EXAMPLE, "timestamp": "0001-01-01T00:00"})).time in search.span
    assert parsed(sent({**EXAMPLE, "timestamp": "9999-12-31T23:59:59.999999"})).time in search.span


def test_filters_are_exact() -> None:
    search = searched("session_id=s%201&category=page+view&name=x&other=1&api_key=k")
    assert (
        print_expression(search.expression)
        == 'eye(*).eq(session_id,"s 1").eq(category,"page view").eq(name,"x")'
    )
    assert print_expression(searched("session_id=&name=").expression) == "eye(*)"


@pytest.mark.parametrize("low", ["timestamp_after", "timestamp_start"])
@pytest.mark.parametrize("high", ["timestamp_before", "timestamp_end"])
def test_times_are_inclusive_to_the_microsecond(low: str, high: str) -> None:
    search = searched(f"{low}=2021-01-01T09:15:27.243860Z&{high}=2021-01-01+09:15:28")
    assert print_expression(search.expression) == (
        'eye(*).ge(timestamp,"2021-01-01T09:15:27.243860Z").le(timestamp,"2021-01-01T09:15:28.000000Z")'
    )
    assert (search.span.start, search.span.stop) == (1_609_492_527_243, 1_609_492_528_001)


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ("2021-01-01", "2021-01-01T00:00:00.000000Z"),
        ("2021-01-01T09:15:27+02:00", "2021-01-01T07:15:27.000000Z"),
        ("2021-01-01T09:15:27%2B02:00", "2021-01-01T07:15:27.000000Z"),
    ],
)
def test_times_of_filters_have_more_forms(given: str, read_as: str) -> None:
    expression = print_expression(searched(f"timestamp_after={given}").expression)
    assert expression == f'eye(*).ge(timestamp,"{read_as}")'


def test_a_bad_time_is_told_as_the_eye_does() -> None:
    with pytest.raises(InvalidRequest) as caught:
        searched("timestamp_start=yesterday")
    assert refused(caught.value) == (400, {"timestamp": ["Enter a valid date/time."]})


@pytest.mark.parametrize("query", ["limit=0&offset=-1", "limit=x&offset=x", "limit=&offset=", "limit=1.5"])
def test_a_bad_limit_or_offset_is_the_default(query: str) -> None:
    assert (searched(query).limit, searched(query).offset) == (100, 0)


def test_no_link_holds_a_key() -> None:
    answered_page = page("limit=1&api_key=secret&offset=1", 1, 3)
    assert "limit=1&offset=2" in answered_page["next"]
    assert "secret" not in str(answered_page)


def page(query: str, found: int, total: int, scheme: str = "http", **headers: str) -> Any:
    one = Found(0, "i", {"session_id": "s", "timestamp": "1970-01-01T00:00:00.000000Z", "data": 1})
    reply = searched(query, scheme, **headers).reply([one] * found, total)
    assert reply.status == 200
    return json.loads(reply.body)


def test_pages_lead_to_each_other() -> None:
    first = page("session_id=s&limit=2", 2, 5)
    assert first["count"] == 5
    assert first["next"] == "http://eye.example/api/event/?limit=2&offset=2&session_id=s"
    assert first["previous"] is None
    middle = page("offset=2&limit=2", 2, 5)
    assert middle["next"] == "http://eye.example/api/event/?limit=2&offset=4"
    assert middle["previous"] == "http://eye.example/api/event/?limit=2"
    last = page("limit=2&offset=4", 1, 5)
    assert last["next"] is None
    assert last["previous"] == "http://eye.example/api/event/?limit=2&offset=2"
    assert page("offset=7", 0, 5)["next"] is None


def test_a_page_that_was_cut_short_leads_to_what_it_left_out() -> None:
    assert page("limit=50", 3, 40)["next"] == "http://eye.example/api/event/?limit=50&offset=3"


def test_the_pages_have_the_scheme_that_the_client_asked_with() -> None:
    """Which a trusted proxy tells; a header that anybody may send does not."""
    assert page("limit=1", 1, 2, X_Forwarded_Proto="https")["next"].startswith("http://eye.example/")
    assert page("limit=1", 1, 2, scheme="https")["next"].startswith("https://eye.example/")


def test_an_event_comes_back_as_it_was_sent() -> None:
    for change in ({}, {"data": {"user.id": 1, "ö": [{"a-b": 2}]}}, {"data": "x"}):
        given = {**EXAMPLE, **change}
        event = parsed(sent(given))
        reply = searched().reply([Found(event.time, event.id, event.data)], 1)
        (shown,) = json.loads(reply.body)["results"]
        assert shown == {**given, "timestamp": "2021-01-01T09:15:27.243860Z"}
        assert list(shown) == ["session_id", "timestamp", "category", "name", "data"]


def test_a_time_without_a_fraction_is_shown_without_one() -> None:
    event = parsed(sent({**EXAMPLE, "timestamp": "2021-01-01 09:15:27"}))
    reply = searched().reply([Found(event.time, event.id, event.data)], 1)
    assert json.loads(reply.body)["results"][0]["timestamp"] == "2021-01-01T09:15:27Z"


def test_an_event_of_another_make_does_not_break_a_page() -> None:
    reply = searched().reply([Found(0, 1, 5), Found(1_000, 2, {"name": "n"})], 2)
    assert [one["name"] for one in json.loads(reply.body)["results"]] == [None, "n"]
    assert json.loads(reply.body)["results"][1]["timestamp"] == "1970-01-01T00:00:01.000Z"
