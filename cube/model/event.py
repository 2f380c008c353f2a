"""Events, and the only way in: `Event.parse`.

An event is ``{type, time?, id?, data?}``. The rules, and what each refusal says, are those of
the native interface: every dialect ends here too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from types import NoneType
from typing import Any, Final, NoReturn, TypeAlias, cast

import msgspec

from cube.errors import InvalidEvent, InvalidRequest, shown
from cube.model import instant
from cube.model.made_id import make_id
from cube.model.property import is_property, is_unicode, step

EventId: TypeAlias = "int | float | str | bytes"
"""A client's id (text or a number, integral floats as int) or a made one (12 bytes)."""

ABSENT: Final = msgspec.UNSET
"""The data of an event that has none; JSON null is None."""

MAX_TYPE_LENGTH = 64
MAX_ID_LENGTH = 512
MAX_DATA_DEPTH = 50
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1

KEYS: Final = frozenset(("type", "time", "id", "data"))

OBJECT_ID: Final = "$oid"
"""The key of an ObjectId in MongoDB's extended JSON."""

_MADE = re.compile(r"[0-9a-f]{24}", re.ASCII)
_MAX_TOLD = 10
_MAX_COMPARED = 40  # characters of a key that are looked at
_UNWRITTEN = re.compile(r"[\W_]+")
_LIKENESS = 0.75  # tiem is time, and item is not
_OTHER_NAMES: dict[str, str] = {
    **dict.fromkeys(("timestamp", "ts", "datetime", "date"), "time"),
    **dict.fromkeys(("payload", "properties", "fields"), "data"),
}

_TYPE = re.compile(r"[a-z_][a-zA-Z0-9_]*", re.ASCII)
_KNOWN: dict[str, str] = {}  # property names that were checked before, and how a path goes on to each
_KNOWN_TYPES: set[str] = set()  # types that did; the same
_MAX_KNOWN = 4096
_MAX_KNOWN_LENGTH = 64

_LEAVES: dict[type, Callable[[Any], bool]] = {
    str: str.isascii,
    int: range(MIN_INTEGER, MAX_INTEGER + 1).__contains__,
    float: math.isfinite,
    bool: frozenset((False, True)).__contains__,
    NoneType: frozenset((None,)).__contains__,
}
"""Per kind of leaf a test in C that nearly all pass; one that fails (or is not a leaf) is looked at with
its path, which takes time to make."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event, valid by construction.

    ``time``: milliseconds since 1970 (see `cube.model.instant`). ``data``: any JSON value, or `ABSENT`.
    ``timed``: whether the client gave the time; an already stored id keeps its own time where
    it did not.
    """

    type: str
    time: int
    id: EventId
    data: Any = ABSENT
    timed: bool = True

    @classmethod
    def parse(
        cls,
        raw: object,
        *,
        now: int,
        unit_known: bool = False,
        note_unknown: Callable[[list[str]], None] | None = None,
    ) -> Event:
        """Check one decoded JSON value and make it an event that arrived at `now`.

        A time that is a number has to be plausible as milliseconds (`instant.parse_plausible`), unless its
        ``unit_known`` is what a dialect has seen to. Keys that no event has are left out, and
        ``note_unknown`` is called with them; beside them there must be data, so that nothing is
        accepted and then emptied.
        Raises `InvalidEvent` with the ``field`` (a path such as ``data.a[0].b``) and, where the
        event has a usable one, its ``id``.
        """
        if raw.__class__ is not dict and not isinstance(raw, Mapping):
            raise InvalidEvent(f"Got {_shown(raw)} as an event; accepted is an object.")
        id, time = raw.get("id", ABSENT), raw.get("time", ABSENT)
        try:
            event = cls(
                _type(raw.get("type", ABSENT)),
                now if time is ABSENT else _time(time, unit_known),
                make_id() if id is ABSENT else _id(id),
                _data(raw.get("data", ABSENT)),
                time is not ABSENT,
            )
            if not KEYS.issuperset(raw):
                unknown = [str(key) for key in raw if key not in KEYS]
                if event.data is ABSENT:
                    _refuse_without_data(unknown)
                if note_unknown is not None:
                    note_unknown(unknown)
            return event
        except InvalidEvent as error:
            if isinstance(id, (str, int, float)) and not isinstance(id, bool):
                error.details.setdefault("id", id)
            if error.details.get("field") != "type":
                error.type = raw["type"]
            raise


def meant(key: str) -> str | None:
    """Return the key that an unknown one is probably meant for: ``Time`` and ``timestamp`` are time."""
    plain = _UNWRITTEN.sub("", key[:_MAX_COMPARED]).lower()
    return _OTHER_NAMES.get(plain) or next(iter(get_close_matches(plain, sorted(KEYS), 1, _LIKENESS)), None)


def left_out(key: str, events: int) -> str | None:
    """Return the sentence about an unknown key of events that were taken without it; None for a far miss."""
    guess = meant(key)
    if guess is None:
        return None
    many = "" if events == 1 else f" in {events} events"
    return f"Got the unknown key {shown(key)}{many}, which is not stored; did you mean {shown(guess)}?"


def id_key(id: EventId) -> tuple[int, EventId]:
    """Return the key by which ids are equal and ordered: numbers, strings, made ones."""
    if isinstance(id, bytes):
        return (2, id)
    return (1, id) if isinstance(id, str) else (0, id)


def shown_id(id: EventId) -> Any:
    """Return an id as JSON has it; one that Cube made as MongoDB's extended JSON has an ObjectId."""
    return {OBJECT_ID: id.hex()} if isinstance(id, bytes) else id


