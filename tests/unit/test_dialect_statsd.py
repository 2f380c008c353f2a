"""StatsD's lines become events."""

from __future__ import annotations

from typing import Any

import pytest

from collector.protocols.statsd.line import parse
from collector.protocols.statsd.reader import StatsdReader
from cube.errors import InvalidRequest, Overloaded
from cube.model.event import Event
from cube.model.horizon import Horizon

NOW = 1_800_000_000_000
TIME = 1_656_581_400_000


def read(datagram: bytes | str, flavour: str = "statsd") -> list[Event]:
    """Return the events of a datagram of which nothing is refused."""
    encoded = datagram if isinstance(datagram, bytes) else datagram.encode()
    events, errors = StatsdReader(1000, lambda: NOW, flavour)(encoded)
    assert errors == []
    return events


def rejection(line: bytes | str) -> str:
    """Return why a line is refused; the lines about it are not."""
    encoded = line if isinstance(line, bytes) else line.encode()
    events, (error,) = StatsdReader(1000, lambda: NOW)(b"a:1|c\n" + encoded + b"\nb:2|c")
    assert [event.type for event in events] == ["statsd", "statsd", "cube_rejected"]
    assert events[-1].data["payload"] == encoded.decode(errors="replace")
    return str(error)


@pytest.mark.parametrize(
    ("line", "data"),
    [
        ("app.hits:3|c", {"name": "app.hits", "kind": "counter", "value": 3, "count": 3}),
        ("app.hits:-1|c", {"name": "app.hits", "kind": "counter", "value": -1, "count": -1}),
        (
            "app.hits:1|c|@0.1",
            {"name": "app.hits", "kind": "counter", "value": 1, "rate": 0.1, "count": 10.0},
        ),
        ("app.req:12.500000|ms", {"name": "app.req", "kind": "timer", "value": 12.5}),
        ("app.g:0|g", {"name": "app.g", "kind": "gauge", "value": 0, "delta": False}),
        ("app.g:+4|g", {"name": "app.g", "kind": "gauge", "value": 4, "delta": True}),
        ("app.g:-5|g", {"name": "app.g", "kind": "gauge", "value": -5, "delta": True}),
        ("app.users:u1|s", {"name": "app.users", "kind": "set", "value": "u1"}),
        ("app.users:a,b:c|s", {"name": "app.users", "kind": "set", "value": "a,b:c"}),
        (
            "a:1|h|#env:prod,fast,b:c:d",
            {"name": "a", "kind": "histogram", "value": 1, "tags": {"env": "prod", "fast": True, "b": "c:d"}},
        ),
        (
            "a:1|h|#env:prod,env:eu,env",
            {"name": "a", "kind": "histogram", "value": 1, "tags": {"env": ["prod", "eu", True]}},
        ),
        (
            "a:2.5e3|d|c:ci-1|#|e:it-false,cn-web|card:low|x:y",
            {
                "name": "a",
                "kind": "distribution",
                "value": 2500,
                "container": "ci-1",
                "tags": {},
                "external": "it-false,cn-web",
                "cardinality": "low",
                "extra": ["x:y"],
            },
        ),
        ("a\u2028b:1|ms", {"name": "a\u2028b", "kind": "timer", "value": 1}),
    ],
)
def test_a_line_is_an_event(line: str, data: dict[str, Any]) -> None:
    (event,) = read(line)
    assert (event.type, event.time, event.data) == ("statsd", NOW, data)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("1656581400", TIME),
        ("1656581400.75", TIME + 750),
        ("1656581400123", TIME + 123),
        ("1656581400123456", TIME + 123),
        ("1656581400123456789", TIME + 123),
        ("0", 0),
    ],
)
@pytest.mark.parametrize(
    "line", ["g:3|g|T{}|#a:b", "c:1|c|#a:b|c:x|T{}", "_e{1,1}:t|x|d:{}", "_sc|n|0|d:{}|m:x"]
)
def test_a_time_is_heeded_in_whatever_unit(line: str, text: str, time: int) -> None:
    (event,) = read(line.replace("{}", text) if line.startswith("_e") else line.format(text))
    assert (event.time, event.timed, event.data["received"]) == (time, True, NOW)


