"""What a client asks: defaults, limits, forms of numbers, and which error is told first."""

from __future__ import annotations

import math
from typing import Any

import pytest

from cube.errors import InvalidExpression, InvalidQuery, InvalidRequest
from cube.expression import parse_event, parse_metric
from cube.model import instant
from cube.model.tier import DAY, HOUR, MINUTE, TEN_SECONDS, TIERS, WEEK, Span
from cube.model.zone import Regime, Zone
from cube.settings import EvaluatorSettings
from evaluator.query.queries import LONGEST_WAIT_MS, EventQuery, MetricQuery, latest, number

SETTINGS = EvaluatorSettings()
NOW = instant.parse("2011-07-18T12:34:56.789Z")


def metric(live: bool = False, **raw: Any) -> MetricQuery:
    return MetricQuery.parse({"expression": "sum(test)", **raw}, now=NOW, settings=SETTINGS, live=live)


def events(stream: bool = False, **raw: Any) -> EventQuery:
    return EventQuery.parse({"expression": "test", **raw}, now=NOW, settings=SETTINGS, stream=stream)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6e4", 60_000),
        (" 60000 ", 60_000),
        ("0xEA60", 60_000),
        ("0b11", 3),
        ("0o17", 15),
        ("+1.", 1),
        (".5", 0.5),
        ("-2E-1", -0.2),
        ("", 0),
        ("Infinity", math.inf),
        (60_000, 60_000),
        (6e4, 60_000),
    ],
)
def test_numbers_have_the_forms_of_javascript(text: object, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["x", "1_000", "1e", "--1", "0x", "inf", "nan", "١", True, None, [], {}])
def test_what_is_no_number_is_nan(text: object) -> None:
    assert math.isnan(number(text))


def test_an_integer_of_any_length_is_a_number() -> None:
    assert number(10**400) == math.inf
    assert number(-(10**400)) == -math.inf


def test_a_metric_query_defaults_to_the_latest_closed_buckets_of_ten_seconds() -> None:
    query = metric()
    stop = TEN_SECONDS.floor(NOW)
    assert query == MetricQuery(
        parse_metric("sum(test)"), TEN_SECONDS, Span(stop - 10_000 * 10_000, stop), 10_000, live=False
    )


def test_a_span_covers_whole_buckets() -> None:
    query = metric(step="36e5", start="2011-07-18T01:30Z", stop="2011-07-18T02:30Z")
    hour = instant.parse("2011-07-18T00:00Z") + HOUR.step
    assert query.span == Span(hour, hour + 2 * HOUR.step)


def test_times_may_be_relative_to_now() -> None:
    assert metric(step="1h", start="-6h").span == Span(HOUR.floor(NOW - 6 * HOUR.step), HOUR.floor(NOW))
    day = events(start="now-1d", stop="now")
    assert (day.start, day.stop) == (NOW - DAY.step, NOW)
    assert events(stream=True, start="-1h").stop is None


def test_of_more_buckets_than_the_limit_the_latest_are_given() -> None:
    query = metric(step=60_000, start="2011-07-18", stop="2011-07-18T01:00Z", limit=3)
    stop = instant.parse("2011-07-18T01:00Z")
    assert query.span == Span(stop - 3 * MINUTE.step, stop)


def test_a_limit_above_the_largest_counts_as_that() -> None:
    assert metric(limit="1e9").limit == metric(limit="Infinity").limit == 10_000


def test_start_equal_to_stop_is_an_empty_span() -> None:
    assert not metric(start="2011-07-18T00:00:01Z", stop="2011-07-18T00:00:01Z").span


def test_a_start_in_the_open_bucket_is_an_empty_span() -> None:
    assert not metric(step=86_400_000, start="2011-07-18T12:00Z").span


def test_a_live_query_ends_with_the_open_bucket() -> None:
    query = metric(live=True, step=86_400_000, start="2011-07-18T12:00Z")
    assert query.live
    assert query.span == Span(DAY.floor(NOW), DAY.floor(NOW) + DAY.step)


def test_a_query_with_stop_is_not_live() -> None:
    assert not metric(live=True, stop=NOW).live


def test_no_bucket_begins_before_the_year_one() -> None:
    span = latest(WEEK, Span(instant.EARLIEST, instant.EARLIEST + 1), 10_000)
    assert span.start >= instant.EARLIEST
    assert not span or span.stop > span.start


