"""Parameters that are true or false."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cube.errors import InvalidQuery, shown

_SWITCH: Final = {"true": True, "1": True, "false": False, "0": False, "": False}


def switch(parameters: Mapping[str, str], name: str) -> bool:
    """Tell whether a parameter is on: ``true`` or ``1``; ``false``, ``0``, empty or absent is off.

    Raises `InvalidQuery` for anything else.
    """
    given = parameters.get(name, "")
    if given not in _SWITCH:
        raise InvalidQuery(f"Got {name} {shown(given)}; accepted are true and false, or 1 and 0.", field=name)
    return _SWITCH[given]
