"""How messages show a value that a client sent: as JSON, which is what it sent."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

LONGEST: Final = 80
"""Characters; a longer value is cut and ends in ``...``."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, default=repr)
_NESTED = (Mapping, list, tuple)


def shown(value: object) -> str:
    """Return a value for a sentence: valid Unicode of at most `LONGEST` characters.

    NaN and infinities are written as JSON writers write them, lone surrogates as escapes. Of what is
    nested only as much is looked at as is shown.
    """
    text = _written(value)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _written(value: Any) -> str:
    if isinstance(value, str):
        return _ENCODER.encode(value if len(value) <= LONGEST else value[:LONGEST])
    if isinstance(value, float) and value.__class__ is not float:
        return repr(value)  # which shows the number as it was given
    if not isinstance(value, _NESTED):
        return _ENCODER.encode(value)
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(value)
    text = ""
    for part in _ENCODER.iterencode(value):
        text += part
        if len(text) > LONGEST:
            break
    return text
