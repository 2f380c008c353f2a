"""JSON lines as events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.protocols.lines import dialect
from collector.protocols.shared.dialect import MAX_ITEMS, Draft, Translation
from cube.errors import InvalidRequest, TooLarge
from cube.model.event import ABSENT
from tests.dialect_request import context, request

TIME = "2026-01-02T03:04:05.678Z"
MILLISECONDS = 1_767_323_045_678


def read(
    body: bytes = b"", query: str = "", type: str | None = None, method: str = "POST", **headers: str
) -> Translation:
    (endpoint,) = dialect(hashed_ids=True).endpoints
    captures = {} if type is None else {"type": type}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    made = request(body, named, f"/1.0/lines?{query}", method, captures)
    return endpoint.translate[method](made, context())


def only(translation: Translation) -> Draft:
    assert not translation.rejections
    (draft,) = translation.drafts
    return draft


def lines(*records: Any) -> bytes:
    return b"\n".join(json.dumps(record).encode() for record in records)


def test_a_line_is_an_event_of_the_type_of_the_path() -> None:
    draft = only(read(lines({"time": TIME, "level": "info", "type": "x"}), type="app"))
    assert (draft.name, draft.fixed, draft.time) == ("app", True, MILLISECONDS)
    assert draft.data == {"level": "info", "type": "x"}


def test_without_a_type_it_is_that_of_the_record_or_log() -> None:
    first, second, third = read(lines({"type": "buy"}, {"a": 1}, {"type": "No type"})).drafts
    assert [(each.name, each.fixed) for each in (first, second, third)] == [
        ("buy", False),
        ("log", True),
        ("log", True),
    ]
    assert first.data == {"type": "buy"}
    assert only(read(lines({"type": "buy"}), "type=sale")).name == "sale"
    with pytest.raises(InvalidRequest, match="Got the type"):
        read(lines({}), type="No-Type")


@pytest.mark.parametrize(
    ("record", "time"),
    [
        ({"timestamp": TIME}, MILLISECONDS),
        ({"@timestamp": TIME}, MILLISECONDS),
        ({"ts": 1_767_323_045.678}, MILLISECONDS),
        ({"created": str(MILLISECONDS)}, MILLISECONDS),
        ({"ISODATE": "2026-01-02T04:04:05.678+01:00"}, MILLISECONDS),
        ({"time": MILLISECONDS * 1_000}, MILLISECONDS),
        ({"time": "0.003", "timestamp": TIME}, MILLISECONDS),
        ({"time": 12, "ts": "soon"}, ABSENT),
        ({"time": None}, ABSENT),
        ({}, ABSENT),
    ],
)
def test_the_time_is_found_where_senders_have_it(record: Any, time: Any) -> None:
    """And what is no time, as a duration is, stays in the data."""
    draft = only(read(lines(record)))
    assert draft.time == time
    assert (time is ABSENT) == (draft.data == record)


def test_the_time_and_the_id_can_be_named_even_inside() -> None:
    record = {"meta": {"at": TIME, "key": "k1"}, "a": 1}
    draft = only(read(lines(record), "time=meta.at&id=meta.key"))
    assert (draft.time, draft.id, draft.data) == (MILLISECONDS, "k1", record)
    flat = only(read(lines({"meta.at": 5, "a": 1}), "time=meta.at"))
    assert (flat.time, flat.data) == (5_000, {"a": 1})
    translation = read(lines({"a": 1}, record), "time=meta.at")
    assert [each.reason for each in translation.rejections] == [
        "There is no meta.at; accepted is an object with one."
    ]
    assert len(translation.drafts) == 1


def test_a_record_with_a_time_has_the_same_id_when_it_is_sent_again() -> None:
    records = [{"ts": TIME, "a": 1}, {"ts": TIME, "a": 1}, {"ts": TIME, "a": 2}, {"a": 1}]
    first, again = read(lines(*records)), read(lines(*records))
    ids = [draft.id for draft in first.drafts]
    assert ids == [draft.id for draft in again.drafts]
    assert len(set(ids[:3])) == 3
    assert ids[3] is ABSENT


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}{"a": 2}',
        b'{"a": 1}\n\n{"a": 2}\n',
        b'[{"a": 1}, {"a": 2}]',
        b'[{"a": 1}]\n[{"a": 2}]',
        b'{"logs": [{"a": 1}, {"a": 2}]}',
        b'{"a":\n 1}\n{\n"a": 2}',
    ],
)
def test_every_way_to_write_several_is_read(body: bytes) -> None:
    assert [draft.data for draft in read(body).drafts] == [{"a": 1}, {"a": 2}]


def test_what_is_no_object_is_told_and_costs_no_other() -> None:
    translation = read(b'5\n{"a": 1}\nplain text\n"x"\n{"logs": 3}')
    assert [draft.data for draft in translation.drafts] == [{"a": 1}, {"logs": 3}]
    assert [each.payload for each in translation.rejections] == [5, "plain text", "x"]
    reply = json.loads(translation.reply(translation.rejections).body)
    assert reply == {"stored": 2, "rejected": 3, "reasons": [each.reason for each in translation.rejections]}


def test_so_many_different_reasons_are_told() -> None:
    translation = read("\n".join(map(str, [*range(20), *range(20)])).encode())
    reply = json.loads(translation.reply(translation.rejections).body)
    assert reply["rejected"] == 40
    assert reply["reasons"] == [f"Got {number}; accepted is an object." for number in range(10)]


def test_a_form_and_a_query_are_one_record() -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert only(read(b"msg=a+b&created=1767323045.678&empty=", **form)).data == {"msg": "a b", "empty": ""}
    assert only(read(b'{"a": 1}', **form)).data == {"a": 1}, "what curl -d sends"
    draft = only(read(query=f"type=app&api_key=k&created={MILLISECONDS}&msg=hi", method="GET"))
    assert (draft.name, draft.time, draft.data) == ("app", MILLISECONDS, {"msg": "hi"})


def test_more_than_a_request_may_have_are_refused() -> None:
    with pytest.raises(TooLarge, match=str(MAX_ITEMS)):
        read(b"{}" * (MAX_ITEMS + 1))