def test_unknown_parameters_are_ignored() -> None:
    assert metric(colour="red") == metric()


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"start": "x", "stop": "y", "expression": "(", "step": 7, "limit": 0}, "start"),
        ({"stop": "y", "expression": "(", "step": 7, "limit": 0}, "stop"),
        ({"start": NOW, "stop": 0, "expression": "(", "step": 7, "limit": 0}, "start"),
        ({"start": NOW + 1, "expression": "(", "step": 7, "limit": 0}, "start"),
        ({"expression": "(", "step": 7, "limit": 0}, None),
        ({"step": 7, "limit": 0}, "step"),
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"step": "", "limit": 1}, "step"),
        ({"step": True}, "step"),
        ({"step": math.inf}, "step"),
        ({"start": None}, "start"),
        ({"expression": 7}, "expression"),
    ],
)
def test_the_first_error_is_told(raw: dict[str, Any], field: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        metric(**raw)
    assert caught.value.details.get("field") == field
    assert isinstance(caught.value, InvalidExpression if field is None else InvalidQuery)


def test_a_missing_expression_is_told() -> None:
    with pytest.raises(InvalidQuery, match="expression is missing"):
        MetricQuery.parse({}, now=NOW, settings=SETTINGS)


@pytest.mark.parametrize(
    ("raw", "field", "told"),
    [
        ({"step": 1234}, "step", "whole number of seconds up to 366 days"),
        ({"step": "fortnight"}, "step", "10s, 15m, 2h, 1d or 1w, or month, quarter, year"),
        ({"step": "1y"}, "step", "up to 366 days"),
        ({"step": 367 * 86_400_000}, "step", "up to 366 days"),
        ({"step": 0}, "step", "up to 366 days"),
        ({"step": "1d", "timezone": "Berlin"}, "timezone", "IANA's names, such as Europe/Berlin"),
        ({"timezone": "../../etc/passwd"}, "timezone", "IANA's names"),
        ({"timezone": 1}, "timezone", "accepted is text such as UTC"),
        ({"week_start": "mo"}, "week_start", "monday to sunday"),
    ],
)
def test_a_wrong_step_or_zone_is_answered_with_what_is_accepted(
    raw: dict[str, Any], field: str, told: str
) -> None:
    with pytest.raises(InvalidQuery, match=told) as caught:
        metric(**raw)
    assert caught.value.details["field"] == field


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"step": "15m"}, "15m"),
        ({"step": 900_000}, "15m"),
        ({"step": "9e5"}, "15m"),
        ({"step": "1w"}, "1w"),
        ({"step": 604_800_000, "week_start": "sunday"}, "1w from sunday"),
        ({"step": "1h30m", "timezone": "Asia/Kathmandu"}, "90m Asia/Kathmandu"),
        ({"step": "month"}, "month UTC"),
        ({"step": "1d", "timezone": "Etc/UTC"}, "1d"),
    ],
)
def test_a_step_is_words_or_a_number(raw: dict[str, Any], text: str) -> None:
    assert metric(**raw).grid.text == text


def test_steps_of_tiers_are_tiers() -> None:
    for tier in TIERS.values():
        assert metric(step=tier.step).grid is metric(step=tier.text).grid is tier


def test_a_wrong_time_is_shown() -> None:
    with pytest.raises(InvalidQuery, match='"tomorrow"'):
        metric(start="tomorrow")


def test_an_event_query_defaults_to_all_that_there_is() -> None:
    assert events() == EventQuery(parse_event("test"), 0, NOW, 10_000, delay=5_000, late=3_600_000)


def test_an_event_query_without_stop_may_be_a_stream() -> None:
    assert events(stream=True).stop is None
    assert events(stream=True, stop=NOW).stop == NOW


def test_waits_are_bounded() -> None:
    query = events(delay="0", late="1e15")
    assert (query.delay, query.late) == (0, LONGEST_WAIT_MS)


@pytest.mark.parametrize("name", ["delay", "late"])
def test_a_wait_below_zero_is_refused(name: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        events(**{name: -1})
    assert caught.value.details["field"] == name


@pytest.mark.parametrize("stream", [False, True])
def test_a_pattern_that_re2_refuses_is_refused_before_the_step(stream: bool) -> None:
    for refused in ("a(", "(?=b)", r"(b)\\1"):
        filter = f'or(eq(b,1),not(re(a,"{refused}")))'
        with pytest.raises(InvalidExpression, match="accepted is RE2's syntax") as caught:
            metric(stream, expression=f"1 + sum(test.{filter})", step=7)
        assert caught.value.details["field"] == "expression"
        with pytest.raises(InvalidExpression, match="accepted is RE2's syntax"):
            events(stream, expression=f"test.{filter}", limit=0)


def test_of_a_short_span_no_long_time_of_a_zone_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of ten thousand months would reach back to the middle ages."""
    looked, regimes = [], Zone.regimes

    def _regimes(self: Zone, start: int, stop: int) -> list[Regime]:
        looked.append(stop - start)
        return regimes(self, start, stop)

    monkeypatch.setattr(Zone, "regimes", _regimes)
    query = metric(step="month", timezone="America/Anchorage", start=NOW - DAY.step, stop=NOW)

    assert len(query.grid.buckets(query.span)) in (1, 2)
    assert max(looked) < 400 * DAY.step
