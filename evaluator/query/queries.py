"""Queries: what a client asks, parsed from URL parameters or from a WebSocket message.

The first error in this order is reported: start, stop, expression, step, limit, and the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from cube.columns import check
from cube.errors import InvalidQuery, InvalidRequest, shown
from cube.expression import parse_event, parse_metric
from cube.expression.definitions import Definitions
from cube.expression.nodes import EventExpression, MetricExpression
from cube.expression.templates import parse_alike
from cube.model import instant
from cube.model.grid import ACCEPTED, Grid, grid_of
from cube.model.place import EventPlace, parse_cursor
from cube.model.relative import read_time
from cube.model.tier import TEN_SECONDS, Span
from cube.settings import EvaluatorSettings

E = TypeVar("E", EventExpression, MetricExpression)

LONGEST_WAIT_MS = 604_800_000
"""A longer delay or lateness counts as this: a week."""

REMEMBERED, REMEMBERED_CHARACTERS = 256, 1_000
"""Dashboards ask the same again and again: so many of the latest expressions, of so many characters at most,
are not parsed again. Some megabytes."""

_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_RADIX = re.compile(r"0(?:[xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)", re.ASCII)
_INFINITE = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
_WORDS = re.compile(r"[a-z0-9]*[a-z][a-z0-9]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Events in ``[start, stop)``; ``stop`` None: from ``start`` on, a stream.

    The latest ``limit``, or, ``upwards``, the first; ``place``: from there on. ``is_paged``: whether the
    client goes from page to page; ``all_ids``: whether those are shown that Cube has made. ``text``: the
    expression as it was written; ``asked``: without what a key adds, where one does. ``asked_at``: when the
    walk was begun: its relative times are relative to that.
    """

    expression: EventExpression
    start: int
    stop: int | None
    limit: int
    delay: int
    late: int
    text: str = field(default="", compare=False)
    upwards: bool = False
    place: EventPlace | None = None
    is_paged: bool = False
    asked: EventExpression | None = field(default=None, compare=False)
    asked_at: int = field(default=0, compare=False)
    all_ids: bool = False

    @classmethod
    def parse(
        cls, raw: Mapping[str, Any], *, now: int, settings: EvaluatorSettings, stream: bool = False
    ) -> EventQuery:
        """Check a request's keys; unknown ones are ignored, and what is not said is in the settings.

        ``stream``: whether a request without ``stop`` is one, else it stops now. Raises
        `InvalidQuery` or `InvalidExpression`.
        """
        now = _asked_at(raw, now)
        start, stop = read_time(raw, "start", now), read_time(raw, "stop", now)
        start = 0 if start is None else start
        is_stream = stop is None and stream
        stop = now if stop is None and not stream else stop
        _check_order(start, stop)
        upwards, place = _place(raw, is_stream=is_stream)
        return cls(
            expression=_expression(raw, parse_event),
            start=start,
            stop=stop,
            limit=read_limit(raw, settings.limits.rows),
            delay=_wait(raw, "delay", settings.stream.delay_ms),
            late=_wait(raw, "late", settings.stream.late_ms),
            text=raw["expression"],
            upwards=upwards,
            place=place,
            is_paged="after" in raw or "before" in raw,
            asked_at=now,
            all_ids=_all_ids(raw),
        )


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """An expression over the buckets of ``span``, which is aligned and has at most ``limit`` of them.

    ``live``: from then on; the span ends with the bucket that is open. ``start``: the one that was asked
    for; None where the span begins ``limit`` buckets before its end. ``text``: the expression as written;
    ``has_names``: whether names stand in it, which ``expression`` has none of. ``asked``: the expression
    without what a key adds, where one does.
    """

    expression: MetricExpression
    grid: Grid
    span: Span
    limit: int
    live: bool
    start: int | None = None
    text: str = field(default="", compare=False)
    has_names: bool = False
    asked: MetricExpression | None = field(default=None, compare=False)

    @classmethod
    def parse(
        cls,
        raw: Mapping[str, Any],
        *,
        now: int,
        settings: EvaluatorSettings,
        live: bool = False,
        definitions: Definitions | None = None,
    ) -> MetricQuery:
        start, stop = read_time(raw, "start", now), read_time(raw, "stop", now)
        _check_order(start, now if stop is None else stop)
        if definitions is None:
            expression = _expression(raw, parse_metric)
        else:
            expression = parse_named(raw["expression"], definitions)
        grid, limit = _grid(raw), read_limit(raw, settings.limits.rows)
        live = live and stop is None
        if stop is None:
            stop = grid.after(now) if live else grid.floor(now)
        span, text = _covered(grid, start, stop, limit), raw["expression"]
        return cls(expression, grid, span, limit, live, start, text, has_names=definitions is not None)

    @property
    def is_cut(self) -> bool:
        """Whether buckets that were asked for are left out, the earliest, because they are too many."""
        if self.start is None or not self.span:
            return False
        return max(self.grid.floor(self.start), self.grid.ceil(instant.EARLIEST)) < self.span.start

    def span_at(self, now: int) -> Span:
        """Return the span that the query, which is live, has at another moment."""
        return _covered(self.grid, self.start, self.grid.after(now), self.limit)


def _covered(grid: Grid, start: int | None, stop: int, limit: int) -> Span:
    if start is None:
        start = grid.back(grid.ceil(stop), limit)
    return Span(stop, stop) if start >= stop else latest(grid, Span(start, stop), limit)


