"""Questions as data: each is written in Cube's language, in SQL, or answered plainly in Python."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from cube.expression import parse_metric
from cube.model.event import Event as Stored
from cube.model.grid import Grid, grid_of
from cube.model.tier import Span, group_of_key
from tests.benchmark.dataset import FIRST, Event, stop
from tests.golden.reference import ALL, Reference

Answer = dict[tuple[int, str], float]
"""The value of every bucket (its start in ms) and group ("" without groups) that has one other than 0."""

TYPE = "request"


QUANTILES = (0.5, 0.95, 0.99)
"""Of the reduce ``quantiles``, by which its values are grouped."""


@dataclass(frozen=True, slots=True)
class ComputedField:
    """What is computed of an event, in place of a field: in Cube's language, in DuckDB's SQL, and plainly."""

    cube: str
    sql: str
    plain: Callable[[Event], Any]


COMPUTED = {
    "page_number": ComputedField(
        'number(match(path, "[0-9]+$"))',
        "CAST(regexp_extract(path, '[0-9]+$') AS DOUBLE)",
        lambda event: float(event.path.removeprefix("/page/")),
    ),
    "failed_ms": ComputedField(
        "if(ge(status, 400), duration_ms, 1)",
        "CASE WHEN status >= 400 THEN duration_ms ELSE 1 END",
        lambda event: event.duration_ms if event.status >= 400 else 1,
    ),
    "upper_method": ComputedField("upper(method)", "upper(method)", lambda event: event.method.upper()),
}
"""By the name that stands for a field in a question."""


@dataclass(frozen=True, slots=True)
class Question:
    """A reduce of a field over events that pass all filters, in buckets of `step` ms, perhaps by group.

    In place of a field may stand a key of `COMPUTED`. `by_powers`: not the values of the group's field are
    groups, but the powers of two below them.
    `written`: the question in Cube's language, and `statement` in DuckDB's SQL, of one that these words do
    not say; in both ``{n}`` stands for a status that none is below. Its plain answer is `tests.golden`'s.
    """

    reduce: str = ""
    field: str = ""
    step: int = 60_000
    filters: tuple[tuple[str, str, str | int | float], ...] = ()
    group: str = ""
    by_powers: bool = False
    written: str = ""
    timezone: str = "UTC"
    statement: str = ""
    least: int = 1

    @property
    def expression(self) -> str:
        """The question in Cube's language."""
        if self.written:
            return self.written.replace("{n}", str(self.least))
        filters = "".join(
            f".{name}({_cube(field)}, {_literal(value, chr(34))})" for name, field, value in self.filters
        )
        argument = f"{TYPE}({_cube(self.field)}){filters}"
        several = f"quantiles({', '.join(map(str, QUANTILES))}, {argument})"
        named = {"p95": f"quantile(0.95, {argument})", "quantiles": several}
        reduced = named.get(self.reduce, f"{self.reduce}({argument})")
        group = f"floor(log2({self.group}))" if self.by_powers else _cube(self.group)
        return reduced + (f".group({group})" if group else "")

    @property
    def grid(self) -> Grid:
        """The buckets that it asks for."""
        return grid_of(self.step, self.timezone)

    def path(self, start: int, stop: int) -> str:
        """Return the request's target on an evaluator."""
        query = {"expression": self.expression, "step": self.step, "start": start, "stop": stop}
        if self.timezone != "UTC":
            query["timezone"] = self.timezone
        return "/1.0/metric?" + urlencode(query)

    def sql(self, reduces: Mapping[str, str], bucket: str) -> str:
        """Return the question in SQL, with a dialect's reduces and its way to cut ``t`` into buckets."""
        if self.statement:
            return self.statement.replace("{n}", str(self.least)).replace("{step}", str(self.step))
        where = [
            f"{_sql(field)} {_OPERATORS[name]} {_literal(value, chr(39))}"
            for name, field, value in self.filters
        ]
        group = _sql(self.group) if self.group else "''"
        group = f"CAST(floor(log2({group})) AS INTEGER)" if self.by_powers else group
        selected = (
            f"SELECT {bucket.format(step=self.step)} AS bucket, {group} AS grp, "
            f"{reduces[self.reduce].format(field=_sql(self.field))} AS value FROM request"
            + (f" WHERE {' AND '.join(where)}" if where else "")
            + " GROUP BY 1, 2 ORDER BY 1, 2"
        )
        if self.reduce != "quantiles":
            return selected
        return f"SELECT bucket, unnest({list(QUANTILES)}) AS grp, unnest(value) AS value FROM ({selected})"

    @property
    def is_computed(self) -> bool:
        """Whether it is asked in DuckDB's SQL alone."""
        fields = (self.field, self.group, *(field for _, field, _ in self.filters))
        return self.reduce == "quantiles" or any(field in COMPUTED for field in fields)

    def never_asked(self, number: int) -> Question:
        """Return a question with the same answer and another text: each status is at least 200."""
        if self.written:
            return replace(self, least=1 + number % 199)
        return replace(self, filters=(*self.filters, ("ge", "status", 1 + number % 199)))

    def answer(self, events: Iterable[Event]) -> Answer:
        """Answer it plainly, from events."""
        if self.written:
            return _answered_by_definition(self, list(events))
        found: dict[tuple[int, str], list[Any]] = defaultdict(list)
        for event in events:
            if all(_PASSES[name](_plain(event, field), value) for name, field, value in self.filters):
                bucket = event.time // self.step * self.step
                found[bucket, self._group_of(event)].append(_plain(event, self.field))
        if self.reduce == "quantiles":
            return meaningful(
                {
                    (bucket, str(q)): _quantile(sorted(values), q)
                    for (bucket, _), values in found.items()
                    for q in QUANTILES
                }
            )
        return meaningful({key: _REDUCES[self.reduce](values) for key, values in found.items()})

    def _group_of(self, event: Event) -> str:
        value = _plain(event, self.group) if self.group else ""
        return str(math.frexp(value)[1] - 1 if self.by_powers else value)


