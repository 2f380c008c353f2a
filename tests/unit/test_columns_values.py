"""What values mean, by example: which events count, and as what."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from cube.columns import Block, grouped_partials, needed, partials, project
from cube.columns.values import canonical
from cube.expression import parse_event, parse_metric
from cube.expression.nodes import Reduction
from cube.model.event import ABSENT, id_key
from cube.model.reduce import REDUCES
from cube.model.tier import SECOND, TEN_SECONDS, WEEK

DATE = datetime(2011, 7, 18, tzinfo=UTC)
ROWS: list[Any] = [
    {"a": 4, "b": 2},
    {"a": -1.5, "b": 0},
    {"a": True, "b": 3},
    {"a": "4"},
    {"a": None, "b": 1},
    {"a": [1, 2]},
    {"a": {"b": 8}},
    {"a": DATE},
    {"b": 9},
    ABSENT,
]

TOTALS: dict[str, float | None] = {
    "sum(t)": 10,
    "count(t)": 10,
    "sum(t(a))": 3.5,
    "count(t(a))": 7,
    "count(t(b))": 5,
    "count(t(1))": 10,
    "distinct(t(a))": 7,
    "distinct(t)": 1,
    "min(t(a))": -1.5,
    "max(t(a))": 4,
    "mean(t(a))": 3.5 / 3,
    "median(t(a))": 1,
    "quantile(0.25, t(a))": -0.25,
    "variance(t(a))": ((4 - 3.5 / 3) ** 2 + (-1.5 - 3.5 / 3) ** 2 + (1 - 3.5 / 3) ** 2) / 3,
    "first(t(a))": 4,
    "last(t(b))": 9,
    "sum(t(a[1]))": 2,
    "sum(t(a.b))": 8,
    "sum(t(a + b))": 6 - 1.5 + 4,
    "count(t(a + b))": 3,
    "sum(t(a / b))": 2 + 1 / 3,
    "sum(t(1 / (1 / b)))": 2 + 3 + 1 + 9,
    "sum(t(a - b - 1))": (4 - 2 - 1) + (-1.5 - 0 - 1) + (1 - 3 - 1),
    "sum(t(-a * 2))": -7,
    "sum(t(sqrt(a)))": 3,
    "sum(t(ln(b)))": math.log(2) + math.log(3) + math.log(9),
    "sum(t(round(a)))": 4 - 2 + 1,
    "sum(t(floor(a) + ceil(a) + abs(a)))": 12 + (-2 - 1 + 1.5) + 3,
    "max(t(exp(b * 1000)))": 1,
    "min(t(log2(b) + log10(b)))": 0,
    "sum(t(nothing))": 0,
    "max(t(nothing))": None,
    "distinct(t(nothing))": 0,
}


def reduction(text: str) -> Reduction:
    parsed = parse_metric(text)
    assert isinstance(parsed, Reduction)
    return parsed


def block(rows: list[Any], step: int = 1) -> Block:
    times = np.arange(len(rows), dtype=np.int64) * step
    return Block(times, rows, list(range(len(rows))))


@pytest.mark.parametrize(("text", "expected"), TOTALS.items())
def test_a_value_takes_what_it_says(text: str, expected: float | None) -> None:
    parsed = reduction(text)
    reduce = REDUCES[parsed.reduce]
    made = partials(parsed, WEEK, block(ROWS))
    assert made.keys() <= {WEEK.floor(0)}
    total = reduce.finish(made[WEEK.floor(0)], parsed.argument) if made else reduce.empty
    assert total == (None if expected is None else pytest.approx(expected, rel=1e-12))


def test_buckets_are_half_open_and_start_on_their_step() -> None:
    times = np.array([-1, 0, 9_999, 10_000, 25_000], dtype=np.int64)
    made = partials(reduction("count(t)"), TEN_SECONDS, Block(times, [{}] * 5))
    assert made == {-10_000: 1, 0: 2, 10_000: 1, 20_000: 1}


def test_a_block_may_run_either_way() -> None:
    times = np.array([2_500, 2_100, 400], dtype=np.int64)
    made = partials(
        reduction("last(t(a))"), SECOND, Block(times, [{"a": 3}, {"a": 2}, {"a": 1}], ["z", "y", "x"])
    )
    assert made == {0: (400, id_key("x"), 1.0), 2_000: (2_500, id_key("z"), 3.0)}


def test_among_equal_times_the_order_of_ids_decides() -> None:
    rows = [{"a": 1}, {"a": 2}, {"a": 3}]
    same = Block(np.zeros(3, dtype=np.int64), rows, ["a", b"\x00" * 12, 7])
    assert partials(reduction("first(t(a))"), SECOND, same)[0] == (0, (0, 7), 3.0)
    assert partials(reduction("last(t(a))"), SECOND, same)[0] == (0, (2, b"\x00" * 12), 2.0)


def test_first_and_last_need_ids() -> None:
    with pytest.raises(ValueError, match="ids"):
        partials(reduction("first(t(a))"), SECOND, Block(np.zeros(1, dtype=np.int64), [{"a": 1}]))


def test_sums_do_not_lose_small_terms() -> None:
    made = partials(reduction("sum(t(a))"), SECOND, block([{"a": 1e16}, {"a": 1}, {"a": -1e16}]))
    assert REDUCES["sum"].finish(made[0], None) == 1.0


def test_groups_are_scalars_kept_as_such() -> None:
    hosts = [0, False, "", 1, 1.0, True, "1", None, [1], {"a": 1}, DATE, ABSENT]
    rows = [{"v": 1} if host is ABSENT else {"v": 1, "g": host} for host in hosts]
    made = grouped_partials(reduction("count(t(v)).group(g)"), WEEK, block(rows))
    groups = made[WEEK.floor(0)]
    assert groups == {(0, 0): 1, (2, False): 1, (1, ""): 1, (0, 1): 2, (2, True): 1, (1, "1"): 1}
    assert [type(group) for _, group in groups if group == 1] in ([int, bool], [bool, int])


def test_a_group_appears_only_with_a_value() -> None:
    rows = [
        {"g": "a", "v": 1},
        {"g": "b"},
        {"g": "c", "v": "text"},
        {"g": "d", "v": None},
        {"g": "e", "v": 2},
    ]
    made = grouped_partials(reduction("sum(t(v).lt(v, 2)).group(g)"), WEEK, block(rows))
    assert made == {WEEK.floor(0): {(1, "a"): (1.0, 0.0)}}


def test_a_reduction_without_group_has_no_groups() -> None:
    with pytest.raises(ValueError, match="group"):
        grouped_partials(reduction("sum(t)"), SECOND, block([{}]))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (1, "1", False),
        (1, True, False),
        (0, False, False),
        (2**53, 2**53 + 1, False),
        (2**60, 2.0**60, True),
        ("a", "A", False),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": 1}, True),
        ({"a": 1}, {"a": "1"}, False),
        ([1, 2], [2, 1], False),
        ([[1], 2], [[1, 2]], False),
        (["a", "b"], ["ab"], False),
        ({"a": {"b": 1}}, {"a": [{"b": 1}]}, False),
        (DATE, DATE.isoformat(), False),
        (b"a", "a", False),
    ],
)
def test_distinct_tells_values_apart_by_kind_and_content(left: Any, right: Any, same: bool) -> None:
    assert (canonical(left) == canonical(right)) is same
    made = partials(reduction("distinct(t(a))"), WEEK, block([{"a": left}, {"a": right}]))
    assert len(made[WEEK.floor(0)]) == (1 if same else 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(t)", ()),
        ("sum(t(a.b + c[0])).group(host)", ("a", "c", "host")),
        ("sum(t(abs(-a)).or(eq(x, 1), not(exists(y.z))))", ("a", "x", "y")),
    ],
)
def test_a_reduction_needs_the_top_level_names_it_uses(text: str, expected: tuple[str, ...]) -> None:
    assert needed(reduction(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("t", ()), ("t(*).eq(a, 1)", None), ("t(b, a.c).and(re(d.e, 'x'))", ("a", "b", "d"))],
)
def test_an_event_expression_needs_the_top_level_names_it_uses(
    text: str, expected: tuple[str, ...] | None
) -> None:
    assert needed(parse_event(text)) == expected


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("t", {"a": 1}, ABSENT),
        ("t(*)", {"a": 1}, {"a": 1}),
        ("t(*)", ABSENT, ABSENT),
        ("t(*)", None, None),
        ("t(a)", {"a": None, "b": 1}, {"a": None}),
        ("t(a.b, c)", {"a": {"b": 1, "x": 2}, "c": [3]}, {"a": {"b": 1}, "c": [3]}),
        ("t(a.b, a.c)", {"a": {"b": 1, "c": 2, "d": 3}}, {"a": {"b": 1, "c": 2}}),
        ("t(a, a.b)", {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 2}}),
        ("t(a.b, a)", {"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 2}}),
        ("t(a[0].b)", {"a": [{"b": 1, "c": 2}, 3]}, {"a": [{"b": 1}]}),
        ("t(a[0].b, a[0].c)", {"a": [{"b": 1, "c": 2, "d": 0}]}, {"a": [{"b": 1, "c": 2}]}),
        ("t(a[2], a[0])", {"a": [1, 2, 3]}, {"a": [1, None, 3]}),
        ("t(a)", 5, ABSENT),
        (
            't(a[k="y"].v)',
            {"a": [{"k": "x", "v": 1}, {"k": "y", "v": 2, "w": 3}]},
            {"a": [{"k": "y", "v": 2}]},
        ),
        (
            't(a[k="y"].v, a[k="x"].v, a[0].w, a[k="y"].w, a[k="z"].v)',
            {"a": [{"k": "x", "v": 1, "w": 5}, {"k": "y", "v": 2, "w": 3}]},
            {"a": [{"w": 5}, {"k": "y", "v": 2, "w": 3}, {"k": "x", "v": 1}]},
        ),
        ("t(a[b.c=1])", {"a": [{"b": {"c": 2}}, {"b": {"c": 1}, "d": 4}]}, {"a": [{"b": {"c": 1}, "d": 4}]}),
        ('t(a[k="y"].v)', {"a": {"k": "y", "v": 2}}, ABSENT),
    ],
)
def test_a_projection_shows_the_fields_nested_as_stored(text: str, row: Any, expected: Any) -> None:
    assert project(parse_event(text).fields, row) == expected
