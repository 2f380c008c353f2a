"""What functions give: the same over columns as for one event, and exactly at the edges of whole numbers."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cube.columns import Block, grouped_partials, mask, partials, paths
from cube.columns.definition import compute, evaluate, group_at, matches
from cube.columns.evaluation import evaluated, numbers
from cube.columns.packed import PackedBlock
from cube.errors import InvalidQuery
from cube.expression import parse_event, parse_metric
from cube.expression.calendar_functions import hours, weekdays
from cube.expression.functions import FUNCTIONS, OfNumbers
from cube.expression.nodes import Reduction, Value
from cube.expression.text_functions import read_time
from cube.expression.time_texts import read_times
from cube.model import instant
from cube.model.event import ABSENT
from cube.model.tier import DAY

OF_ONE_NUMBER = [
    each.name for each in FUNCTIONS.values() if isinstance(each.work, OfNumbers) and each.least == 1
]


def value_of(text: str) -> Value:
    reduction = parse_metric(f"count(a({text}))")
    assert isinstance(reduction, Reduction)
    assert reduction.value is not None
    return reduction.value


@pytest.mark.parametrize(
    ("function", "powers"),
    [
        ("log2", {exponent: 2.0**exponent for exponent in range(-1074, 1024)}),
        ("log10", {exponent: float(f"1e{exponent}") for exponent in range(-307, 309)}),
    ],
)
def test_no_number_is_on_the_wrong_side_of_a_power(function: str, powers: dict[int, float]) -> None:
    entry = FUNCTIONS[function].work
    assert isinstance(entry, OfNumbers)
    expected = {}
    for exponent, power in powers.items():
        expected[power] = exponent
        expected[math.nextafter(power, math.inf)] = exponent
        expected.setdefault(math.nextafter(power, 0), exponent - 1)
    for number in [each for each in expected if not 0 < each < math.inf]:
        del expected[number]
    if function == "log2":  # between the least numbers lie the next powers themselves
        expected = {number: math.frexp(number)[1] - 1 for number in expected}
    found = entry.columns(np.array(list(expected)))
    assert np.floor(found).tolist() == list(expected.values())
    assert [math.floor(entry.plain(number)) for number in expected] == list(expected.values())
    assert entry.columns(np.array(list(powers.values()))).tolist() == list(powers)


@pytest.mark.parametrize("function", OF_ONE_NUMBER)
def test_a_function_of_columns_is_the_plain_one_of_each_row(function: str) -> None:
    entry = FUNCTIONS[function].work
    assert isinstance(entry, OfNumbers)
    given = np.concatenate([np.linspace(-3, 3, 25), [0.0, 1e-300, 1e300, 1000.0, 8.0]])
    with np.errstate(all="ignore"):
        found = entry.columns(given)
    for number, value in zip(given.tolist(), found.tolist(), strict=True):
        try:
            plain = float(entry.plain(number))
        except (ArithmeticError, ValueError):
            assert not math.isfinite(value)
        else:
            assert value == pytest.approx(plain, rel=1e-14)


EVENT_TIME = instant.parse("2026-03-29T01:30:00.250Z")
DATA: dict[str, Any] = {
    "ms": 12.5,
    "status": "404",
    "code": 200,
    "ok": True,
    "host": "Web-1",
    "path": "/api/users/7",
    "at": "2026-03-29T01:30:00.123456Z",
    "us": "1774747800000500",
    "seconds": 1774747800,
    "nothing": None,
    "tags": ["a", "b"],
    "params": [
        {"key": "page", "value": {"text": "/x"}},
        {"key": "ga_session_id", "value": {"int": 5}},
        {"key": "ga_session_id", "value": {"int": 6}},
        "odd",
    ],
    "scores": [{"type": "quiz", "score": 3}, {"type": "exam", "score": 9}, {"type": 1, "score": 7}],
    "mails": [{"primary": 1, "of": "a"}, {"primary": True, "of": "b"}],
    "attributes": [{"a": {"b c": "x"}, "v": 1}, {"a": {"d": "y"}, "v": 2}],
}
VALUES: list[tuple[str, Any]] = [
    ("number(status)", 404),
    ("number(code)", 200),
    ("number(ok)", 1),
    ("number(host)", ABSENT),
    ("number(nothing)", ABSENT),
    ("number(tags)", ABSENT),
    ("number(' +1.5e3 ')", 1500),
    ("number('.5')", 0.5),
    ("number('0x10')", ABSENT),
    ("number('1_000')", ABSENT),
    ("number('nan')", ABSENT),
    ("number('1e999')", ABSENT),
    ("number('١')", ABSENT),
    ("time()", EVENT_TIME),
    ("time(at)", 1774747800123.456),
    ("time(at, 's')", 1774747800123.456),
    ("time(us, 'us')", 1774747800000.5),
    ("time(us)", ABSENT),
    ("time(seconds, 's')", 1774747800000),
    ("time(ms)", 12.5),
    ("time(ok)", ABSENT),
    ("time(host)", ABSENT),
    ("time('2026-03-29')", 1774742400000),
    ("time('0000-01-01T00:00:00Z')", ABSENT),
    ("time() - time(at)", 126.544),
    ("hour(time())", 1),
    ("hour(time(), 'Europe/Berlin')", 3),
    ("hour(time(), 'Asia/Kathmandu')", 7),
    ("weekday(time())", 7),
    ("weekday(time() + 86400000)", 1),
    ("hour(1e300)", ABSENT),
    ("lower(host)", "web-1"),
    ("upper(host)", "WEB-1"),
    ("lower(code)", ABSENT),
    ("prefix(status, 1)", "4"),
    ("prefix(status, 0)", ""),
    ("match(path, '^/([^/]+)')", "api"),
    ("match(path, '[0-9]+$')", "7"),
    ("match(path, '^/(x)?api')", ABSENT),
    ("match(path, 'nowhere')", ABSENT),
    ("lower(match(host, 'We'))", "we"),
    ("length(host)", 5),
    ("length(tags)", 2),
    ("length(code)", ABSENT),
    ("if(ge(code, 200), host, 0)", "Web-1"),
    ("if(ge(code, 201), host, 0)", 0),
    ("if(ge(code, 201), host)", ABSENT),
    ("if(eq(lower(host), 'web-1'), ms * 2, ms)", 25),
    ("if(and(ge(number(status), 400), lt(number(status), 500)), 'bad', 'good')", "bad"),
    ("coalesce(nowhere, nothing, tags, host)", "Web-1"),
    ("coalesce(nowhere, 'none')", "none"),
    ("coalesce(ok, 1)", True),
    ("coalesce(nowhere, nothing)", ABSENT),
    ("combine(host, code, ok, ms)", '["Web-1",200,true,12.5]'),
    ("combine(host, nowhere)", ABSENT),
    ("combine(tags, 1)", ABSENT),
    ("combine(combine(code, 'é'), 2.0)", '["[200,\\"é\\"]",2]'),
    ("min(ms, 1000, code)", 12.5),
    ("max(ms, 1000, code)", 1000),
    ("max(ms, nowhere)", ABSENT),
    ("ge(code, 200)", True),
    ("not(exists(host))", False),
    ("exists(number(host))", False),
    ("ge(code, 200) + 1", 2),
    ('params[key="ga_session_id"].value.int', 5),
    ('params[key="page"].value.text', "/x"),
    ('params["key"="nowhere"].value.text', ABSENT),
    ('scores[type="exam"].score', 9),
    ("scores[type=1].score", 7),
    ("mails[primary=true].of", "b"),
    ("mails[primary=1].of", "a"),
    ('attributes[a.d="y"].v', 2),
    ('host[key="x"]', ABSENT),
]
ROWS: list[Any] = [DATA, {**DATA, "host": 3, "code": "x", "status": None}, {}, ABSENT, None, [DATA], DATA]


def blocks(rows: list[Any], time: int = EVENT_TIME) -> list[Block]:
    times = np.full(len(rows), time, dtype=np.int64)
    block = Block(times, rows, list(range(len(rows))))
    texts = [text for text, _ in (*VALUES, *FILTERS)]
    read = {path for text in texts for path in paths(Reduction("count", "a", value_of(text), ()))}
    return [block, PackedBlock.of(block, read)]


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_a_value_of_one_event_is_plain(text: str, expected: Any) -> None:
    found = evaluate(value_of(text), DATA, EVENT_TIME)
    assert (found, type(found) is bool) == (pytest.approx(expected), type(expected) is bool)


def test_a_value_of_columns_is_that_of_each_event() -> None:
    for block in blocks(ROWS):
        for text, _ in VALUES:
            value = value_of(text)
            column = evaluated(value, block)
            plain = [evaluate(value, row, EVENT_TIME) for row in ROWS]
            if "[" in text and "(" not in text:  # a field: a column of what is stored
                assert [each for each in column.values if each is not None] == [
                    each for each in plain if each is not ABSENT
                ] + [ABSENT] * plain.count(ABSENT) or list(column.values) == plain
            else:
                assert (text, list(map(repr, column.values))) == (text, list(map(_shown, plain)))
            floats = [compute(value, row, EVENT_TIME) for row in ROWS]
            assert np.array_equal(numbers(value, block), np.array(floats), equal_nan=True), text


def _shown(value: Any) -> str:
    return repr(float(value)) if isinstance(value, int) and not isinstance(value, bool) else repr(value)


FILTERS = [
    ("ge(number(status), 400)", True),
    ("ge(number(status), 405)", False),
    ("eq(lower(host), 'web-1')", True),
    ("ne(lower(host), 'web-1')", False),
    ("in(prefix(status, 1), ['4', '5'])", True),
    ("re(lower(host), '^web')", True),
    ("eq(number(host), null)", True),
    ("exists(number(host))", False),
    ("exists(number(status))", True),
    ("eq(ge(code, 200), true)", True),
    ("ge(hour(time(), 'Europe/Berlin'), 3)", True),
    ('eq(params[key="ga_session_id"].value.int, 5)', True),
    ('eq(params[key="ga_session_id"].value.int, 6)', False),
    ('exists(params[key="nowhere"])', False),
    ("gt(ms - code, 0)", False),
    ("eq(if(ge(code, 1), host, 0), 'Web-1')", True),
]


@pytest.mark.parametrize(("text", "expected"), FILTERS)
def test_a_filter_over_what_is_computed_is_that_of_each_event(text: str, expected: bool) -> None:
    (filter,) = parse_event(f"a.{text}").filters
    assert matches(filter, DATA, EVENT_TIME) is expected
    for block in blocks(ROWS):
        assert mask([filter], block).tolist() == [matches(filter, row, EVENT_TIME) for row in ROWS]


def test_an_element_on_the_way_of_an_array_is_chosen_of_each() -> None:
    rows = [
        {"a": [{"b": [{"k": "x", "v": 1}]}, {"b": [{"k": "y", "v": 2}, {"k": "x", "v": 3}]}]},
        {"a": {"b": [{"k": "x", "v": 3}]}},
    ]
    for text, expected in (('a.eq(a.b[k="x"].v, 3)', [True, True]), ('a.eq(a.b[k="x"].v, 1)', [True, False])):
        filters = parse_event(text).filters
        assert [matches(filters[0], row) for row in rows] == expected
        assert mask(filters, Block(np.zeros(2, dtype=np.int64), rows)).tolist() == expected


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Monrovia"]
)
def test_hours_and_weekdays_are_those_of_each_time_in_its_zone(zone: str) -> None:
    edges = [
        "2026-03-29T01:00Z",
        "2026-10-25T01:00Z",
        "1972-01-07T00:44:30Z",
        "1883-11-18T12:00Z",
        "9999-12-31T23:59Z",
    ]
    times = [
        instant.parse(edge) + offset for edge in edges for offset in range(-7_200_000, 7_200_000, 911_111)
    ]
    for text, columns in (("hour", hours), ("weekday", weekdays)):
        value = value_of(f"{text}(time(), '{zone}')")
        plain = [compute(value, {}, time) for time in times]
        assert np.array_equal(
            columns(np.array(times, dtype=np.float64), ZoneInfo(zone)), plain, equal_nan=True
        )
    moment = datetime(2026, 3, 29, 3, 0, tzinfo=ZoneInfo("Europe/Berlin")) - timedelta(milliseconds=1)
    assert compute(value_of("hour(time(), 'Europe/Berlin')"), {}, instant.from_datetime(moment)) in (1, 3)


@pytest.mark.parametrize("fraction", ["", ".", ".1", ".123456", ".1234567", ".9999999999999"])
def test_many_times_are_read_as_each_of_them(fraction: str) -> None:
    days = ["0001-01-01", "1900-02-29", "1969-12-31", "2000-02-29", "2026-13-01", "2026-04-31", "2255-06-06"]
    clocks = ["T00:00:00", "T23:59:59", " 12:30:00", "T24:00:00", "T23:60:00", "T23:59:60", "T1a:00:00"]
    texts = [f"{day}{at}{fraction}{zone}" for day in days for at in clocks for zone in ("Z", "", "+02:00")]
    texts += ["", "x" * 20, "２026-01-01T00:00:00Z"]
    found = read_times(texts).tolist()
    for text, many in zip(texts, found, strict=True):
        assert math.isnan(many) or many == read_time(text), text
    is_common = fraction != "." and len(fraction) <= 13
    assert sum(many == many for many in found) == (4 if is_common else 0)


def test_texts_that_differ_and_become_one_are_one_group() -> None:
    rows = [{"host": host} for host in ("A", "a", "B", "b", "B")]
    for block in blocks(rows):
        reduction = parse_metric("sum(a).group(lower(host))")
        assert isinstance(reduction, Reduction)
        (groups,) = grouped_partials(reduction, DAY, block).values()
        assert {key[1]: partial[0] for key, partial in groups.items() if key} == Counter(a=2, b=3)
        distinct = parse_metric("distinct(a(if(eq(host, 'A'), 'b', lower(host))))")
        assert isinstance(distinct, Reduction)
        assert list(map(len, partials(distinct, DAY, block).values())) == [2]
    assert [group_at(value_of("lower(host)"), row) for row in rows] == ["a", "a", "b", "b", "b"]


def test_what_is_made_of_texts_is_remembered_within_bounds() -> None:
    rows = [{"host": f"h{number % 50}"} for number in range(200)]
    block = PackedBlock.of(Block(np.zeros(200, dtype=np.int64), rows), [("host",)])
    texts = block.packed["stored", ("host",)].texts
    for text in ("length(host)", "number(host)", "prefix(host, 1)", "lower(host)", "length(host)"):
        evaluated(value_of(text), block)
        assert len(texts.made) <= 2
    kept = evaluated(value_of("length(host)"), block).numbers
    assert np.array_equal(kept, evaluated(value_of("length(host)"), block.rows(0, 200)).numbers)


def test_a_text_that_is_too_long_for_a_pattern_is_refused_only_where_it_is_asked_for() -> None:
    rows = [{"path": "/a"}, {"path": "/" * 9_000_000}]
    block = PackedBlock.of(Block(np.zeros(2, dtype=np.int64), rows), [("path",)])
    value = value_of("match(path, '(a{0,30}){30}')")
    assert evaluated(value, block.rows(0, 1)).values[0] == ""
    with pytest.raises(InvalidQuery, match="meets a text of 9000000 characters"):
        evaluated(value, block)
