"""Times that are numbers: their unit is told by their magnitude, in every dialect alike."""

from __future__ import annotations

from cube import instant
from cube.errors import InvalidRequest


def milliseconds(number: int | float) -> int:
    """Return the instant of a number of seconds, milli-, micro- or nanoseconds since 1970.

    Cut to the millisecond. Raises `ValueError` outside of the years 1 to 9999.
    """
    try:
        return instant.parse_any_unit(number)
    except InvalidRequest:
        raise ValueError from None
