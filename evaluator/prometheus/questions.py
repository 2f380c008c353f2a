"""A query of Prometheus' API becomes a metric query: its expression, and its points as buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from cube.errors import InvalidExpression, InvalidQuery
from cube.expression.bounds import MAX_CHARACTERS
from cube.model.grid import FixedGrid, Grid, grid_of
from cube.model.tier import TIERS, Span
from evaluator.api.service import QueryService
from evaluator.prometheus.lookups import Lookups, field_of
from evaluator.prometheus.parameters import SECOND, Parameters, first, length, time
from evaluator.prometheus.selectors import NAME, Selector, rewritten, whole_selector
from evaluator.query.queries import MetricQuery

LOOK_BACK: Final = 300 * SECOND
"""What an instant is of: Prometheus answers a sample for as long."""

MOST_POINTS: Final = 11_000
MOST_WINDOW_POINTS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Points:
    """``query``: over the buckets of a grid; ``times``: when each of its points is, in milliseconds."""

    query: MetricQuery
    times: range
    metric: Mapping[str, str]


def range_times(parameters: Parameters) -> range:
    """Return the times of a range. Raises `InvalidQuery` where there are none, or too many."""
    start, end = time(parameters, "start"), time(parameters, "end")
    if end < start:
        raise InvalidQuery(
            'invalid parameter "end": end timestamp must not be before start time', field="end"
        )
    step = length(parameters, "step")
    if step <= 0:
        raise InvalidQuery(
            'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a'
            " positive integer",
            field="step",
        )
    _check_step(step, "step")
    if (end - start) // step > MOST_POINTS:
        raise InvalidQuery(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution"
            " (?step=XX)",
            field="step",
        )
    return range(start, end + 1, step)


def instant_times(parameters: Parameters, window: int | None, now: int) -> range:
    """Return the time of an instant, or those of the window before it."""
    at = time(parameters, "time", now)
    if window is None:
        step = length(parameters, "step", 0) or length(parameters, "lookback_delta", 0) or LOOK_BACK
        _check_step(step, "step")
        return range(at, at + 1, step)
    _check_step(window, "query")
    step = next(
        (tier.step for tier in TIERS.values() if window <= tier.step * MOST_WINDOW_POINTS),
        TIERS[max(TIERS)].step,
    )
    return range(at - (window // step - 1) * step, at + 1, step) if window > step else range(at, at + 1, step)


async def asked(service: QueryService, parameters: Parameters, times: range, text: str) -> Points:
    """Read a query over some times; those that are not over yet are left out.

    Raises `InvalidQuery` with the line and column in its message, and `AccessDenied`.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidQuery(
            f"Got a query of {len(text)} characters; accepted are at most {MAX_CHARACTERS}.", field="query"
        )
    known = await Lookups(service).fields_of(text) if "{" in text else {}
    metric: Mapping[str, str] = {}
    selector = whole_selector(text)
    if selector is None:
        expression = rewritten(text, partial(field_of, known))
    else:
        name = await _name(service, selector)
        metric, is_saved = {NAME: name}, name in (await service.definitions()).texts
        expression = name if is_saved else f"sum({selector.text(name, partial(field_of, known))})"
    query = await _parsed(service, expression, has_braces="{" in text)
    edge = service.context.clock() // SECOND * SECOND
    whole = range(times.start, min(times.stop, edge + times.start % SECOND + 1), times.step)
    first_bucket = times.start // SECOND * SECOND - times.step
    span = Span(first_bucket, first_bucket + len(whole) * times.step)
    return Points(replace(query, grid=_grid(times.step, first_bucket), span=span), whole, metric)


async def _name(service: QueryService, selector: Selector) -> str:
    """Return the type, or the saved name, that a selector is about."""
    names = [selector.name] if selector.name else selector.names(await service.types())
    if len(names) != 1:
        raise InvalidQuery(
            f"1:1: parse error: The selector is about {len(names)} types; accepted is one.", field="query"
        )
    if selector.matchers and names[0] in (await service.definitions()).texts:
        raise InvalidQuery(
            f"1:1: parse error: {names[0]} is a saved name; accepted is it alone.", field="query"
        )
    return names[0]


def query_text(parameters: Parameters) -> str:
    """Return the query. Raises `InvalidQuery` where there is none."""
    text = first(parameters, "query")
    if not text.strip():
        raise InvalidQuery(
            'invalid parameter "query": unknown position: parse error: no expression found', field="query"
        )
    return text


async def _parsed(service: QueryService, expression: str, *, has_braces: bool) -> MetricQuery:
    raw: dict[str, Any] = {"expression": expression, "start": 0, "stop": 0}
    try:
        return await service.metric_query(raw)
    except InvalidExpression as error:
        place = f"{error.line}:{error.column}" if error.line is not None else "unknown position"
        hint = ' (braces are for a type: request{host="a"})' if has_braces else ""
        raise InvalidQuery(f"{place}: parse error: {error.message}{hint}", field="query") from None


def _grid(step: int, first_bucket: int) -> Grid:
    grid = grid_of(step)
    return grid if grid.floor(first_bucket) == first_bucket else FixedGrid(step, first_bucket % step)


def _check_step(step: int, name: str) -> None:
    if step % SECOND:
        raise InvalidQuery(
            f'invalid parameter "{name}": Got a step of {step} ms; accepted are whole seconds.', field=name
        )
    try:
        grid_of(step)
    except InvalidQuery as error:
        raise InvalidQuery(f'invalid parameter "{name}": {error.message}', field=name) from None