@pytest.mark.parametrize("text", ["", "x", "nan", "1e300", "1e21"])
def test_a_line_with_a_bad_time_is_refused(text: str) -> None:
    assert "Got the time" in rejection(f"g:3|g|T{text}")


def test_equal_lines_are_events_of_their_own() -> None:
    events = read("a:1|c\na:1|c\na:1|c|T1\na:1|c|T1")
    assert len({event.id for event in events}) == 4


@pytest.mark.parametrize("packed", ["1:-2.5:3", "1,-2.5,3"])
def test_packed_values_are_an_event_each(packed: str) -> None:
    events = read(f"d:{packed}|d|@0.5|#a:b|T1656581400")
    assert [event.data["value"] for event in events] == [1, -2.5, 3]
    assert {(event.time, event.data["rate"], event.data["tags"]["a"]) for event in events} == {
        (TIME, 0.5, "b")
    }
    counts = [event.data["count"] for event in read(f"c:{packed}|c|@0.5")]
    assert counts == [2, -5, 6]


def test_a_packed_value_that_is_none_costs_no_other() -> None:
    events, errors = StatsdReader(1000, lambda: NOW)(b"d:1:nan:3:x:|d|#a:b\nd:4|d")
    assert [event.data["value"] for event in events[:3]] == [1, 3, 4]
    assert [event.data["payload"] for event in events[3:]] == ["d:1:nan:3:x:|d|#a:b"]
    assert [str(error)[:14] for error in errors] == ["Got the value "] * 3


def test_a_time_beyond_the_horizon_is_a_dead_letter() -> None:
    reader = StatsdReader(1000, lambda: NOW, "statsd", lambda: Horizon(past_ms=86_400_000))
    events, (error,) = reader(b"a:1|g|T1656581400\nb:1|g")
    assert [event.type for event in events] == ["statsd", "cube_rejected"]
    assert events[1].data["payload"] == "a:1|g|T1656581400"
    assert "2022-06-30T09:30:00.000Z" in str(error)


@pytest.mark.parametrize(
    ("datagram", "levels"),
    [
        ("x:0|g\nx:-5|g", [(-5, False)]),  # how PyPI's statsd sets a level below 0
        ("x:0|g|#a:b\nx:-5.5|g|#a:b", [(-5.5, False)]),
        ("x:0|g\nx:-5|g\nx:-1|g", [(-5, False), (-1, True)]),
        ("x:0|g\nx:+5|g", [(0, False), (5, True)]),
        ("x:1|g\nx:-5|g", [(1, False), (-5, True)]),
        ("x:0|g\ny:-5|g", [(0, False), (-5, True)]),
        ("x:0|g|#a:b\nx:-5|g", [(0, False), (-5, True)]),
        ("x:0|g|T1\nx:-5|g|T2", [(0, False), (-5, True)]),
        ("x:0|g\ny:1|c\nx:-5|g", [(0, False), (1, None), (-5, True)]),
        ("x:0|g\nx:0|g\nx:-5|g", [(0, False), (-5, False)]),
    ],
)
def test_a_zero_and_the_decrease_behind_it_are_one_level(datagram: str, levels: list[Any]) -> None:
    assert [(event.data["value"], event.data.get("delta")) for event in read(datagram)] == levels


def test_of_datadogs_flavour_a_gauge_is_always_a_level() -> None:
    events = read("x:0|g\nx:-5|g\nx:+4|g\nx:1:-2|g", "datadog")
    assert [(event.data["value"], event.data["delta"]) for event in events] == [
        (0, False),
        (-5, False),
        (4, False),
        (1, False),
        (-2, False),
    ]


