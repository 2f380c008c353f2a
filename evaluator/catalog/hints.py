"""What an expression may get wrong about the events that there are, each as a sentence.

An unknown type or field (with the nearest that is known), a field whose kind cannot fit, events that are all
before or after the span that was asked for. A sentence tells what a sample of the newest events shows, and no
more than that: it is never a reason to refuse a question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final, Protocol, TypeAlias

from cube.columns.values import Kind
from cube.expression.nodes import Cohorts, SeriesCall
from cube.expression.traversal import types_read, walk
from cube.model import instant
from cube.model.tier import Span
from evaluator.catalog.fields import FieldTally, Path, field_text
from evaluator.catalog.sample import EventSample
from evaluator.catalog.uses import Demand, Tree, Use, asker_text, is_number, uses

FieldName: TypeAlias = tuple[str, Path]
"""A type, and the names that lead to a field of its events."""

MOST_HINTS: Final = 5
"""Sentences about one expression."""

MOST_NAMED: Final = 5
"""So many types are named where none is near."""

LONGEST: Final = 100
"""Characters of a field that a sentence shows."""

_KINDS: Final = {
    Kind.STRING: "text",
    Kind.NUMBER: "a number",
    Kind.BOOL: "true or false",
    Kind.NULL: "null",
    Kind.OBJECT: "an object",
    Kind.DATE: "a date",
    Kind.OTHER: "what no expression can take",
}


class KnownTypes(Protocol):
    """What there is in the store, as far as the one who asks may know."""

    async def types(self) -> list[str]:
        """Return the names of all types, sorted."""

    async def sampled(self, type: str) -> tuple[Mapping[Path, FieldTally], EventSample]:
        """Return the fields of the newest events of a type, and which events these are."""


async def hints(
    tree: Tree, known: KnownTypes, span: Span | None = None, *, names: Collection[FieldName] | None = None
) -> list[str]:
    """Return sentences about an expression, at most `MOST_HINTS`; ``span``: what was asked about.

    ``names``: only about unknown types and, of the fields that it uses, unknown ones among these; where there
    are none no event is read. Raises as `sample` does.
    """
    types = await known.types()
    found: list[str] = []
    looks_elsewhere = any(isinstance(node, SeriesCall | Cohorts) for node in walk(tree))
    for type in types_read(tree):
        if type not in types:
            found.append(_unknown_type(type, types))
        elif names is not None:
            asked = [name for of, name in names if of == type]
            fields, taken = await known.sampled(type) if asked else ({}, EventSample())
            unknown = (name for name in asked if name not in fields)
            found += [_unknown_field(type, name, fields, taken) for name in unknown if taken.events]
        else:
            fields, taken = await known.sampled(type)
            found += _of_type(type, (use for use in uses(tree) if use.type == type), fields, taken)
            found += [] if span is None or looks_elsewhere else _outside(type, taken, span)
    return list(dict.fromkeys(found))[:MOST_HINTS]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of some names that another may be meant for; None where none is near."""
    by_case = {each.casefold(): each for each in names}
    found = get_close_matches(name.casefold(), by_case, 1)
    return by_case[found[0]] if found else None


def _unknown_type(type: str, types: list[str]) -> str:
    if not types:
        return f"There are no events of the type {type}, nor of any other."
    near = nearest(type, types)
    if near is not None:
        return f"There are no events of the type {type}; the nearest is {near}."
    named = ", ".join(types[:MOST_NAMED]) + (", …" if len(types) > MOST_NAMED else "")
    return f"There are no events of the type {type}; there are those of {named}."


def _of_type(
    type: str, used: Iterable[Use], fields: Mapping[Path, FieldTally], taken: EventSample
) -> Iterator[str]:
    if not taken.events:
        if taken.is_whole:
            yield f"There are no events of the type {type} that may be seen."
        return
    for use in used:
        names = use.names
        tally = fields.get(names)
        if tally is None:
            yield _unknown_field(type, names, fields, taken)
        elif use.demand is not None and len(names) == len(use.field.path):
            yield from _misfit(use, use.demand, tally, taken)


def _unknown_field(type: str, names: Path, fields: Mapping[Path, FieldTally], taken: EventSample) -> str:
    texts = {field_text(path): path for path in fields}
    same = [text for text, path in texts.items() if path[-1] == names[-1]]
    near = same[0] if same else nearest(field_text(names), texts) or _containing(names[-1], texts)
    told = "" if near is None else f"; the nearest is {_cut(near)}"
    return f"{_none_of(type, taken)} the field {_cut(field_text(names))}{told}."


def _containing(word: str, texts: Iterable[str]) -> str | None:
    """Return the only text that a word is in, such as ms in duration_ms; None for none, or several."""
    found = [text for text in texts if word.casefold() in text.casefold()]
    return found[0] if len(found) == 1 else None


def _none_of(type: str, taken: EventSample) -> str:
    if taken.events == 1:
        return f"The {'one' if taken.is_whole else 'newest'} event of {type} does not have"
    newest = "" if taken.is_whole else "newest "
    return f"None of the {newest}{taken.events} events of {type} has"


def _misfit(use: Use, demand: Demand, tally: FieldTally, taken: EventSample) -> Iterator[str]:
    """Say where a field is of no kind that fits; of arrays the filters look at the elements."""
    if use.asker is None or tally.in_array or Kind.ARRAY in tally.kinds or demand.kinds & tally.kinds.keys():
        return
    kinds = " or ".join(_KINDS[kind] for kind, _ in tally.kinds.most_common())
    field = _cut(field_text(tuple(map(str, use.field.path))))
    where = _in_all(use.type, tally.events, taken)
    yield (
        f"{field} is {kinds} in {where}: {asker_text(use.asker)} {demand.takes}, so {demand.otherwise}"
        f"{_remedy(field, demand, tally)}."
    )


def _remedy(field: str, demand: Demand, tally: FieldTally) -> str:
    if Kind.NUMBER in demand.kinds and any(
        isinstance(each, str) and is_number(each) for each in tally.values
    ):
        return f"; number({field}) reads numbers in text"
    if Kind.NUMBER in tally.kinds and demand.is_numeric_text:
        return "; without quotes it compares with a number"
    return ""


def _in_all(type: str, events: int, taken: EventSample) -> str:
    newest = "" if taken.is_whole else "newest "
    having = "" if events == taken.events else " that have it"
    if events == 1:
        return f"the one event of {type}{having.replace('have', 'has')}"
    if not newest:
        return f"all {events} events of {type}{having}"
    of = f"{events} of the newest {taken.events}" if having else f"of the newest {events}"
    return f"all {of} events of {type}{having}"


def _outside(type: str, taken: EventSample, span: Span) -> Iterator[str]:
    if taken.last is None or taken.first is None or span.stop <= span.start:
        return
    if taken.last < span.start:
        newest, start = instant.format(taken.last), instant.format(span.start)
        yield f"The newest event of {type} is of {newest}, before the start, {start}."
    elif taken.is_whole and taken.first >= span.stop:
        oldest, stop = instant.format(taken.first), instant.format(span.stop)
        yield f"The oldest event of {type} is of {oldest}, after the end, {stop}."


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