def latest(grid: Grid, span: Span, limit: int) -> Span:
    """Return the last ``limit`` buckets that a span covers; none begins before the year 1."""
    covered = grid.cover(span)
    first = max(covered.start, grid.ceil(instant.EARLIEST))
    if 2 * (covered.stop - first) >= limit * grid.shortest:  # else there are fewer, clocks that are set aside
        first = max(first, grid.back(covered.stop, limit))
    return Span(first, covered.stop)


def number(value: object) -> float:
    """Read a number as JavaScript's ``Number()`` does: ``6e4``, ``" 60000 "``, ``0xEA60``; else NaN."""
    if isinstance(value, str):
        text = value.strip()
        if not text or text in _INFINITE:
            return _INFINITE.get(text, 0.0)
        if _RADIX.fullmatch(text):
            return float(int(text, 0)) if len(text) < 200 else math.inf
        return float(text) if _DECIMAL.fullmatch(text) else math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # JSON's integers have no bound
            return math.inf if value > 0 else -math.inf
    return math.nan


def _check_order(start: int | None, stop: int | None) -> None:
    if start is not None and stop is not None and start > stop:
        raise InvalidQuery(
            f"The start {instant.format(start)} is after the stop {instant.format(stop)}.", field="start"
        )


def _place(raw: Mapping[str, Any], *, is_stream: bool) -> tuple[bool, EventPlace | None]:
    """Return whether a walk goes upwards, and where it goes on; "" is its beginning."""
    given = [name for name in ("after", "before") if name in raw]
    if not given:
        return False, None
    name = given[0]
    if is_stream or len(given) > 1:
        what, accepted = (
            ("a stream", "a stop beside it") if is_stream else ("before beside it", "one of them")
        )
        raise InvalidQuery(f"Got the parameter {name} with {what}; accepted is {accepted}.", field=name)
    try:
        return name == "after", None if raw[name] == "" else parse_cursor(raw[name]).place
    except InvalidRequest as error:
        raise InvalidQuery(f"The parameter {name} is not valid. {error.message}", field=name) from None


def _asked_at(raw: Mapping[str, Any], now: int) -> int:
    """Return when the walk was begun that a request goes on with; now where it begins one."""
    for name in ("after", "before"):
        with suppress(InvalidRequest):  # told in its turn
            if raw.get(name):
                asked = parse_cursor(raw[name]).asked
                return now if asked is None else asked
    return now


def _expression(raw: Mapping[str, Any], parse: Callable[[str], E]) -> E:
    if "expression" not in raw:
        raise InvalidQuery("The expression is missing.", field="expression")
    expression = raw["expression"]
    if not isinstance(expression, str):
        raise InvalidQuery(f"Got the expression {shown(expression)}; accepted is text.", field="expression")
    parsed: E = (_remembered if len(expression) <= REMEMBERED_CHARACTERS else _parsed)(parse, expression)
    return parsed


def parse_named(text: str, definitions: Definitions) -> MetricExpression:
    """Parse a metric expression with names in it; raises `InvalidExpression` or `InvalidQuery`."""
    expression = parse_metric(text, definitions)
    check(expression)
    return expression


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    """Parse an expression; a bad pattern is refused even where no event is scanned."""
    parsed = parse_alike(parse, text)
    check(parsed, text)
    return parsed


_remembered = lru_cache(maxsize=REMEMBERED)(_parsed)


def _grid(raw: Mapping[str, Any]) -> Grid:
    step = _step(raw.get("step", TEN_SECONDS.step))
    return grid_of(step, _word(raw, "timezone", "UTC"), _word(raw, "week_start", "monday"))


def _step(given: object) -> int | str:
    """Return a step as words, or in milliseconds: what is a number for JavaScript is one here."""
    if isinstance(given, str) and _WORDS.fullmatch(given.strip()) and math.isnan(number(given)):
        return given.strip()
    value = number(given)
    if not value.is_integer():
        raise InvalidQuery(f"Got the step {shown(given)}; accepted is {ACCEPTED}.", field="step")
    return int(value)


def _all_ids(raw: Mapping[str, Any]) -> bool:
    given = raw.get("ids", "given")
    if given not in ("given", "all"):
        raise InvalidQuery(f"Got the ids {shown(given)}; accepted are given and all.", field="ids")
    return bool(given == "all")


def _word(raw: Mapping[str, Any], name: str, usual: str) -> str:
    word = raw.get(name, usual)
    if not isinstance(word, str):
        raise InvalidQuery(f"Got the {name} {shown(word)}; accepted is text such as {usual}.", field=name)
    return word


def read_limit(raw: Mapping[str, Any], default: int, largest: int | None = None) -> int:
    """Return how much is asked for, at most `largest` (None: `default`); raises `InvalidQuery` below 1."""
    return _at_most(raw, "limit", default, default if largest is None else largest, "numbers", 1)


def _wait(raw: Mapping[str, Any], name: str, default: int) -> int:
    return _at_most(raw, name, default, LONGEST_WAIT_MS, "milliseconds", 0)


def _at_most(raw: Mapping[str, Any], name: str, default: int, largest: int, what: str, least: int) -> int:
    if name not in raw:
        return default
    value = number(raw[name])
    if math.isnan(value) or value < least:
        raise InvalidQuery(
            f"Got the {name} {shown(raw[name])}; accepted are {what} from {least}.", field=name
        )
    return int(min(value, largest))