def is_type(name: str) -> bool:
    """Tell whether `name` is a valid type."""
    return len(name) <= MAX_TYPE_LENGTH and _TYPE.fullmatch(name) is not None


def _refuse_without_data(keys: Sequence[str]) -> NoReturn:
    """Refuse an event that has unknown keys and no data."""
    told = ", ".join(map(shown, keys[:_MAX_TOLD])) + (", …" if len(keys) > _MAX_TOLD else "")
    accepted = 'accepted is {type, time?, id?, data?}: put what is to be stored into "data".'
    guesses = ((guess, key) for key in keys if (guess := meant(key)) is not None)
    sentences = [f"Did you mean {shown(guess)} by {shown(key)}?" for guess, key in islice(guesses, _MAX_TOLD)]
    message = f"Got no data but the unknown key{'s' * (len(keys) > 1)} {told}; {accepted}"
    raise InvalidEvent(" ".join([message, *sentences]), field="data")


def _type(value: object) -> str:
    if value.__class__ is str and value in _KNOWN_TYPES:
        return value
    if value is ABSENT:
        raise InvalidEvent("The event has no type; accepted is {type, time?, id?, data?}.", field="type")
    if not isinstance(value, str) or not is_type(value):
        raise InvalidEvent(
            f"Got the type {_shown(value)}; accepted is text of 1 to {MAX_TYPE_LENGTH} characters"
            " that matches [a-z_][a-zA-Z0-9_]*.",
            field="type",
        )
    if len(_KNOWN_TYPES) < _MAX_KNOWN:
        _KNOWN_TYPES.add(value)
    return value


def _time(value: object, unit_known: bool) -> int:
    if value.__class__ is int and instant.EARLIEST_PLAUSIBLE <= value <= instant.LATEST:
        return value
    try:
        return instant.parse(value) if unit_known else instant.parse_plausible(value)
    except InvalidRequest as error:
        raise InvalidEvent(error.message, field="time") from None


def _id(value: object) -> EventId:
    if isinstance(value, str) and 1 <= len(value) <= MAX_ID_LENGTH and is_unicode(value):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() and abs(value) < 2**63 else value
    if isinstance(value, int) and not isinstance(value, bool) and MIN_INTEGER <= value <= MAX_INTEGER:
        return value
    made = _made_id(value)
    if made is not None:
        return made
    raise InvalidEvent(
        f"Got the id {_shown(value)}; accepted is text of 1 to {MAX_ID_LENGTH} characters or a"
        " number (integers within 64 bits).",
        field="id",
    )


def _made_id(value: object) -> bytes | None:
    """Read an id that Cube made, as `shown_id` shows it; None for anything else."""
    digits = value.get(OBJECT_ID) if isinstance(value, dict) and len(value) == 1 else None
    is_made = isinstance(digits, str) and _MADE.fullmatch(digits) is not None
    return bytes.fromhex(digits) if is_made else None  # type: ignore[arg-type]  # text, as is_made says


def _data(value: object) -> Any:
    if value is not ABSENT:
        _check(value, "data", MAX_DATA_DEPTH)
    return value


def _check(value: object, path: str, depth: int) -> None:
    kind = value.__class__
    if kind is str or kind is bool or value is None:
        if kind is str and not is_unicode(cast("str", value)):
            raise InvalidEvent(
                f"Got half a surrogate pair in {path}, or bytes that are not UTF-8; accepted is Unicode.",
                field=path,
            )
    elif kind is int:
        if not MIN_INTEGER <= value <= MAX_INTEGER:  # type: ignore[operator]  # an int
            raise InvalidEvent(
                f"Got the integer {_shown(value)} at {path}; accepted are 64-bit integers"
                f" ({MIN_INTEGER} to {MAX_INTEGER}).",
                field=path,
            )
    elif isinstance(value, float):  # of a class of its own, too: one that is too large for a double
        if not math.isfinite(value):
            raise InvalidEvent(f"Got {_shown(value)} at {path}; accepted are finite numbers.", field=path)
    elif kind is dict or kind is list:
        _check_nested(value, path, depth)  # type: ignore[arg-type]  # a dict or list
    else:
        raise InvalidEvent(f"Got {_shown(value)} at {path}; accepted is JSON.", field=path)


def _check_nested(value: dict[Any, Any] | list[Any], path: str, depth: int) -> None:
    if depth == 0:
        raise InvalidEvent(
            f"The data is nested more than {MAX_DATA_DEPTH} levels deep at {path[:200]}.",
            field=path[:200],
        )
    if value.__class__ is list:
        for index, item in enumerate(value):
            passes = _LEAVES.get(item.__class__)
            if passes is None or not passes(item):
                _check(item, f"{path}[{index}]", depth - 1)
        return
    for name, item in value.items():  # type: ignore[union-attr]  # a dict
        if name not in _KNOWN:
            _check_name(name, path)
        passes = _LEAVES.get(item.__class__)
        if passes is None or not passes(item):
            _check(item, path + (_KNOWN.get(name) or step(name)), depth - 1)


def _check_name(name: object, path: str) -> None:
    if not isinstance(name, str) or not is_property(name):
        raise InvalidEvent(
            f"Got the property name {_shown(name)} in {path}; accepted is any Unicode text that is not"
            " empty.",
            field=path + step(str(name)),
        )
    if len(_KNOWN) < _MAX_KNOWN and len(name) <= _MAX_KNOWN_LENGTH:
        _KNOWN[name] = step(name)


def _shown(value: object) -> str:
    return "nothing" if value is ABSENT else shown(value)
