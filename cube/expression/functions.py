"""The functions of values: ``function(value, …)``. A new one is one entry of `FUNCTIONS`.

Grammar, types and their errors, completions, explanation, the plain definition and whole columns read the
entry. A result that is not a finite number, a text or a truth is no value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from typing import Any, Final, TypeAlias

import numpy as np

from cube.expression import calendar_functions as calendar
from cube.expression import text_functions as text
from cube.expression.logarithms import LOG2, LOG10
from cube.expression.logarithms import Floats as Floats
from cube.expression.nodes import Call, Value
from cube.expression.time_texts import read_times
from cube.expression.value_types import (
    CONDITION,
    COUNT,
    NUMBER,
    PATTERN,
    SCALAR,
    TEXT,
    UNIT,
    ZONE,
    Accepted,
    ValueType,
)


@dataclass(frozen=True, slots=True)
class OfNumbers:
    """Computes a number from numbers, and constants after them.

    ``columns``: called with a column for each number, all of shape (n,), NaN where there is no value;
    returns the results, shape (n,), each of its own row alone. ``plain``: the same of one event, by
    definition; called with finite numbers only; raises ArithmeticError or ValueError where there is no
    result.
    """

    columns: Callable[..., Floats]
    plain: Callable[..., float]


@dataclass(frozen=True, slots=True)
class OfOne:
    """Makes a number or a text of one stored value, and of constants after it.

    ``of_text``: called with each different text; NaN, or None, is no value. ``of_many``: what it gives of
    many texts, faster, whatever the constants; NaN of those that it leaves to that. ``of_numbers``: called
    with floats, one or a column; with ``of_truths`` true and false are the numbers 1 and 0. ``of_others``:
    called with an array or a date. What there is none for has no value.
    """

    of_text: Callable[..., float | str | None]
    of_many: Callable[[Sequence[str]], Floats] | None = None
    of_numbers: Callable[..., Any] | None = None
    of_truths: bool = False
    of_others: Callable[..., float] | None = None


class Form(Enum):
    """Functions that choose, or look at more than their arguments; what they mean is where values are."""

    IF = "one of two values, by a condition"
    COALESCE = "the first value that there is"
    COMBINE = "several values as one"


Work: TypeAlias = OfNumbers | OfOne | Form


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    ``parameters``: those that may be given; the last ``optional`` of them may be left out, and with
    ``repeats`` the last may be given any number of times. ``result``: its type; None is that of the
    arguments that it chooses from. ``words``: what an explanation says, "{0}" for the first argument, and
    ``more`` after it where all that are optional are given; repeated arguments are one list.
    """

    name: str
    parameters: tuple[Accepted, ...]
    result: ValueType | None
    work: Work
    words: str
    example: str
    more: str = ""
    optional: int = 0
    repeats: bool = False

    @property
    def least(self) -> int:
        """The number of arguments that it needs."""
        return len(self.parameters) - self.optional

    @property
    def most(self) -> float:
        """The number of arguments that it takes at most."""
        return math.inf if self.repeats else len(self.parameters)

    def taken(self, arguments: Sequence[Value]) -> int:
        """Return how many of its arguments are values; what follows them is constant."""
        reads = [self.parameter(place).read is not None for place in range(len(arguments))]
        return reads.index(True) if True in reads else len(arguments)

    def constants(self, arguments: Sequence[Value]) -> list[Any]:
        """Return what it is called with for its constant arguments."""
        some = ((self.parameter(place).read, each) for place, each in enumerate(arguments))
        return [read(each) for read, each in some if read is not None]

    def parameter(self, place: int) -> Accepted:
        """Return the parameter of an argument, from 0."""
        return self.parameters[min(place, len(self.parameters) - 1)]


def _of_number(
    name: str, columns: Callable[..., Floats], plain: Callable[..., float], words: str
) -> Function:
    work = OfNumbers(columns, plain)
    return Function(name, (NUMBER,), ValueType.NUMBER, work, words, f"sum(request({name}(ms)))")


def _extreme(name: str, columns: Any, plain: Callable[..., float], words: str) -> Function:
    work = OfNumbers(lambda *each: reduce(columns, each), plain)
    example = f"mean(request({name}(ms, 1000)))"
    return Function(name, (NUMBER, NUMBER), ValueType.NUMBER, work, words, example, repeats=True)


