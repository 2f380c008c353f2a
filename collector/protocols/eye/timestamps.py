"""The Eye's timestamps: to the microsecond, where Cube's own times end at the millisecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})[T ]([0-9]{1,2}):([0-9]{1,2})"
    r"(?::([0-9]{1,2})(?:[.,]([0-9]{1,6})[0-9]*)?)?"
    r"(?:(Z)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)
"""As Django's ``parse_datetime`` reads them."""


def parse(text: str) -> datetime | None:
    """Read a timestamp (without a zone: UTC) as UTC; None where it is not a time in the years 1 to 9999.

    A leap second (``23:59:60``) is the last microsecond of its minute.
    """
    found = _TIMESTAMP.fullmatch(text.strip())
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    microsecond = int((fraction or "0").ljust(6, "0"))
    if (hour, minute, second) == ("23", "59", "60"):
        second, microsecond = "59", 999_999
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second or 0), microsecond, zone
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def stored(moment: datetime) -> str:
    """Write ``2021-01-01T09:15:27.243860Z``: always as long, so that texts are ordered as their times."""
    return f"{moment.year:04}-{moment:%m-%dT%H:%M:%S.%f}Z"


def shown(text: str) -> str:
    """Return a stored timestamp as the Eye answers it: no fraction if it is zero."""
    return text.replace(".000000Z", "Z")
