"""The short way in and the usual one: they take the same texts and make the same events of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ingest import batch
from collector.ingest.batch import Batch, BatchLimits, read_batch
from collector.ingest.plain import decode_plain, plain_events
from collector.ingest.together import LEAST, batches_together
from cube import json_text
from tests.property.batch_outcomes import outcome

NOW = 1_700_000_000_000
LIMITS = BatchLimits(event_bytes=2_000, events=5)

NAMES = ("a", "", "é", "$x.y", '"', "\\", '\\"', "{", "]", " ", "\x00", "ends\\")
TEXTS = st.sampled_from(NAMES) | st.text(max_size=5)
NUMBERS = ("0", "-0", "1.50", "1e2", "1E400", "-1e999", "9" * 18, "9" * 19, "9" * 30)
NUMBERS += (str(2**63 - 1), str(2**63), str(-(2**63)), str(-(2**63) - 1), "0." + "1" * 25, "01", "1.", "NaN")
ODD = ('"\\ud800"', '"\\u0041"', '"\\/"', "tru", "", '"')


def quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def written(pairs: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{quoted(name)} :{value}" for name, value in pairs) + "}"


def nested(value: tuple[int, str, str]) -> str:
    levels, opening, inner = value
    return opening * levels + inner + {"[": "]", '{"a":': "}"}[opening] * levels


LEAVES = st.sampled_from((*NUMBERS, "null", "true", *ODD)) | TEXTS.map(quoted)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(st.tuples(TEXTS, inner), max_size=3).map(written)  # names may come twice
        | st.tuples(st.sampled_from((1, 12, 15, 47, 49, 51, 60)), st.sampled_from(("[", '{"a":')), inner).map(
            nested
        )
    ),
    max_leaves=6,
)
TIMES = st.sampled_from((str(NOW), "1", "-1", "1e12", "true", "null", '"2024-01-01"', '"x"', str(2**70)))
IDS = st.sampled_from(('"i"', '""', "1", "1.0", "1.5", "true", "null", '"' + "i" * 513 + '"', str(2**64)))
TYPES = st.sampled_from(('"a"', '"a"', '"a"', '"_b9"', '"A"', '"a\\n"', "1", '""', '"' + "a" * 65 + '"'))
EVENTS = st.lists(
    st.tuples(st.just("type"), TYPES)
    | st.tuples(st.just("data"), VALUES)
    | st.tuples(st.just("time"), TIMES)
    | st.tuples(st.just("id"), IDS)
    | st.tuples(st.sampled_from(("Data", "other")), LEAVES),
    max_size=4,
).map(lambda pairs: written([("type", '"a"'), *pairs]))
BODIES = (EVENTS | st.lists(EVENTS | LEAVES, max_size=7).map(lambda items: "[" + ",".join(items) + "]")).map(
    str.encode
)


def usual(text: bytes) -> Batch:
    return batch._batch(json_text.decode_leniently(text), text, LIMITS, NOW)


@given(BODIES)
def test_both_ways_take_the_same_and_make_the_same_of_it(text: bytes) -> None:
    assert outcome(lambda text: read_batch(text, LIMITS, NOW), text) == outcome(usual, text)


@given(st.lists(EVENTS.map(str.encode) | BODIES | st.binary(max_size=12), min_size=LEAST, max_size=8))
def test_lone_events_are_taken_together_as_each_alone(bodies: list[bytes]) -> None:
    taken: set[int] = set()
    for places, found in batches_together(bodies, LIMITS, NOW):
        assert taken.isdisjoint(places)
        assert len({(event.type, event.id.__class__ is bytes) for event in found.events}) == 1
        taken.update(places)
        for place, event in zip(places, found.events, strict=True):
            one = Batch([event], len(bodies[place]))
            assert outcome(lambda text: read_batch(text, LIMITS, NOW), bodies[place]) == outcome(
                lambda _, one=one: one, bodies[place]
            )
        assert found.size == sum(len(bodies[place]) for place in places)


@pytest.mark.parametrize("levels", [1, 10, 40, 49, 50, 51])
@pytest.mark.parametrize("around", ["{}", '{{"a": "}}}}}}}}", "d": {}, "b": "{{{{{{{{"}}'])
def test_brackets_in_strings_hide_no_level(levels: int, around: str) -> None:
    data = around.format("[" * levels + "]" * levels)
    text = ('{"type": "a", "data": ' + data + "}").encode()

    assert outcome(lambda text: read_batch(text, LIMITS, NOW), text) == outcome(usual, text)


@pytest.mark.parametrize(
    "data",
    [
        '{"host": "web1", "n": 1.5, "tags": ["a", ""], "say": "\\"hi\\" \\\\", "é": null}',
        "3",
        '"text"',
        "[[1]]",
    ],
)
def test_what_is_plain_takes_the_short_way(data: str) -> None:
    found = decode_plain(('[{"type": "a", "time": 1700000000000, "data": ' + data + "}]").encode(), 2_000)

    assert isinstance(found, list)
    assert plain_events(found, NOW) is not None


@pytest.mark.parametrize("data", ['{"n": 1}', '{"n": [1, {"a": 2}]}', "[[{}]]", "7"])
@pytest.mark.parametrize("separator", [",", " ,\n "])
@pytest.mark.parametrize("place", [None, 0, 3, 9])
def test_a_text_that_is_longer_than_an_event_may_be_is_looked_at_event_by_event(
    data: str, separator: str, place: int | None
) -> None:
    events = [f'{{"type":"a","time":{NOW},"data":{data}}}' for _ in range(10)]
    if place is not None:
        events[place] = f'{{"type":"a","time":{NOW},"data":{{"long":"{"},{" * 20}{"x" * 80}"}}}}'
    found = decode_plain(f"[{separator.join(events)}]".encode(), 110)

    assert (found is None) == (place is not None)


@pytest.mark.parametrize("digits", [18, 19, 20, 40])
@pytest.mark.parametrize("before", ["", "x" * 7, "1" * 18 + " "])
def test_long_numbers_take_the_usual_way_wherever_they_stand(digits: int, before: str) -> None:
    text = f'[{{"type":"a","data":["{before}",{"1" * digits}]}}]'

    assert (decode_plain(text.encode(), 2_000) is None) == (digits >= 19)
