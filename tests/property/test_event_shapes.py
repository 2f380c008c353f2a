"""Batches of one shape, which stay text, and the usual way: they take the same and make the same of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ingest import batch
from collector.ingest.batch import Batch, BatchLimits, read_batch
from collector.ingest.shapes import LEAST_EVENTS, EventShapes, _in_one_order
from cube import json_text
from cube.model import instant
from cube.model.event_run import EventRun, EventRuns
from tests.property.batch_outcomes import outcome

NOW = 1_700_000_000_000
LIMITS = BatchLimits(event_bytes=200, events=2 * LEAST_EVENTS)

NAMES = ("a", "b", "é", '"', "\\", "},{", "type", "data", " ", ": ", "")
NUMBERS = ("-0", "1.50", "1e2", "1E400", "-1e999", "9" * 18, "9" * 30, "01", "NaN")
NUMBERS += (str(2**63 - 1), str(2**63), str(2**64 - 1), str(-(2**63)), str(-(2**63) - 1))
ODD = ('"\\ud800"', '"\\u0041"', '"\\/"', "tru", '"\x01"', "null", "true", '"' + "x" * 150 + '"')
ODD += (
    '"' + "x" * 80 + "},{" + "x" * 80 + '"',
    '"' + "x" * 80 + '},{",',
)  # longer than an event may be, or no JSON
NESTED = ("[]", "{}", '[1,"a"]', '{"a":1,"a":2}', '{"":1}', "[18446744073709551615]", f"[{2**63}]")
NESTED += ("[" * 49 + "]" * 49, "[" * 51 + "]" * 51)
TEXTS = ("", "a", "é", "},{", '},{"type', "{", "[", ", ", ": ", '"', "\\", "\x00")
VALUES = (*NUMBERS, *ODD, *NESTED, *map(json.dumps, TEXTS))
TIMES = (str(NOW), str(NOW + 999), "1", "-1", "1e12", "true", '"2024-01-01"', str(2**64))
SEPARATORS = ((",", ":"), (", ", ": "), (" , ", " : "), (",\n", ":\t"))


def written(pairs: Sequence[tuple[str, str]], comma: str = ",", colon: str = ":") -> str:
    return (
        "{"
        + comma.join(f"{json.dumps(name, ensure_ascii=False)}{colon}{value}" for name, value in pairs)
        + "}"
    )


def varied(pairs: list[tuple[str, str]], values: Mapping[str, Sequence[str]]) -> st.SearchStrategy[Any]:
    """The same pairs in another order, with one twice, one less, one more, or another value."""
    place = st.integers(0, len(pairs) - 1)
    return st.one_of(
        st.permutations(pairs),
        place.map(lambda at: [*pairs, pairs[at]]),
        place.map(lambda at: pairs[:at] + pairs[at + 1 :]),
        st.sampled_from((("other", "1"), ("id", "1"), ("a", "2"), ("", "1"))).map(
            lambda more: [*pairs, more]
        ),
        place.flatmap(
            lambda at: st.sampled_from(values.get(pairs[at][0], VALUES)).map(
                lambda value: [*pairs[:at], (pairs[at][0], value), *pairs[at + 1 :]]
            )
        ),
    )


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """An array of events that have one shape, but for one of them; in order of their times, or nearly."""
    comma, colon = draw(st.sampled_from((SEPARATORS[0], *SEPARATORS)))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    data = [(name, draw(st.sampled_from(("1", '"a"', "1.5", "null", "[1]", '"},{"')))) for name in names]
    keys = draw(st.sampled_from((("type", "time", "data"), ("time", "data", "type"), ("data", "type"))))
    in_form = draw(st.sampled_from((str, lambda time: f'"{instant.format(time)}"')))
    spacing = draw(st.sampled_from((0, 1, 20, 100)))
    count = draw(
        st.sampled_from((LEAST_EVENTS - 1, LEAST_EVENTS, LEAST_EVENTS, LIMITS.events, LIMITS.events + 1))
    )
    odd, whose = draw(st.integers(0, 3 * count)), draw(st.sampled_from(("event", "data")))

    every = tuple(range(len(data)))
    subsets = draw(
        st.just([every]) | st.lists(st.sets(st.sampled_from(every)).map(sorted), min_size=1, max_size=3)
    )

    def event(number: int) -> str:
        some = subsets[number % len(subsets)]
        inner = draw(varied(data, {})) if (number, whose) == (odd, "data") else [data[at] for at in some]
        parts = {"type": '"a"', "time": in_form(NOW + number * spacing), "data": written(inner, comma, colon)}
        pairs = [(key, parts[key]) for key in keys]
        if (number, whose) == (odd, "event"):
            pairs = draw(varied(pairs, {"type": ('"b"', '"B"', "1"), "time": TIMES}))
        return written(pairs, comma, colon)

    return f"[{comma.join(map(event, range(count)))}]".encode()


def usual(text: bytes) -> Batch:
    return batch._batch(json_text.decode_leniently(text), text, LIMITS, NOW)


def known(text: bytes) -> Batch:
    """Read a text whose first event's shape has come before."""
    shapes = EventShapes()
    for _ in range(2):
        shapes.read(text, NOW, events=LIMITS.events, event_bytes=LIMITS.event_bytes)
    for shape in shapes._known.values():
        if shape is not None:
            shape._pause = 0
    return read_batch(text, LIMITS, NOW, shapes)


