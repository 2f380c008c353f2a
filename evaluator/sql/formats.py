"""The formats of answers, by media type and by the short names of the command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cube.errors import InvalidQuery, shown

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
CSV: Final = "text/csv"
PARQUET: Final = "application/vnd.apache.parquet"
ARROW: Final = "application/vnd.apache.arrow.stream"

NAMES: Final = {"json": JSON, "jsonl": LINES, "csv": CSV, "parquet": PARQUET, "arrow": ARROW}

_RANGES: Final = {"*/*": JSON, "application/*": JSON, "text/*": CSV}


def read_format(name: str | None, accept: str) -> str:
    """Return the media type that is asked for: by name, else the best of an ``Accept`` header.

    Raises `InvalidQuery` where none of them is there.
    """
    if name is not None:
        if name not in NAMES:
            raise InvalidQuery(
                f"Got the format {shown(name)}; accepted is one of {', '.join(NAMES)}.", field="format"
            )
        return NAMES[name]
    for media in _by_preference(accept or "*/*"):
        found = _RANGES.get(media, media if media in NAMES.values() else None)
        if found is not None:
            return found
    raise InvalidQuery(f"Got Accept: {shown(accept)}; accepted is one of {', '.join(NAMES.values())}.")


def _by_preference(accept: str) -> Iterator[str]:
    """Yield the media ranges of an ``Accept`` header (RFC 9110, 12.5.1), those that are preferred first."""
    ranges = []
    for each in accept.split(","):
        media, *parameters = (part.strip() for part in each.lower().split(";"))
        quality = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            ranges.append((float(quality), media))
        except ValueError:
            ranges.append((0.0, media))
    yield from (media for weight, media in sorted(ranges, key=lambda one: -one[0]) if weight > 0)
