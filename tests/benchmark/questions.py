"""Questions as data: each is written in Cube's language, in SQL, or answered plainly in Python."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from tests.benchmark.dataset import Event

Answer = dict[tuple[int, str], float]
"""The value of every bucket (its start in ms) and group ("" without groups) that has one other than 0."""

TYPE = "request"


@dataclass(frozen=True, slots=True)
class Question:
    """A reduce of a field over events that pass all filters, in buckets of `step` ms, perhaps by group.

    `by_powers`: not the values of the group's field are groups, but the powers of two below them.
    """

    reduce: str
    field: str
    step: int
    filters: tuple[tuple[str, str, str | int | float], ...] = ()
    group: str = ""
    by_powers: bool = False

    @property
    def expression(self) -> str:
        """The question in Cube's language."""
        filters = "".join(
            f".{name}({field}, {_literal(value, chr(34))})" for name, field, value in self.filters
        )
        argument = f"{TYPE}({self.field}){filters}"
        reduced = f"quantile(0.95, {argument})" if self.reduce == "p95" else f"{self.reduce}({argument})"
        group = f"floor(log2({self.group}))" if self.by_powers else self.group
        return reduced + (f".group({group})" if group else "")

    def path(self, start: int, stop: int) -> str:
        """Return the request's target on an evaluator."""
        query = {"expression": self.expression, "step": self.step, "start": start, "stop": stop}
        return "/1.0/metric?" + urlencode(query)

    def sql(self, reduces: Mapping[str, str], bucket: str) -> str:
        """Return the question in SQL, with a dialect's reduces and its way to cut ``t`` into buckets."""
        where = [
            f'"{field}" {_OPERATORS[name]} {_literal(value, chr(39))}' for name, field, value in self.filters
        ]
        group = f'"{self.group}"' if self.group else "''"
        group = f"CAST(floor(log2({group})) AS INTEGER)" if self.by_powers else group
        return (
            f"SELECT {bucket.format(step=self.step)} AS bucket, {group} AS grp, "
            f"{reduces[self.reduce].format(field=chr(34) + self.field + chr(34))} AS value FROM request"
            + (f" WHERE {' AND '.join(where)}" if where else "")
            + " GROUP BY 1, 2 ORDER BY 1, 2"
        )

    def never_asked(self, number: int) -> Question:
        """Return a question with the same answer and another text: each status is at least 200."""
        return replace(self, filters=(*self.filters, ("ge", "status", 1 + number % 199)))

    def answer(self, events: Iterable[Event]) -> Answer:
        """Answer it plainly, from events."""
        found: dict[tuple[int, str], list[float | str]] = defaultdict(list)
        for event in events:
            if all(_PASSES[name](getattr(event, field), value) for name, field, value in self.filters):
                bucket = event.time // self.step * self.step
                found[bucket, self._group_of(event)].append(getattr(event, self.field))
        return meaningful({key: _REDUCES[self.reduce](values) for key, values in found.items()})

    def _group_of(self, event: Event) -> str:
        value = getattr(event, self.group) if self.group else ""
        return str(math.frexp(value)[1] - 1 if self.by_powers else value)


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


def _literal(value: str | float, quote: str) -> str:
    return f"{quote}{value}{quote}" if isinstance(value, str) else str(value)
