"""Events are checked once, on the way in, and every refusal says what and where."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InvalidEvent
from cube.model.event import ABSENT, Event, id_key, is_type
from cube.model.made_id import make_id

NOW = 1_315_863_192_000

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


def parse(**raw: Any) -> Event:
    return Event.parse({"type": "test", **raw}, now=NOW)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@given(JSON)
def test_any_json_may_be_data_and_is_kept_as_it_is(data: Any) -> None:
    assert parse(data=data).data == data


def test_an_event_without_time_happened_now() -> None:
    assert (parse().time, parse().timed) == (NOW, False)
    assert (parse(time=10**11).time, parse(time=10**11).timed) == (10**11, True)
    assert parse(time="2011-09-12").time == 1_315_785_600_000


def test_absent_data_and_null_are_kept_apart() -> None:
    assert parse().data is ABSENT
    assert parse(data=None).data is None


def test_unknown_keys_beside_data_are_noted_and_left_out() -> None:
    noted: list[list[str]] = []
    raw = {"type": "test", "tags": ["a"], "id": 1, "data": None, "Time": 3}
    event = Event.parse(raw, now=NOW, note_unknown=noted.append)
    assert (event.id, event.time, event.data) == (1, NOW, None)
    assert noted == [["tags", "Time"]]
    assert Event.parse(raw, now=NOW) == event


def test_without_data_they_refuse_the_event_that_would_be_empty() -> None:
    with pytest.raises(
        InvalidEvent, match='Got no data but the unknown keys "tags", "Time"; accepted is'
    ) as refused:
        parse(tags=["a"], id=1, Time=3)
    assert refused.value.details == {"field": "data", "id": 1}
    with pytest.raises(InvalidEvent, match=r'unknown keys "k0", .*"k9", …; accepted'):
        parse(**{f"k{n}": n for n in range(100)})


def test_an_event_without_id_gets_one_of_its_own() -> None:
    first, second = parse().id, parse().id
    assert isinstance(first, bytes)
    assert len(first) == 12
    assert first != second


@pytest.mark.parametrize(
    ("given_id", "kept"),
    [("a", "a"), ("é" * 512, "é" * 512), (1, 1), (1.0, 1), (1.5, 1.5), (-(2**63), -(2**63))],
)
def test_an_id_is_text_or_a_number(given_id: object, kept: object) -> None:
    event = parse(id=given_id)
    assert event.id == kept
    assert type(event.id) is type(kept)


@pytest.mark.parametrize(
    "id", ["", "a" * 513, None, True, [], {}, 2**63, float("nan"), float("inf"), "\ud800"]
)
def test_any_other_id_is_refused(id: object) -> None:
    with pytest.raises(
        InvalidEvent, match="Got the id .*; accepted is text of 1 to 512 characters or a number"
    ) as refused:
        parse(id=id)
    assert refused.value.details["field"] == "id"


@pytest.mark.parametrize("type", ["", "A", "1a", "a-b", "a b", "a.b", "é", "a" * 65, 1, None, ["a"], "a\n"])
def test_a_bad_type_is_refused(type: object) -> None:
    with pytest.raises(
        InvalidEvent, match="Got the type .*; accepted is text of 1 to 64 characters"
    ) as refused:
        Event.parse({"type": type}, now=NOW)
    assert refused.value.details == {"field": "type"}


def test_a_missing_type_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="The event has no type; accepted is"):
        Event.parse({}, now=NOW)


@pytest.mark.parametrize("raw", [None, 1, "a", [], True])
def test_only_an_object_is_an_event(raw: object) -> None:
    with pytest.raises(InvalidEvent, match="as an event; accepted is an object"):
        Event.parse(raw, now=NOW)


@pytest.mark.parametrize("time", [None, True, "yesterday", [], 1e300])
def test_a_bad_time_is_refused_even_null(time: object) -> None:
    with pytest.raises(InvalidEvent, match="Got the time ") as refused:
        parse(time=time, id="x")
    assert refused.value.details == {"field": "time", "id": "x"}


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({"": 1}, 'data[""]', 'Got the property name "" in data; accepted is any Unicode text that is not e'),
        ({"a-b": [{"": 1}]}, 'data["a-b"][0][""]', 'Got the property name "" in data\\["a-b"\\]\\[0\\];'),
        ({"\ud800": 1}, 'data["\\ud800"]', 'Got the property name ".ud800" in data; accepted'),
        ({1: 1}, 'data["1"]', "Got the property name 1 in data; accepted"),
        ({"id.orig_h": {"größe": 2**63}}, 'data["id.orig_h"].größe', 'at data\\["id.orig_h"\\].größe; acc'),
        ({"a": {"b": 2**63}}, "data.a.b", "Got the integer 9223372036854775808 at data.a.b"),
        ({"a": [0, float("nan")]}, "data.a[1]", "Got NaN at data.a\\[1\\]; accepted are finite numbers"),
        (-(2**63) - 1, "data", "accepted are 64-bit integers"),
        ({"a": "\ud800"}, "data.a", "Got half a surrogate pair in data.a"),
        ({"a": {1, 2}}, "data.a", "accepted is JSON"),
    ],
)
def test_bad_data_is_refused_with_its_path(data: object, field: str, message: str) -> None:
    with pytest.raises(InvalidEvent, match=message) as refused:
        parse(data=data)
    assert refused.value.details["field"] == field


def test_data_may_be_fifty_levels_deep() -> None:
    parse(data=nested(50))
    with pytest.raises(InvalidEvent, match="nested more than 50 levels deep at data"):
        parse(data=nested(51))


def test_an_error_tells_the_place_in_the_batch() -> None:
    with pytest.raises(InvalidEvent) as refused:
        parse(id=7, time=None)
    assert refused.value.at(3).details == {"index": 3, "field": "time", "id": 7}


def test_a_fork_makes_ids_of_its_own() -> None:
    code = """
import os
from cube.model.made_id import make_id
make_id()
if os.fork() == 0:
    print(make_id().hex(), flush=True)
    os._exit(0)
os.wait()
print(make_id().hex())
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    ids = [bytes.fromhex(line) for line in ran.stdout.split()]
    assert len({id[4:9] for id in ids}) == len(ids) == 2


def test_ids_are_equal_by_value_within_a_kind_and_ordered_by_kind() -> None:
    assert id_key(1) == id_key(1.0)
    assert id_key(1) != id_key("1")
    assert sorted([make_id(), "a", 2, 1.5], key=id_key)[:3] == [1.5, 2, "a"]


def test_types_are_ascii() -> None:
    assert is_type("a_1")
    assert not is_type("ä")
