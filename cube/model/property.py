"""The names of properties in an event's data: which there may be, and how a path to one is written.

Any Unicode text that is not empty names a property. An *identifier* is a name that an expression may
write after a dot; any other stands in brackets, as a string: ``headers["user-agent"]``.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import chain

_ASSIGNED = (range(0x80, 0x32400), range(0xE0100, 0xE01F0))
"""Where Unicode has letters, digits and marks beyond ASCII; the planes between are empty."""


def is_property(name: str) -> bool:
    """Tell whether `name` may name a property: it is not empty, and Unicode."""
    return name != "" and is_unicode(name)


def is_unicode(text: str) -> bool:
    """Tell whether a text can be stored: no half of a surrogate pair stands alone in it."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_identifier(name: str) -> bool:
    """Tell whether an expression may write `name` after a dot.

    A letter of any script or ``_``, then letters, digits, marks, ``_`` and ``$`` (Unicode Annex 31:
    XID_Start, XID_Continue, and ``$``); in composed form (NFC), so that of two names that look alike
    only one is written so.
    """
    plain = name if "$" not in name else name[0] + name[1:].replace("$", "_")
    return plain.isidentifier() and (name.isascii() or unicodedata.is_normalized("NFC", name))


def step(name: str) -> str:
    """Return how a path goes on to a property: ``.name`` or ``["any name"]``."""
    return f".{name}" if is_identifier(name) else f"[{json.dumps(name, ensure_ascii=not is_unicode(name))}]"


@cache
def identifier_pattern() -> str:
    """Return the regular expression of what `is_identifier` accepts, composed or not."""
    others = "".join(map(chr, chain(*_ASSIGNED)))
    first = _class(others, map(str.isidentifier, others))
    following = _class(others, map(str.isidentifier, map("_".__add__, others)))
    return f"[a-zA-Z_{first}][a-zA-Z0-9_${following}]*"


def _class(characters: str, accepted: Iterable[bool]) -> str:
    runs = re.finditer(b"\1+", bytes(accepted))
    return "".join(f"{characters[run.start()]}-{characters[run.end() - 1]}" for run in runs)
