"""The syntax tree of the expression language: frozen values.

Lengths and forms are those of the grammar in ``docs/language.md``. A chain such as ``a + b - c`` is
one node with signed terms. Trees compare as Python values (so ``1 == True``): where identity of
meaning matters, compare the canonical text of `cube.expression.printer`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Generic, TypeAlias, TypeVar, cast
from typing import Literal as Choice

from cube.model.tier import Group

T = TypeVar("T")

Literal: TypeAlias = "str | int | float | bool | tuple[Literal, ...] | None"
"""A literal of a filter. Integral numbers are int where they fit 64 bits; arrays are tuples."""

Sign: TypeAlias = Choice["+", "-"]
Scale: TypeAlias = Choice["*", "/"]


@dataclass(frozen=True, slots=True)
class Element:
    """A part of a path, ``[key="x"]``: of an array the first object whose value at a path is a literal.

    ``key``: the names that lead to that value. ``text``: the literal's canonical text (a string, a number,
    true, false): equal elements are those that mean the same, 1 and true are two.
    """

    key: tuple[str, ...]
    text: str

    @property
    def literal(self) -> str | int | float | bool:
        """What the value has to equal."""
        return _read_literal(self.text)

    def __str__(self) -> str:
        return f"{'.'.join(self.key)}={self.text}"


@lru_cache(maxsize=1_024)
def _read_literal(text: str) -> str | int | float | bool:
    return cast("str | int | float | bool", json.loads(text))


@dataclass(frozen=True, slots=True)
class Field:
    """A path into an event's data: names, indexes and elements of arrays. ``a[0].b`` is ("a", 0, "b")."""

    path: tuple[str | int | Element, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A constant, of a value or of a metric expression; finite."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text:
    """A constant text, of a value."""

    value: str


@dataclass(frozen=True, slots=True)
class Negation(Generic[T]):
    """Unary minus."""

    operand: T


@dataclass(frozen=True, slots=True)
class Sum(Generic[T]):
    """``a + b - c``: at least two terms, each with its sign; the first one's is "+"."""

    terms: tuple[tuple[Sign, T], ...]


@dataclass(frozen=True, slots=True)
class Product(Generic[T]):
    """``a * b / c``: at least two factors, each with its scale; the first one's is "*"."""

    factors: tuple[tuple[Scale, T], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """``function(value, …)``; ``function``: a key of `cube.expression.functions.FUNCTIONS`."""

    function: str
    arguments: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``operator(value, literal)``; ``operator``: a key of `cube.expression.operators.OPERATORS`.

    ``value``: a field, of which the filter looks at all that it reaches, or what is computed of fields.
    The literal is what the operator takes: a tuple for "in" and "nin", text for "re".
    """

    operator: str
    value: Value
    literal: Literal


@dataclass(frozen=True, slots=True)
class Relation:
    """``operator(value, other)``: how two values of an event stand to each other, neither a constant.

    ``operator``: one of `cube.expression.operators.OPERATORS` that takes a single literal in an order.
    """

    operator: str
    value: Value
    other: Value


@dataclass(frozen=True, slots=True)
class Exists:
    """``exists(value)``; true for a field that is null, and where there is a result."""

    value: Value


@dataclass(frozen=True, slots=True)
class Or:
    """Passes if any of its filters (at least one) does."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class And:
    """Passes if all of its filters (at least one) do."""

    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Passes if its filter does not."""

    filter: Filter


Filter: TypeAlias = Comparison | Relation | Exists | Or | And | Not

FILTERS: Final = (Comparison, Relation, Exists, Or, And, Not)
"""Their classes."""

Value: TypeAlias = Field | Number | Text | Call | Filter | Negation["Value"] | Sum["Value"] | Product["Value"]
"""What is taken of one event: a field, a constant, or what is computed; a filter is true or false."""


@dataclass(frozen=True, slots=True)
class EventExpression:
    """``type(a, b.c).eq(d, 1)``: which events, and which of their fields.

    ``fields``: None for ``type(*)``, the whole data; () for ``type`` alone, no data.
    """

    type: str
    fields: tuple[Field, ...] | None
    filters: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class GroupPart:
    """One of the values that ``.group(…)`` names: a field, or what is computed of fields.

    ``each``: written ``each(field)``: every element of the array that the field is, is a group.
    ``otherwise``: the group of the events that have none; None leaves them out.
    """

    value: Value
    otherwise: str | None = None
    each: bool = False


@dataclass(frozen=True, slots=True)
class Ranking:
    """``.top(10)``, ``.bottom(10, by)``: which groups are shown, by their values over the whole span.

    ``count``: of so many at most, from 1. ``by``: what is compared, of reductions without a group, which take
    the one that is ranked; None: the reduction itself. The other groups are one, the rest.
    """

    end: Choice["top", "bottom"]
    count: int
    by: MetricExpression | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """``.group(host, status)``: at least one part; with several a group is one value for each.

    ``chosen``: the groups that a ranking has found, which no text says: all others are the rest.
    """

    parts: tuple[GroupPart, ...]
    ranking: Ranking | None = None
    chosen: tuple[Group, ...] | None = None


@dataclass(frozen=True, slots=True)
class Reduction:
    """One reduce over the events of one type: the unit that is cached.

    ``reduce``: a key of `cube.model.reduce.REDUCES`. ``value``: None where the expression names only the
    type: 1 for every event. ``argument``: what the reduce takes, the q of quantile, else None; of
    ``quantiles`` all of them: then the last part of a group is its q.
    ``group``: what stands in ``.group(…)``, and after it.
    """

    reduce: str
    type: str
    value: Value | None
    filters: tuple[Filter, ...]
    group: Grouping | None = None
    argument: int | float | tuple[int | float, ...] | None = None

    @property
    def arguments(self) -> tuple[int | float, ...] | None:
        """The arguments of a reduce that is given several; None where it has one, or none."""
        return self.argument if isinstance(self.argument, tuple) else None

    @property
    def is_grouped(self) -> bool:
        """Whether its values come in groups: those of ``group``, or one for each of several arguments."""
        return self.group is not None or self.arguments is not None


@dataclass(frozen=True, slots=True)
class SeriesCall:
    """``shift(expression, 1w)``; ``function``: a key of `cube.expression.series_functions.SERIES_FUNCTIONS`.

    ``duration``: milliseconds, where it takes one. ``option``: a word or a number, where it takes one.
    """

    function: str
    operand: MetricExpression
    duration: int | None = None
    option: str | int | float | None = None


@dataclass(frozen=True, slots=True)
class Funnel:
    """``funnel(key, window, step, step, …)``: how many keys reach each step in order, within the window.

    ``steps``: at least two, without fields; ``window``: milliseconds after the first one's event.
    """

    key: Value
    window: int
    steps: tuple[EventExpression, ...]


@dataclass(frozen=True, slots=True)
class Cohorts:
    """``retention(key, period, periods, first, returning)``: which keys come back after their first event.

    ``period``: milliseconds; ``periods``: how many later ones are looked at, at least one. ``first`` and
    ``returning`` have no fields; without ``returning`` the events of ``first`` are those that count.
    """

    key: Value
    period: int
    periods: int
    first: EventExpression
    returning: EventExpression | None = None


@dataclass(frozen=True, slots=True)
class SessionReduction:
    """``reduce(type.….session(key, gap, value).…).group(…)``: a reduce over sessions, not over events.

    ``events``: those that are joined, without fields; ``gap``: milliseconds. ``reduction``: what becomes of
    the sessions, whose fields its value, filters and group name; its type is that of the events.
    """

    key: Value
    gap: int
    events: EventExpression
    reduction: Reduction


SequenceExpression: TypeAlias = Funnel | Cohorts | SessionReduction
"""What looks at the events of a key one after another: a bucket's value depends on events outside of it."""

SEQUENCES: Final = (Funnel, Cohorts, SessionReduction)
"""Their classes."""

MetricExpression: TypeAlias = (
    Reduction
    | Funnel
    | Cohorts
    | SessionReduction
    | Number
    | SeriesCall
    | Negation["MetricExpression"]
    | Sum["MetricExpression"]
    | Product["MetricExpression"]
)
"""Arithmetic over reductions, sequences and constants, and functions of their series."""
