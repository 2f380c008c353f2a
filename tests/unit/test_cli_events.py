"""Events and metrics on a terminal: fields as columns, no wider than the screen; which span is shown."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from rich.console import Console

from cube.cli import output, spans, tail_lines
from cube.cli.ask import metric_table, number_text
from cube.cli.catalog import age_text, sparkline
from cube.cli.event_fields import event_table, flattened
from cube.cli.event_stream import StreamedEvent, type_of
from cube.cli.spans import AskedSpan
from cube.cli.tail_lines import TailLines
from cube.client.evaluator import FoundEvent
from cube.model import instant
from cube.model.event import ABSENT
from cube.model.tier import Metric

NOW = instant.parse("2026-11-29T12:00:00.500Z")


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 60 columns and 20 rows."""
    terminal = partial(Console, force_terminal=True, width=60, height=20, no_color=True, highlight=False)
    for module in (output, spans, tail_lines):
        monkeypatch.setattr(module, "console", terminal)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    text = capsys.readouterr().out
    for code in ("\x1b[1m", "\x1b[0m", "\x1b[2m", "\x1b[1;2m"):
        text = text.replace(code, "")
    return [line.rstrip() for line in text.splitlines()]


def test_fields_are_named_as_expressions_name_them() -> None:
    data = {"a": {"b": 1, "user-agent": {}}, "x y": [{"c": 2}], "n": None}
    assert flattened(data) == {"a.b": 1, 'a["user-agent"]': {}, '["x y"]': [{"c": 2}], "n": None}
    assert (flattened("text"), flattened(ABSENT), flattened({})) == ({"data": "text"}, {}, {})


@pytest.mark.usefixtures("screen")
def test_events_have_the_fields_as_columns_that_there_is_room_for(capsys: pytest.CaptureFixture[str]) -> None:
    wide = {f"field_{number}": "x" * 30 for number in range(6)}
    found = [FoundEvent(NOW, None, {"ms": 5, **wide}), FoundEvent(NOW, 7, {"ms": 1.5, "id": "\x1b[31m"})]
    output.print_table(*event_table(found))
    lines = printed(capsys)
    assert lines[0].split() == ["time", "ms", "field_0", "id"]
    assert lines[1].startswith("2026-11-29T12:00:00.500Z    5  xxxxx")
    assert "\x1b" not in "".join(lines)
    assert max(map(len, lines)) <= 60


@pytest.mark.usefixtures("screen")
def test_groups_are_columns() -> None:
    found = [
        Metric(NOW, 3, "a"),
        Metric(NOW, None, ("b", 1)),
        Metric(NOW, 2.5, "other", True),
        Metric(NOW + 1000, 4, "a"),
    ]
    rows, columns = metric_table(found)
    assert [column.header.plain for column in columns] == ["time", "a", "b, 1", "other"]
    assert [column.style for column in columns] == ["", "", "", "dim"]
    assert [[column.text(row).plain for column in columns[1:]] for row in rows] == [
        ["3", "", "2.5"],
        ["4", "", ""],
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (12_345.0, "12,345"),
        (0.1 + 0.2, "0.3"),
        (123_456.789, "123,456.79"),
        (1e300, "1e+300"),
        (-0.5, "-0.5"),
    ],
)
def test_values_are_shown_in_few_characters(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.usefixtures("screen")
def test_a_stream_keeps_its_columns_and_names_what_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    lines = TailLines(has_types=False)
    lines.learn("request", [{"path": "/", "ms": 5}, {"path": "/products", "ms": 120}])
    for data in ({"path": "/", "ms": 7}, {"ms": 8, "new": True, "long": "y" * 90}):
        lines.print(StreamedEvent("request", NOW, None, data))
    assert printed(capsys) == [
        "time (UTC)    path       ms",
        "12:00:00.500  /            7",
        "12:00:00.500               8  new=true  long=yyyyyyyyyyyyyy…",
    ]


@pytest.mark.usefixtures("screen")
def test_the_heads_of_a_stream_come_again_when_they_have_left_the_screen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = TailLines(has_types=True)
    for type in ("a", "bb", *["a"] * 20):
        lines.print(StreamedEvent(type, NOW, None, {"x": 1}))
    heads = [place for place, line in enumerate(printed(capsys)) if line.startswith("time")]
    assert heads == [0, 2, 21]


@pytest.mark.parametrize(
    ("asked", "rows", "found"),
    [
        ({}, 20, {"limit": 20, "step": "30m"}),
        ({}, 80, {"limit": 80, "step": "5m"}),
        ({"step": "1d"}, 20, {"limit": 20, "step": "1d"}),
        ({"limit": 5}, 20, {"limit": 5, "step": "2h"}),
        ({"start": "-1d"}, 24, {"start": "-1d", "step": "1h"}),
        ({"start": "-40000d", "stop": "now"}, 24, {"start": "-40000d", "stop": "now", "step": "1w"}),
        ({"start": "2026-11-29", "step": "1h"}, 24, {"start": "2026-11-29", "step": "1h"}),
    ],
)
def test_what_nobody_says_is_what_fits(asked: dict[str, Any], rows: int, found: dict[str, Any]) -> None:
    assert AskedSpan(**asked).fitted(rows, NOW) == found


def test_a_span_is_cut_to_the_screen() -> None:
    assert spans.screen_rows() == spans.PIPED_ROWS


def test_the_type_of_an_expression_is_its_first_word() -> None:
    texts = ("request", " request(*)", "request.eq(a, 1)", "a_B1(x)")
    assert [type_of(text) for text in texts] == ["request", "request", "request", "a_B1"]


def test_ages_and_lines_of_counts() -> None:
    times = [
        "2026-11-29T12:00:00.400Z",
        "2026-11-29T11:58:00Z",
        "2026-11-27T12:00:00Z",
        "2026-12-01T00:00:00.000Z",
    ]
    assert [age_text(time, NOW) for time in times] == [
        "0 s ago",
        "2 min ago",
        "2 d ago",
        "2026-12-01T00:00:00Z",
    ]
    assert sparkline([0] * 60) == "▁" * 20
    assert sparkline([1, 1, 1] * 19 + [0, 0, 30]) == "▂" * 19 + "█"
