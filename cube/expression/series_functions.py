"""The functions of whole series: ``shift(expression, 1w)``. Each is one entry of `SERIES_FUNCTIONS`.

Three of them, `shift`, `rolling` and `cumulative`, move the interval that every reduction within them covers:
an aligned bucket ``[start, stop)`` becomes another interval, of which the reduction is computed exactly. The
others compute with the numbers of neighbouring buckets, or with a bucket's length. Grammar, completions and
explanation read the entries; `evaluator.engine.time_functions` evaluates them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from cube.expression.nodes import MetricExpression, Negation, SeriesCall, Sum
from cube.expression.printer import print_number
from cube.expression.traversal import walk

UNITS: Final[Mapping[str, int]] = {
    "second": 1_000,
    "minute": 60_000,
    "hour": 3_600_000,
    "day": 86_400_000,
    "week": 604_800_000,
}
"""What a rate may be per, in milliseconds."""

PERCENT, PREVIOUS, NONE = "percent", "previous", "none"

LOOK_BACK: Final = 360
"""So many buckets before a bucket ``fill(…, previous)`` looks for a value."""

SHORTEST: Final = 1_000
"""Durations are multiples of the finest step."""


@dataclass(frozen=True, slots=True)
class SeriesFunction:
    """What a function is: ``example`` shows how it is written, and is asked by a test.

    ``say``: returns the words of a call, of its operand's words, duration and option. ``detail``: what a
    completion says. ``moves``: whether it moves the interval of what is within; ``is_window``: to another
    length.
    """

    name: str
    example: str
    detail: str
    say: Callable[[str, str | None, str | float | None], str]
    moves: bool = False
    is_window: bool = False


def _say_change(operand: str, duration: str | None, option: str | float | None) -> str:
    change = "the change in percent" if option == PERCENT else "the change"
    return f"{change} of {operand} from {'the bucket' if duration is None else duration} before"


def _say_fill(operand: str, _: str | None, option: str | float | None) -> str:
    if option == NONE:
        return f"{operand}, without a value where there are no values"
    stands = "the value before" if option == PREVIOUS else print_number(cast("float", option))
    return f"{operand}, with {stands} where there is no value"


_ALL = (
    SeriesFunction(
        "shift",
        "sum(request) / shift(sum(request), 1w)",
        "as it was so long before",
        lambda operand, duration, _: f"{operand}, {duration} before",
        moves=True,
    ),
    SeriesFunction(
        "rolling",
        "rolling(distinct(request(user)), 7d)",
        "over a window that ends with each bucket",
        lambda operand, duration, _: f"{operand}, over the {duration} up to the end of each bucket",
        moves=True,
        is_window=True,
    ),
    SeriesFunction(
        "cumulative",
        "cumulative(sum(request))",
        "from the beginning of the span on",
        lambda operand, _, __: f"{operand}, from the beginning of the span to the end of each bucket",
        moves=True,
        is_window=True,
    ),
    SeriesFunction(
        "per",
        "per(second, sum(request))",
        "a rate",
        lambda operand, _, unit: f"{operand} per {unit}",
    ),
    SeriesFunction("change", "change(sum(request), 1d, percent)", "from what was before", _say_change),
    SeriesFunction("fill", "fill(mean(request(ms)), previous)", "where there is no value", _say_fill),
)

SERIES_FUNCTIONS: Final[Mapping[str, SeriesFunction]] = {each.name: each for each in _ALL}
"""Every function of series by its name in the expression language."""


def refused_within(function: str, operand: MetricExpression) -> SeriesCall | None:
    """Return the first call of its operand that a function may not stand around; None if there is none.

    Windows may stand around reductions, arithmetic, ``shift`` and ``per``. Where ``per`` stands around a
    window it is a rate over the window; around a product of them, where that is not clear, it is refused.
    """
    if SERIES_FUNCTIONS[function].is_window:
        return next((each for each in calls(operand) if each.function not in ("shift", "per")), None)
    return _unclear(operand) if function == "per" else None


def calls(node: MetricExpression) -> Iterator[SeriesCall]:
    """Yield the calls of functions of series in an expression, as they stand."""
    return (each for each in walk(node) if isinstance(each, SeriesCall))


def _unclear(node: MetricExpression) -> SeriesCall | None:
    """Return the first call of which it is not clear what length a rate is over: its own, or the bucket's."""
    match node:
        case Sum(terms):
            return next((found for _, term in terms if (found := _unclear(term))), None)
        case Negation(operand):
            return _unclear(operand)
        case SeriesCall("change"):
            return None
        case SeriesCall(function, operand) if SERIES_FUNCTIONS[function].moves:
            return _unclear(operand)
        case _:
            return next((each for each in calls(node) if each.function not in _OF_BUCKETS), None)


_OF_BUCKETS: Final = frozenset(("shift", "change", "fill"))
