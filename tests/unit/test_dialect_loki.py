"""What is pushed to Loki, as events."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from collector.protocols.loki.protocol import push, refuse
from collector.protocols.loki.push import MAX_FIELDS, as_object, labels_of
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Translation
from cube.errors import InvalidRequest, TooLarge, Unauthenticated, Unavailable
from cube.web.body import Body, BodyBudget
from tests.dialect_request import context, request

NANOSECONDS = 1_767_323_045_678_000_042
MILLISECONDS = 1_767_323_045_678
STREAM = {"stream": {"app": "shop", "n": 1}, "values": [[str(NANOSECONDS), "bought"]]}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def pushed(*streams: Any) -> Translation:
    return push(request(json.dumps({"streams": streams}).encode()), context())


def packed(message: bytes) -> Translation:
    body = bytes(pa.Codec("snappy").compress(message, asbytes=True))
    return push(request(body, PROTOBUF), context())


def field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + varint(len(content)) + content


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes((low | 0x80,)) + varint(rest) if rest else bytes((low,))


def entry(line: bytes, *metadata: tuple[bytes, bytes], nanoseconds: int = NANOSECONDS) -> bytes:
    seconds, rest = divmod(nanoseconds, 10**9)
    time = b"\x08" + varint(seconds % 2**64) + b"\x10" + varint(rest)
    pairs = b"".join(field(3, field(1, name) + field(2, value)) for name, value in metadata)
    return field(1, time) + field(2, line) + pairs


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def test_a_line_is_an_event_with_its_labels() -> None:
    draft = only(pushed(STREAM))
    assert (draft.name, draft.fixed, draft.time) == ("log", True, MILLISECONDS)
    assert draft.data == {"labels": {"app": "shop", "n": 1}, "line": "bought"}
    assert pushed(STREAM).reply(()).status == 204


def test_a_label_names_the_type() -> None:
    draft = only(pushed({**STREAM, "stream": {"cube_type": "Shop Log", "app": "a"}}))
    assert (draft.name, draft.fixed, draft.data["labels"]) == ("Shop Log", False, {"app": "a"})


def test_json_metadata_and_the_form_before_version_1_are_read() -> None:
    draft = only(pushed({"stream": {}, "values": [[str(NANOSECONDS), '{"price": 3}', {"trace": "x"}]]}))
    assert draft.data == {"labels": {}, "fields": {"price": 3}, "metadata": {"trace": "x"}}
    old = {"labels": '{app="shop"}', "entries": [{"ts": "2026-01-02T03:04:05.678+00:00", "line": "bought"}]}
    draft = only(pushed(old))
    assert (draft.time, draft.data) == (MILLISECONDS, {"labels": {"app": "shop"}, "line": "bought"})


def test_protobuf_in_snappy_is_the_same() -> None:
    stream = field(1, b'{app="shop"}') + field(2, entry(b"a", (b"trace", b"x"))) + field(2, entry(b"\xff"))
    translation = packed(field(1, stream) + b"\x10\x05")
    assert [draft.data for draft in translation.drafts] == [
        {"labels": {"app": "shop"}, "line": "a", "metadata": {"trace": "x"}},
        {"labels": {"app": "shop"}, "line": "\ufffd"},
    ]
    assert {draft.time for draft in translation.drafts} == {MILLISECONDS}
    plain = only(pushed({"stream": {"app": "shop"}, "values": [[str(NANOSECONDS), "a", {"trace": "x"}]]}))
    assert plain.id == translation.drafts[0].id


def test_a_line_that_is_sent_again_is_the_same_and_ids_keep_the_order_within_a_millisecond() -> None:
    values = [[str(NANOSECONDS + n), "same"] for n in (0, 1, 2)]
    first, again = (pushed({**STREAM, "values": values}).drafts for _ in range(2))
    ids = [str(draft.id) for draft in first]
    assert ids == [draft.id for draft in again] == sorted(ids)
    assert len(set(ids)) == 3
    assert only(pushed({**STREAM, "stream": {"app": "other"}})).id not in ids


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{}", {}),
        (' { a = "b" , c_1="d, e}" } ', {"a": "b", "c_1": "d, e}"}),
        (r'{a="\"q\" \\ \n\t\x41\u00e9\U0001F600\101\a"}', {"a": '"q" \\ \n\té'.replace("é", "Aé😀A\a")}),
        (r'{a="\ud800"}', {"a": "\ufffd"}),
        ("{a=`raw \\n`}", {"a": "raw \\n"}),
    ],
)
def test_labels_are_written_as_in_go(text: str, labels: dict[str, str]) -> None:
    assert labels_of(text) == labels


@pytest.mark.parametrize("text", ["", "{", 'a="b"', "{a=b}", '{="b"}', '{a="b}', '{a="b" c="d"}'])
def test_what_is_no_labels_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="Got the labels"):
        labels_of(text)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (5, "Got 5 as a stream"),
        ({"values": []}, "as the labels of a stream"),
        ({"labels": "{", "entries": []}, "Got the labels"),
        ({"stream": {}}, "as the values of a stream"),
        ({"stream": {}, "values": [5]}, "Got 5; accepted is an array"),
        ({"stream": {}, "values": [["1"]]}, "accepted is an array"),
        ({"stream": {}, "values": [["soon", "x"]]}, 'Got the time "soon"'),
        ({"stream": {}, "values": [[None, "x"]]}, "Got the time null"),
        ({"stream": {}, "values": [["1767323045", "x"]]}, "accepted are nanoseconds since 1970, from 1973"),
        ({"stream": {}, "values": [[str(NANOSECONDS), 5]]}, "Got 5 as a line"),
        ({"stream": {}, "values": [[str(NANOSECONDS), "x", "y"]]}, "as the metadata"),
    ],
)
def test_what_is_wrong_costs_only_itself_and_is_no_error(stream: Any, reason: str) -> None:
    translation = pushed(stream, STREAM)
    assert len(translation.drafts) == 1
    (rejection,) = translation.rejections
    assert reason in rejection.reason
    assert translation.reply(translation.rejections).status == 204


def test_what_is_wrong_in_protobuf_costs_only_itself() -> None:
    good = field(2, entry(b"a"))
    bad = field(2, b"\x12\x7fx") + field(2, entry(b"old", nanoseconds=-5))
    translation = packed(field(1, field(1, b"{") + good) + field(1, field(1, b"{}") + bad + good))
    assert len(translation.drafts) == 1
    assert [each.reason.split(";")[0] for each in translation.rejections] == [
        'Got the labels "{"',
        "The protobuf ends 126 bytes before its end.",
        "Got the time -5",
    ]


@pytest.mark.parametrize("body", [b"", b"\xff" * 9, b"\x05abc", b"\x05\x10abcde junk"])
def test_what_snappy_cannot_unpack_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="snappy"):
        push(request(body, PROTOBUF), context())


def test_no_body_is_unpacked_beyond_its_bound() -> None:
    asked = request(varint(10**9) + b"\x00a", PROTOBUF)
    asked.hold = Body(asked.headers, 10**6, BodyBudget(10**6)).hold
    with pytest.raises(TooLarge, match=str(10**6)):
        push(asked, context())
    with pytest.raises(TooLarge, match=str(MAX_FIELDS)):
        packed(field(1, field(1, b"{}") + field(2, b"") * MAX_FIELDS))
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        pushed({"stream": {}, "values": [0] * (MAX_ITEMS + 1)})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"streams": 5}'])
def test_what_has_no_streams_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        push(request(body), context())


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('{"a": 1}\n', {"a": 1}),
        ('{"a": NaN}', None),
        ('{"a": 1e999}', None),
        ('{"": 1}', None),
        ('{"a": ' + "[" * 50 + "]" * 50 + "}", None),
        ("[1]", None),
        ("{a}", None),
        ('{"a": "\ud800"}', {"a": "?"}),
    ],
)
def test_a_line_of_json_is_fields_where_an_event_may_hold_them(line: str, value: Any) -> None:
    assert as_object(line) == value


def test_errors_are_plain_text() -> None:
    reply = refuse(Unauthenticated("Who is it?"), request())
    assert (reply.status, reply.body, reply.content_type[:10]) == (401, b"Who is it?\n", "text/plain")
    assert refuse(Unavailable("Gone."), request()).status == 503
