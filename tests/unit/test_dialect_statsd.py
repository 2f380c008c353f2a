"""StatsD's lines become events."""

from __future__ import annotations

from typing import Any

import pytest

from collector.dialects.statsd import StatsdReader, parse
from cube.errors import InvalidRequest, Overloaded

NOW = 1_311_033_600_000


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
        ("a:1|h|#env:prod,fast,a.b:c:d", None),
        ("a:2.5e3|d|c:container|#", {"name": "a", "kind": "distribution", "value": 2500, "tags": {}}),
    ],
)
def test_a_line_is_an_event(line: str, data: dict[str, Any] | None) -> None:
    tagged = {
        "name": "a",
        "kind": "histogram",
        "value": 1,
        "tags": {"env": "prod", "fast": True, "a_b": "c:d"},
    }
    assert parse(line) == (data or tagged)


@pytest.mark.parametrize(
    "line",
    [
        "",
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
        "x|c",
        f"x:{'9' * 50}|c",
    ],
)
def test_a_line_that_is_none_says_what_is_accepted(line: str) -> None:
    with pytest.raises(InvalidRequest, match="accepted is"):
        parse(line)


def test_a_datagram_has_many_lines_and_a_bad_one_costs_no_other() -> None:
    events, errors = StatsdReader(100, lambda: NOW)(b"a:1|c\n\nnonsense\r\nb:2|g\n\xff:1|c")
    assert [(event.type, event.time) for event in events] == [
        ("statsd", NOW),
        ("statsd", NOW),
        ("statsd", NOW),
        ("cube_rejected", NOW),
    ]
    assert events[-1].data["payload"] == "nonsense"
    assert len(errors) == 1


def test_only_so_many_lines_of_a_second_are_taken() -> None:
    moments = [NOW, NOW + 999, NOW + 1000]
    reader = StatsdReader(3, lambda: moments[0])
    assert [len(found) for found in reader(b"a:1|c\na:1|c")] == [2, 0]
    moments.pop(0)
    events, errors = reader(b"a:1|c\nnonsense\na:1|c")
    assert (len(events), [type(error) for error in errors]) == (1, [Overloaded, Overloaded])
    moments.pop(0)
    assert len(reader(b"a:1|c")[0]) == 1
