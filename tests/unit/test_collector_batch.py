"""Batches: what is read from JSON text, and what is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from collector.ingest.batch import (
    Batch,
    BatchLimits,
    Message,
    read_batch,
    read_each,
    read_message,
)
from cube.errors import InvalidEvent, InvalidRequest, TooLarge
from cube.json_text import THREAD_BYTES
from cube.model.event import ABSENT
from cube.process.threads import run_by_size

NOW = 1_311_033_600_000
LIMITS = BatchLimits(event_bytes=200, events=5)


def read(value: Any) -> Batch:
    return read_batch(json.dumps(value).encode(), LIMITS, now=NOW)


def message(value: Any) -> Message:
    return read_message(json.dumps(value).encode(), LIMITS, now=NOW)


def test_a_lone_object_is_a_batch_of_one() -> None:
    (event,) = read({"type": "a", "time": NOW - 5, "id": "x", "data": {"n": 1}}).events
    assert (event.type, event.time, event.id, event.data) == ("a", NOW - 5, "x", {"n": 1})


def test_an_array_keeps_its_order() -> None:
    assert [event.id for event in read([{"type": "a", "id": number} for number in (3, 1, 2)]).events] == [
        3,
        1,
        2,
    ]


def test_an_empty_array_is_an_empty_batch() -> None:
    assert list(read([]).events) == []


def test_an_event_without_time_happens_now() -> None:
    (event,) = read({"type": "a"}).events
    assert (event.time, event.timed) == (NOW, False)


def test_the_first_wrong_event_is_named() -> None:
    with pytest.raises(InvalidEvent) as refused:
        read([{"type": "a"}, {"type": "a", "id": "x", "data": {"$b": {"": 1}}}, {"type": "?"}])
    assert refused.value.details == {"index": 1, "id": "x", "field": 'data["$b"][""]'}


def test_a_lone_wrong_event_has_no_index() -> None:
    with pytest.raises(InvalidEvent) as refused:
        read({"type": "a", "time": None})
    assert "index" not in refused.value.details


@pytest.mark.parametrize("value", [None, 5, "a", [None], [[]]])
def test_what_is_no_event_is_refused(value: Any) -> None:
    with pytest.raises(InvalidEvent):
        read(value)


def test_more_events_than_an_array_may_have_are_refused() -> None:
    assert len(read([{"type": "a"}] * 5).events) == 5
    with pytest.raises(TooLarge):
        read([{"type": "a"}] * 6)


def test_an_event_that_is_too_long_is_refused_alone_and_in_an_array() -> None:
    long = {"type": "a", "data": "x" * 200}
    with pytest.raises(TooLarge) as refused:
        read(long)
    assert "index" not in refused.value.details
    with pytest.raises(TooLarge) as refused:
        read([{"type": "a"}, long])
    assert refused.value.details["index"] == 1


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_sizes_are_bounded_in_a_text_that_is_read_leniently_too(start: bytes) -> None:
    event = b'{"type":"a","data":"%b"}'
    long = start + b"[%b,%b]" % (event % b"\t", event % (b"x" * 200))
    for read, text in (
        (read_batch, long),
        (read_message, b'{"events":%b,"ack":1}' % long.removeprefix(start)),
    ):
        with pytest.raises(TooLarge) as refused:
            read(text, LIMITS, now=NOW)
        assert refused.value.details["index"] == 1


def test_a_long_array_of_short_events_is_accepted() -> None:
    assert len(read([{"type": "a", "data": "x" * 150}] * 5).events) == 5


async def test_a_long_text_is_read_in_a_thread_to_the_same_effect() -> None:
    limits = BatchLimits(event_bytes=2**20, events=10)
    text = json.dumps([{"type": "a", "data": "x" * 100_000}] * 5).encode()
    assert len((await run_by_size(len(text), THREAD_BYTES, read_batch, text, limits, NOW)).events) == 5
    with pytest.raises(InvalidEvent):
        await run_by_size(len(text), THREAD_BYTES, read_batch, text.replace(b'"a"', b'"?"'), limits, NOW)


def test_events_are_grouped_by_type() -> None:
    assert read([{"type": "a"}] * 2).by_type() == {"a": range(2)}
    assert read([{"type": "a"}, {"type": "b"}, {"type": "a"}]).by_type() == {"a": [0, 2], "b": [1]}


@pytest.mark.parametrize("token", [7, "x", None, {"a": [1]}])
def test_a_message_may_ask_to_be_acknowledged(token: Any) -> None:
    read = message({"events": [{"type": "a"}, {"type": "b"}], "ack": token})
    assert (len(read.batch.events), read.ack) == (2, token)


def test_a_message_without_a_token_is_silent() -> None:
    assert message({"type": "a", "events": [], "ack": 1, "data": 1}).ack is ABSENT
    assert message([{"type": "a"}]).ack is ABSENT
    assert message({"events": {"type": "a"}}).ack is ABSENT


def test_the_error_of_a_message_carries_its_token() -> None:
    with pytest.raises(InvalidRequest) as refused:
        message({"events": [{"type": "a"}, {"type": "?"}], "ack": 7})
    assert (refused.value.details["ack"], refused.value.details["index"]) == (7, 1)


def test_the_event_limit_holds_inside_a_message_too() -> None:
    with pytest.raises(TooLarge) as refused:
        message({"events": [{"type": "a"}, {"type": "a", "data": "x" * 200}], "ack": 7})
    assert (refused.value.details["ack"], refused.value.details["index"]) == (7, 1)


def test_a_datagram_keeps_the_good_beside_the_bad() -> None:
    events, errors = read_each(b'[{"type": "a", "id": 1}, 5, {"type": "?"}, {"type": "b", "id": 2}]', now=NOW)
    assert ([event.id for event in events], len(errors)) == ([1, 2], 2)


def test_an_unreadable_datagram_is_one_error() -> None:
    events, errors = read_each(b"{", now=NOW)
    assert (events, len(errors)) == ([], 1)


A, B, C = ({"type": "a", "time": NOW, "id": name, "data": {"n": 1}} for name in "abc")


@pytest.mark.parametrize(
    "lines",
    [
        [A, B, C],
        [[A, B], C],
        [[A], [], [B, C]],
        [{**A, "surplus": 1}, B, C],
    ],
)
@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n  \n"])
def test_lines_are_events_or_arrays_of_them(lines: list[Any], between: str) -> None:
    text = (between.join(json.dumps(line) for line in lines) + between).encode()
    limits = BatchLimits(event_bytes=200, events=5)
    ids = ["a", "b", "c"]
    assert [event.id for event in read_batch(text, limits, now=NOW).events] == ids
    assert [event.id for event in read_message(text, limits, now=NOW).batch.events] == ids
    assert [event.id for event in read_each(text, now=NOW)[0]] == ids


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"type": "a"}\n\n{"type": }', "at line 3, column 10"),
        ('{"type": "a"}\nplain', "extra data at line 2"),
        ('{"type": "a"}{"type": "b"}', "extra data at line 1"),
        ('{"type": "a", "id": "}\n{"}', "not JSON"),
        ('{"type": "a"}\n{"type": "?"}', 'Got the type "?"'),
        ("{}\n[5]", "type"),
    ],
)
def test_lines_are_all_or_nothing(text: str, reason: str) -> None:
    for function in (read_batch, read_message):
        with pytest.raises(InvalidRequest, match=re.escape(reason)):
            function(text.encode(), LIMITS, now=NOW)  # type: ignore[operator]


def test_lines_have_the_limits_of_an_array() -> None:
    with pytest.raises(TooLarge, match="Got 6 events"):
        read_batch(b'{"type": "a"}\n' * 6, LIMITS, now=NOW)
    long = json.dumps({"type": "a", "data": "x" * 250}).encode()
    with pytest.raises(TooLarge) as refused:
        read_batch(json.dumps([A, B]).encode() + b"\n" + long, LIMITS, now=NOW)
    assert refused.value.details["index"] == 2


def test_json_over_several_lines_is_no_lines() -> None:
    text = json.dumps([A, B], indent=1).encode()
    assert len(read_batch(text, LIMITS, now=NOW).events) == 2
    assert len(read_batch(json.dumps(A, indent=1).encode(), LIMITS, now=NOW).events) == 1
