"""What the catalog is asked, parsed from the parameters of a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cube.errors import InvalidExpression, InvalidQuery, shown
from cube.expression import parse_event
from cube.model.event import MAX_TYPE_LENGTH
from evaluator.catalog.fields import Path
from evaluator.query.queries import read_limit

VALUES, MOST_VALUES = 20, 1_000
"""How many values are told unless the client says, and at most."""

_TYPE: Final = re.compile(rf"[a-z_][a-zA-Z0-9_]{{0,{MAX_TYPE_LENGTH - 1}}}", re.ASCII)
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_SWITCH: Final = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True, slots=True)
class ValuesQuery:
    """Which values of which field are asked for."""

    type: str
    path: Path
    prefix: str
    limit: int

    @classmethod
    def parse(cls, raw: Mapping[str, str]) -> ValuesQuery:
        """Check a request's parameters; raises `InvalidQuery`."""
        path, limit = _path(_required(raw, "field")), read_limit(raw, VALUES, MOST_VALUES)
        return cls(read_type(raw), path, raw.get("prefix", ""), limit)


@dataclass(frozen=True, slots=True)
class ExpressionQuery:
    """An expression that is being written, and where; ``at`` None: no completions are asked for."""

    text: str
    at: int | None

    @classmethod
    def parse(cls, raw: Mapping[str, str]) -> ExpressionQuery:
        """Check a request's parameters; raises `InvalidQuery`."""
        text, at = _required(raw, "expression"), raw.get("at")
        if at is None:
            return cls(text, None)
        if not _WHOLE.fullmatch(at) or int(at) > len(text):
            raise InvalidQuery(
                f"Got the place {shown(at)}; accepted are whole numbers from 0 to {len(text)}, the characters"
                " before it.",
                field="at",
            )
        return cls(text, int(at))


def read_type(raw: Mapping[str, str]) -> str:
    """Return the type that is asked about; raises `InvalidQuery` where it is missing or cannot be one."""
    type = _required(raw, "type")
    if not _TYPE.fullmatch(type):
        raise InvalidQuery(
            f"Got the type {shown(type)}; accepted is [a-z_][a-zA-Z0-9_]*, of at most {MAX_TYPE_LENGTH}"
            " characters.",
            field="type",
        )
    return type


def wants_details(raw: Mapping[str, str]) -> bool:
    """Tell whether types are to be told in detail; raises `InvalidQuery`."""
    given = raw.get("details", "")
    if given not in _SWITCH:
        raise InvalidQuery(f"Got details {shown(given)}; accepted are true and false.", field="details")
    return _SWITCH[given]


def _required(raw: Mapping[str, str], name: str) -> str:
    if name not in raw:
        raise InvalidQuery(f"The parameter {name} is missing.", field=name)
    return raw[name]


def _path(text: str) -> Path:
    """Read a field as an expression has it, of names alone."""
    try:
        parsed = parse_event(f"any({text})")
    except InvalidExpression:
        raise _no_field(text) from None
    if parsed.fields is None or len(parsed.fields) != 1 or parsed.filters:
        raise _no_field(text)
    names = tuple(part for part in parsed.fields[0].path if isinstance(part, str))
    if len(names) != len(parsed.fields[0].path):
        raise _no_field(text)
    return names


def _no_field(text: str) -> InvalidQuery:
    return InvalidQuery(
        f"Got the field {shown(text)}; accepted is one path of names, such as user.name or"
        ' headers["user-agent"].',
        field="field",
    )