def _of_text(
    name: str, of_text: Callable[..., str | None], words: str, example: str, *more: Accepted
) -> Function:
    return Function(name, (TEXT, *more), ValueType.TEXT, OfOne(of_text), words, example)


def _of_clock(name: str, columns: Callable[..., Floats], plain: Callable[..., float], words: str) -> Function:
    work = OfNumbers(columns, plain)
    example = f'sum(request).group({name}(time(), "Europe/Berlin"))'
    more = " in the time zone {1}"
    return Function(name, (NUMBER, ZONE), ValueType.NUMBER, work, words, example, more, optional=1)


FUNCTIONS: Final[dict[str, Function]] = {
    each.name: each
    for each in (
        _of_number("abs", np.abs, abs, "the absolute value of {0}"),
        _of_number("ceil", np.ceil, math.ceil, "the next whole number up from {0}"),
        _of_number("floor", np.floor, math.floor, "the next whole number down from {0}"),
        # Halves go to the even neighbour, as in IEEE 754 and in MongoDB's $round.
        _of_number("round", np.rint, round, "the nearest whole number to {0}"),
        _of_number("sqrt", np.sqrt, math.sqrt, "the square root of {0}"),
        _of_number("exp", np.exp, math.exp, "e to the power of {0}"),
        _of_number("ln", np.log, math.log, "the natural logarithm of {0}"),
        _of_number("log2", LOG2.columns, LOG2.plain, "the logarithm to base 2 of {0}"),
        _of_number("log10", LOG10.columns, LOG10.plain, "the logarithm to base 10 of {0}"),
        _extreme("min", np.minimum, min, "the smallest of {0}"),
        _extreme("max", np.maximum, max, "the largest of {0}"),
        Function(
            "number",
            (SCALAR,),
            ValueType.NUMBER,
            OfOne(text.read_number, of_numbers=lambda numbers: numbers, of_truths=True),
            "{0} as a number",
            "sum(request.ge(number(status), 500))",
        ),
        Function(
            "time",
            (SCALAR, UNIT),
            ValueType.NUMBER,
            OfOne(
                text.read_time, read_times, lambda numbers, unit=1.0: numbers * unit, of_others=text.time_of
            ),
            "{0} as a time in milliseconds",
            "quantile(0.95, audit(time(stageTimestamp) - time(requestReceivedTimestamp)))",
            more=", in {1} where it is a number",
            optional=2,
        ),
        _of_clock("hour", calendar.hours, calendar.hour, "the hour of the day of {0}"),
        _of_clock("weekday", calendar.weekdays, calendar.weekday, "the day of the week (1 is Monday) of {0}"),
        _of_text("lower", str.lower, "{0} in small letters", "distinct(request(lower(host)))"),
        _of_text("upper", str.upper, "{0} in capital letters", "sum(request).group(upper(method))"),
        _of_text(
            "prefix",
            text.prefix,
            "the first {1} characters of {0}",
            "sum(request).group(prefix(status, 1))",
            COUNT,
        ),
        _of_text(
            "match",
            text.matched,
            "what the pattern {1} finds in {0}",
            'sum(request).group(match(path, "^/([^/]+)"))',
            PATTERN,
        ),
        Function(
            "length",
            (TEXT,),
            ValueType.NUMBER,
            OfOne(lambda value: float(len(value)), of_others=text.length_of),
            "the length of {0}",
            "max(request(length(path)))",
        ),
        Function(
            "if",
            (CONDITION, SCALAR, SCALAR),
            None,
            Form.IF,
            "{1} where {0}",
            "sum(request(if(ge(status, 500), ms, 0)))",
            more=" and otherwise {2}",
            optional=1,
        ),
        Function(
            "coalesce",
            (SCALAR, SCALAR),
            None,
            Form.COALESCE,
            "the first value that there is of {0}",
            'distinct(request(coalesce(user, session, "none")))',
            repeats=True,
        ),
        Function(
            "combine",
            (SCALAR, SCALAR),
            ValueType.TEXT,
            Form.COMBINE,
            "{0} together",
            "distinct(request(combine(host, path)))",
            repeats=True,
        ),
    )
}
"""Every function by its name in the expression language."""


def takes_pattern(call: Call) -> bool:
    """Tell whether a call searches for a pattern."""
    return PATTERN in FUNCTIONS[call.function].parameters