def test_a_dogstatsd_event_is_read_by_its_lengths() -> None:
    (event,) = read(r"_e{5,13}:title|text\nline2|x|d:1656581400|h:h1|k:k|p:low|s:s|t:error|#a:b|c:ci-1")
    assert (event.type, event.time) == ("statsd_event", TIME)
    assert event.data == {
        "title": "title",
        "text": "text\nline2|x",
        "hostname": "h1",
        "aggregation_key": "k",
        "priority": "low",
        "source_type": "s",
        "alert_type": "error",
        "tags": {"a": "b"},
        "container": "ci-1",
        "received": NOW,
    }


@pytest.mark.parametrize("lengths", ["4,7", "3,4"])  # bytes (datadog), and what JavaScript counts (hot-shots)
def test_an_events_lengths_are_bytes_or_units_of_utf_16(lengths: str) -> None:
    (event,) = read(f"_e{{{lengths}}}:tït|té\U0001f600|#a")
    assert event.data == {"title": "tït", "text": "té\U0001f600", "tags": {"a": True}}


def test_a_service_check_is_read() -> None:
    (event,) = read(r"_sc|app.ok|1|d:1656581400|h:h|#a:b|m:down\n|m\: x|d:1|e:it-false|card:low")
    assert (event.type, event.time) == ("statsd_check", TIME)
    assert event.data == {
        "name": "app.ok",
        "status": 1,
        "hostname": "h",
        "tags": {"a": "b"},
        "message": "down\n|m: x|d:1",
        "external": "it-false",
        "cardinality": "low",
        "received": NOW,
    }
    (bare,) = read("_sc|app.ok|3")
    assert (bare.time, bare.data) == (NOW, {"name": "app.ok", "status": 3})


@pytest.mark.parametrize(
    "line",
    [
        "x",
        "x:1",
        "x:|c",
        ":1|c",
        "x:1|q",
        "x:one|c",
        "x:1|c|@0",
        "x:1|c|@2",
        "x:1e999|g",
        "x:nan|g",
        "x:Infinity|g",
        "x|c",
        f"x:{'9' * 401}|c",
        "_e{1,1}:",
        "_e{1,1}:ab|c",
        "_e{9,9}:a|b",
        "_e{x}:a|b",
        "_sc|x",
        "_sc||0",
        "_sc|x|4",
        "_sc|x|ok",
        b"caf\xe9:1|c",
        b"a:1|c|#b:\xe9",
        b"_e{1,1}:\xe9|b",
    ],
)
def test_a_line_that_is_none_says_what_is_accepted(line: bytes | str) -> None:
    assert "accepted is" in rejection(line)


def test_whole_numbers_beyond_64_bits_are_doubles() -> None:
    texts = (str(2**63 - 1), str(2**63), str(10**300))
    values = [event.data["value"] for event in read(f"x:{':'.join(texts)}|c")]
    assert values == [2**63 - 1, 2.0**63, 1e300]
    assert [type(value) for value in values] == [int, float, float]


def test_an_empty_line_is_nothing() -> None:
    with pytest.raises(InvalidRequest, match="accepted is"):
        parse("")
    assert [event.data["name"] for event in read(b"a:1|c\n\n \r\nb:2|g\r\n\n")] == ["a", "b"]


def test_only_so_many_values_of_a_second_are_taken() -> None:
    moments = [NOW, NOW + 999, NOW + 1000]
    reader = StatsdReader(3, lambda: moments[0])
    assert [len(found) for found in reader(b"a:1|c\na:1|c")] == [2, 0]
    moments.pop(0)
    events, errors = reader(b"a:1|c\nnonsense\na:1|c")
    assert (len(events), [type(error) for error in errors]) == (1, [Overloaded, Overloaded])
    moments.pop(0)
    assert [len(found) for found in reader(b"a:1:2:3:4|c")] == [0, 1]