@given(bodies())
def test_what_stays_text_is_what_the_usual_way_takes(text: bytes) -> None:
    assert outcome(known, text) == outcome(usual, text)


FLAT, DEEP = '{"a":1,"b":"x"}', '{"a":[1],"b":"x"}'
DATA = [f'{{"a":{value},"b":"x"}}' for value in VALUES]
DATA += [
    '{"b":"x","a":1}',
    '{"a":1,"b":"x","a":1}',
    '{"a":1}',
    '{"a":1,"b":"x","c":1}',
    '{"a":1,"b":"x","":1}',
    "{}",
    "1",
    "null",
]
DATA += ['{"a" :1,"b":"x"}', '{"a":1, "b":"x"}', '{"a":1,"b":"x" }']
KEYS = [f'{{"type":"a","time":{time},"data":{FLAT}}}' for time in TIMES]
KEYS += [f'{{"type":"{type}","time":{NOW},"data":{FLAT}}}' for type in ("b", "B", "")]
KEYS += [f'{{"type":"a","time":{NOW},"data":{FLAT}{more}}}' for more in (',"id":1', ',"x":1', ',"type":"a"')]
KEYS += [
    f'{{"time":{NOW},"type":"a","data":{FLAT}}}',
    f'{{"type":"a","data":{FLAT}}}',
    f'{{"type":"a","time":{NOW}}}',
]


@pytest.mark.parametrize("place", [3, LEAST_EVENTS - 1])
@pytest.mark.parametrize("plain", [FLAT, DEEP])
@pytest.mark.parametrize("odd", [*(f'{{"type":"a","time":{NOW},"data":{data}}}' for data in DATA), *KEYS])
def test_one_odd_event_among_others_is_taken_or_refused_as_ever(odd: str, plain: str, place: int) -> None:
    array = [f'{{"type":"a","time":{NOW},"data":{plain}}}'] * LEAST_EVENTS
    array[place] = odd
    text = f"[{','.join(array)}]".encode()

    assert outcome(known, text) == outcome(usual, text)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", VALUES)
def test_events_that_are_all_odd_are_taken_or_refused_as_ever(name: str, value: str) -> None:
    one = written([("type", '"a"'), ("time", str(NOW)), ("data", written([(name, value)]))])
    text = f"[{','.join([one] * LEAST_EVENTS)}]".encode()

    assert outcome(known, text) == outcome(usual, text)


@pytest.mark.parametrize("time", [*TIMES, '"2024-01-01T00:00:00.123+02:00"', '"1700000000000"', '"1"', '"x"'])
def test_a_time_that_all_have_is_taken_or_refused_as_ever(time: str) -> None:
    one = f'{{"type":"a","time":{time},"data":{FLAT}}}'
    text = f"[{','.join([one] * LEAST_EVENTS)}]".encode()

    assert outcome(known, text) == outcome(usual, text)


def test_events_that_are_not_in_the_order_of_their_times_are_no_run() -> None:
    shapes = EventShapes()
    text = msgspec.json.encode([*events(), *events()])
    for _ in range(3):
        assert isinstance(known_events(shapes, text), list)


def events(count: int = LEAST_EVENTS, spacing: int = 1, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "a", "time": NOW + number * spacing, "data": {"n": number, "s": "é", "f": 0.5, **more}}
        for number in range(count)
    ]


@pytest.mark.parametrize("more", [{}, {"tags": ["x", {"y": 1}]}, {"text": "},{"}, {"none": None, "t": True}])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_batches_of_one_shape_stay_text_from_the_third_on(more: Any, separators: tuple[str, str]) -> None:
    text = json.dumps(events(**more), separators=separators, ensure_ascii=False).encode()
    shapes = EventShapes()

    read = [read_batch(text, BatchLimits(2**20, 100), NOW, shapes).events for _ in range(3)]

    assert [isinstance(some, EventRun) for some in read] == [False, True, True]
    assert read[2].data == msgspec.json.encode([event["data"] for event in events(**more)])  # type: ignore[attr-defined]  # a run


@pytest.mark.parametrize("time", ["2011-09-12T21:33:12.345Z", None])
def test_times_may_be_texts_or_left_out(time: str | None) -> None:
    form = {} if time is None else {"time": time}
    text = msgspec.json.encode([{"type": "a", **form, "data": event["data"]} for event in events()])
    shapes = EventShapes()
    first, run = (known_events(shapes, text) for _ in range(2))

    assert isinstance(run, EventRun)
    assert [(event.time, event.timed) for event in run] == [(event.time, event.timed) for event in first]


