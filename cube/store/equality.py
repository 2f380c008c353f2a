"""What of an expression's filters a store may look for itself: values that fields must equal.

A store that has an index of the user's on such a field finds the events by it, or leaves out those in which a
text does not stand. What it gives is never less than what the filters pass: they are applied all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from cube.errors import InvalidRequest
from cube.expression.nodes import Comparison, Element, Field, Filter
from cube.model.event import MAX_INTEGER, MIN_INTEGER
from cube.model.property import is_property, is_unicode, step

FieldPath: TypeAlias = tuple[str, ...]
"""The names that lead to a field; no index of an array is among them."""

Scalar: TypeAlias = "str | int | float"

Wanted: TypeAlias = Mapping[FieldPath, Scalar]
"""By field, a text or a number that its filter ``eq`` asks for; all of them have to be there."""

NOTHING_WANTED: Final[Wanted] = MappingProxyType({})


class FieldIndexes(Protocol):
    """The indexes that users have made on fields of their events, each ordered by value and time.

    Both stores can do without any: an index makes questions faster that ask for few of many events.
    """

    async def all(self, type: str) -> list[FieldPath]:
        """Return the indexed fields of a type, sorted."""

    async def make(
        self, type: str, path: FieldPath, progress: BuildProgress, *, anyway: bool = False
    ) -> bool:
        """Make an index, while events are saved and read; return False where it was there.

        Raises `NotFound` where the type has no events, and `InvalidRequest` for a field that the store cannot
        index, or, unless ``anyway``, where the collectors would have to wait longer than they can.
        """

    async def drop(self, type: str, path: FieldPath) -> bool:
        """Remove an index that `make` made; tell whether it was there."""


class BuildProgress(Protocol):
    """Is told how far an index has come: of about how many events so many are in it."""

    def __call__(self, done: int, events: int) -> None:
        """Take note; ``done`` is 0 as long as nothing is known."""


def wanted_by(filters: Sequence[Filter]) -> Wanted:
    """Return the values that some filters, all of which an event has to pass, ask for."""
    found: dict[FieldPath, Scalar] = {}
    for each in filters:
        if isinstance(each, Comparison) and each.operator == "eq" and isinstance(each.value, Field):
            path, literal = names_of(each.value.path), _scalar(each.literal)
            if path is not None and literal is not None:
                found.setdefault(path, literal)
    return found


def names_of(path: Sequence[str | int | Element]) -> FieldPath | None:
    """Return a path as names alone; None where it has an element of an array."""
    names = tuple(part for part in path if isinstance(part, str))
    return names if len(names) == len(path) else None


def text_of(path: FieldPath) -> str:
    """Return a field as expressions write it: ``a.b``, ``headers["user-agent"]``."""
    return "".join(map(step, path)).removeprefix(".")


def checked(path: Sequence[str | int | Element]) -> FieldPath:
    """Return a path to index; raises `InvalidRequest` for one that leads into an array."""
    names = names_of(path)
    if names is None or not names or not all(map(is_property, names)):
        raise InvalidRequest(
            f"Got the field {_with_elements(path)}, with an element of an array in it; accepted is one of"
            " names alone, as status or request.host, whose index finds what is in arrays as well."
        )
    return names


def _with_elements(path: Sequence[str | int | Element]) -> str:
    parts = (step(part) if isinstance(part, str) else f"[{part}]" for part in path)
    return "".join(parts).removeprefix(".")


def _scalar(literal: object) -> Scalar | None:
    match literal:
        case bool():
            return None
        case int():
            return literal if MIN_INTEGER <= literal <= MAX_INTEGER else None
        case float():
            return literal
        case str():
            return literal if is_unicode(literal) else None
        case _:
            return None