def _answered_by_definition(question: Question, events: Sequence[Event]) -> Answer:
    reference = Reference()
    reference.save([Stored(TYPE, each.time, number, each.data()) for number, each in enumerate(events)])
    grid = question.grid
    span = grid.cover(Span(FIRST, stop(len(events))))
    table = reference.evaluate(parse_metric(question.expression), grid, span)
    default = table.pop(ALL)
    found: Answer = {}
    for group, values in table.items() or [("", default)]:
        name = str(group_of_key(group)) if group else ""
        found |= {
            (bucket, name): value
            for bucket, value in zip(grid.buckets(span), values, strict=True)
            if value is not None
        }
    return meaningful(found)


def meaningful(answer: Answer) -> Answer:
    """Leave out zeros: who answers a bucket without events with 0, and who leaves it out, agree."""
    return {key: value for key, value in answer.items() if value}


def difference(ours: Answer, theirs: Answer) -> str:
    """Say where two answers differ by more than rounding; "" if nowhere."""
    if ours.keys() != theirs.keys():
        odd = sorted(ours.keys() ^ theirs.keys())
        return (
            f"{len(odd)} of {len(ours.keys() | theirs.keys())} rows are in one answer alone, first {odd[0]}"
        )
    for key, value in ours.items():
        if not math.isclose(value, theirs[key], rel_tol=1e-9):
            return f"{key} is {value!r} in one answer and {theirs[key]!r} in the other"
    return ""


def page(number: int, step: int) -> list[Question]:
    """Return the 50 questions of one page of Cubism; each `number` makes a page of its own.

    25 sums, 15 medians and 10 sums by host, each of the requests of one path.
    """
    kinds = ["sum"] * 25 + ["median"] * 15 + ["group"] * 10
    return [
        Question(
            reduce="sum" if kind == "group" else kind,
            field="duration_ms",
            step=step,
            filters=(("eq", "path", f"/page/{place}"), ("ge", "status", 1 + number % 199)),
            group="host" if kind == "group" else "",
        )
        for place, kind in enumerate(kinds)
    ]


_OPERATORS = {"eq": "=", "ne": "<>", "ge": ">=", "lt": "<"}
_PASSES: dict[str, Callable[..., bool]] = {
    "eq": lambda found, value: found == value,
    "ne": lambda found, value: found != value,
    "ge": lambda found, value: found >= value,
    "lt": lambda found, value: found < value,
}
_REDUCES: dict[str, Callable[..., float]] = {
    "sum": math.fsum,
    "median": statistics.median,
    "distinct": lambda values: len(set(values)),
    "p95": lambda values: _quantile(sorted(values), 0.95),
}


def _quantile(ordered: list[float], q: float) -> float:
    place = (len(ordered) - 1) * q
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _cube(field: str) -> str:
    return COMPUTED[field].cube if field in COMPUTED else field


def _sql(field: str) -> str:
    return COMPUTED[field].sql if field in COMPUTED else f'"{field}"'


def _plain(event: Event, field: str) -> Any:
    return COMPUTED[field].plain(event) if field in COMPUTED else getattr(event, field)


def _literal(value: str | float, quote: str) -> str:
    return f"{quote}{value}{quote}" if isinstance(value, str) else str(value)
