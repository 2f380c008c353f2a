"""Property names that MongoDB cannot hold, or cannot query: how they stand in documents.

A server and its drivers refuse NUL, and read ``.`` and a leading ``$`` as their own syntax
("Field Names with Periods and Dollar Signs" in MongoDB's manual). Those characters, and a ``%`` that
could be taken for the beginning of an escape, are written ``%2E``, ``%24``, ``%00`` and ``%25``, in
documents that say so by `MARK`. All others, Square's and those of other tools among them, are read as
they stand, whatever their names look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

MARK: Final = "escaped"
"""The field, beside ``d``, of documents with escaped names; its value is true."""

_ODD = re.compile(r"\.|\0|\A\$|%(?=2E|24|00|25)")
_ESCAPE = re.compile(r"%(2E|24|00|25)")
_PLAIN: set[str] = set()  # names that were seen to need no escape; bounded below
_MAX_PLAIN = 4096
_MAX_PLAIN_LENGTH = 64


def is_escaped(name: str) -> bool:
    """Tell whether a document holds a property of this name under another, where it holds one."""
    if name in _PLAIN:
        return False
    if _ODD.search(name):
        return True
    if len(_PLAIN) < _MAX_PLAIN and len(name) <= _MAX_PLAIN_LENGTH:
        _PLAIN.add(name)
    return False


def escape(value: Any) -> Any:
    """Return an event's data as a document can hold it: itself, unless a name in it has to be escaped."""
    if not _has_escaped(value):
        return value
    return _renamed(value, lambda name: _ODD.sub(_escaped_character, name))


def unescape(value: Any) -> Any:
    """Return the data that `escape` was given."""
    return _renamed(value, lambda name: _ESCAPE.sub(_character, name))


def _has_escaped(value: Any) -> bool:
    if value.__class__ is dict:
        if not _PLAIN.issuperset(value) and any(map(is_escaped, value)):
            return True
        value = value.values()
    elif value.__class__ is not list:
        return False
    return any(_has_escaped(item) for item in value if item.__class__ is dict or item.__class__ is list)


def _renamed(value: Any, rename: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {rename(name): _renamed(item, rename) for name, item in value.items()}
    return [_renamed(item, rename) for item in value] if isinstance(value, list) else value


def _escaped_character(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))
