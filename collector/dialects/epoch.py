"""Times that are numbers: their unit is told by their magnitude, in every dialect alike."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Final

from cube import instant

SMALLEST_MILLISECONDS: Final = 10**11
"""Below it a number is of seconds (up to the year 5138), for as milliseconds it were before March 1973."""

_UNITS: Final = (
    (SMALLEST_MILLISECONDS, Decimal(1000)),
    (10**14, Decimal(1)),
    (10**17, Decimal("0.001")),
    (10**20, Decimal("0.000001")),
)
"""Below which magnitude a number is of what: seconds, milliseconds, microseconds, nanoseconds."""


def milliseconds(number: int | float) -> int:
    """Return the instant of a number of seconds, milli-, micro- or nanoseconds since 1970.

    Cut to the millisecond. Raises `ValueError` outside of the years 1 to 9999.
    """
    exact = Decimal(str(number))
    for bound, factor in _UNITS:
        if abs(exact) < bound:
            time = math.floor(exact * factor)
            if instant.EARLIEST <= time <= instant.LATEST:
                return time
            break
    raise ValueError