def test_lines_of_one_shape_stay_text_too() -> None:
    text = b"\n".join(map(msgspec.json.encode, events()))
    shapes = EventShapes()

    read = [read_batch(text, BatchLimits(2**20, 100), NOW, shapes) for _ in range(2)]

    assert isinstance(read[1].events, EventRun)
    assert read[1].size == read[0].size


def test_each_second_of_a_batch_is_a_run() -> None:
    text = msgspec.json.encode(events(4 * LEAST_EVENTS, spacing=20))
    shapes = EventShapes()

    read = [read_batch(text, BatchLimits(2**20, 1_000), NOW, shapes).events for _ in range(2)]

    assert isinstance(read[1], EventRuns)
    assert list(map(len, read[1].parts)) == [50, 50, 28]
    assert [event.time for event in read[1]] == [event.time for event in read[0]]


def test_a_shape_that_does_not_hold_is_tried_less_and_less_often() -> None:
    good, bad = (msgspec.json.encode([*events(), *last]) for last in ([], [{"type": "a"}]))
    shapes = EventShapes()
    kinds = [
        isinstance(known_events(shapes, text), EventRun)
        for text in (good, good, bad, good, good, bad, bad, good)
    ]

    assert kinds == [False, True, False, False, True, False, False, True]


def known_events(shapes: EventShapes, text: bytes) -> Any:
    return read_batch(text, BatchLimits(2**20, 1_000), NOW, shapes).events


def test_no_more_than_so_many_shapes_are_remembered() -> None:
    shapes = EventShapes()
    for number in range(2_000):
        shapes.read(msgspec.json.encode(events(**{f"name{number}": 1})), NOW, events=100, event_bytes=2**20)

    assert len(shapes._known) <= 256


def test_shapes_of_many_names_are_remembered_the_fewer() -> None:
    shapes = EventShapes()
    most = 0
    for number in range(200):
        more = {f"name {number} {place}": 1 for place in range(100)}
        shapes.read(msgspec.json.encode(events(**more)), NOW, events=100, event_bytes=2**20)
        most = max(most, len(shapes._known))

    assert most == -(-8_192 // 103)


@pytest.mark.parametrize("more", [[f"n{n}" for n in range(200)], [f"n{n}" * 1_000 for n in range(5)]])
def test_a_shape_is_not_widened_by_many_names_or_long_ones(more: list[str]) -> None:
    shapes = EventShapes()
    for _ in range(2):
        known_events(shapes, msgspec.json.encode(events()))
    widening = [*events(), {"type": "a", "time": NOW + LEAST_EVENTS, "data": dict.fromkeys(more, 1)}]

    assert isinstance(known_events(shapes, msgspec.json.encode(widening)), list)
    assert [shape._names for shape in shapes._known.values() if shape is not None] == [["n", "s", "f"]]


def test_of_names_no_more_are_put_in_order_than_a_shape_may_have() -> None:
    """A body has room for so many that it would take minutes."""
    compared = 0

    class Name(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    orders = {tuple(Name(f"{order} {n}") for n in range(1_000)) for order in range(3)}

    assert _in_one_order([Name("n")], orders) is None
    assert compared < 30_000


def test_a_shape_that_was_counted_down_by_two_threads_is_tried_again() -> None:
    shapes = EventShapes()
    text = msgspec.json.encode(events())
    for _ in range(2):
        known_events(shapes, text)
    for shape in shapes._known.values():
        assert shape is not None
        shape._pause = -1

    assert isinstance(known_events(shapes, text), EventRun)


def test_arrays_of_few_events_teach_nothing() -> None:
    shapes = EventShapes()
    for _ in range(3):
        known_events(shapes, msgspec.json.encode(events(LEAST_EVENTS - 1)))

    assert shapes._known == {}


WIDE = [{"a": 1}, {"a": 1, "c": "x"}, {"b": None, "c": "y"}, {"a": 2, "b": 1.5, "c": "z"}, {}]


@pytest.mark.parametrize("more", [[], [{"a": [1]}], [{"a": 1, "d": {"e": [{}]}}], [{"c": 1, "a": 2}]])
def test_events_may_leave_names_out_and_have_more_later_on(more: list[Any]) -> None:
    """All but names that come in another order."""
    shapes = EventShapes()

    def text(datas: list[Any]) -> bytes:
        return msgspec.json.encode(
            [{"type": "a", "time": NOW + n, "data": datas[n % len(datas)]} for n in range(2 * LEAST_EVENTS)]
        )

    kinds = [isinstance(known_events(shapes, text(WIDE)), EventRun) for _ in range(3)]
    assert kinds == [False, True, True]
    last = known_events(shapes, text([*WIDE, *more]))
    assert isinstance(last, EventRun) == (more != [{"c": 1, "a": 2}])
    assert [event.data for event in last] == [
        [*WIDE, *more][n % (5 + len(more))] for n in range(2 * LEAST_EVENTS)
    ]
