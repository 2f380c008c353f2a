"""What tells a table of delimited cells from the log of an application, which has commas in its sentences."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Final

DELIMITERS: Final = (",", "\t", ";", "|")

_ROWS: Final = 50
"""So many rows below the first are looked at."""

_LOG_LINE = re.compile(
    r"""(?xi)
    (?: <[0-9]{1,3}>[0-9]?[ ]? )?                                         # syslog's priority
    [\["'(]?
    (?: [0-9]{4}[-/.][0-9]{2}[-/.][0-9]{2}[T ,_-][0-9]{1,2}[:.][0-9]{2}     # 2026-01-31 12:00
      | [0-9]{1,2}[/. -][a-z]{3}[/. -][0-9]{4}[: ][0-9]{2}:[0-9]{2}         # 31/Jan/2026:12:00
      | [0-9]{1,2}:[0-9]{2}:[0-9]{2}[.,\] ]                               # 12:00:00.000
      | (?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[ ,]+(?:[a-z]{3}[ ]+[0-9]|[0-9])
      | (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[ ]+[0-9]{1,2}[ ][0-9]{2}:[0-9]{2}
      | [iwef][0-9]{4}[ ][0-9]{2}:[0-9]{2}:[0-9]{2}                        # klog
      | (?:trace|debug|info|notice|warn|warning|error|critical|fatal|severe)(?:[\])]|:[ ]|[ ]+-[ ]|[ ]+[\[(])
      | [a-z_.]+=\S+[ ]+[a-z_.]+=                                          # logfmt
    )""",
    re.ASCII,
)


def delimiter_of(line: str) -> str:
    """Return the delimiter that a line has most of outside of quotes."""
    plain = "".join(line.split('"')[::2])
    return max(DELIMITERS, key=plain.count)


def is_log_line(line: bytes) -> bool:
    """Tell whether a line begins as those of logs do: with a time, a level or a pair of logfmt."""
    return _LOG_LINE.match(line.decode(errors="replace")) is not None


def is_table(lines: Sequence[bytes]) -> bool:
    """Tell whether lines, whole ones, are rows of CSV below one that names the columns, and no sentences.

    The first one may not be a sentence, and half of the others have as many cells.
    """
    texts = [line.decode(errors="replace") for line in lines[: _ROWS + 1]]
    head = texts[0]
    try:
        rows = [cells for cells in csv.reader(texts, delimiter=delimiter_of(head)) if cells]
    except csv.Error:  # which whoever reads all of it can tell
        return True
    width = len(rows[0]) - (not rows[0][-1])
    if width <= 1:
        return " " not in head or head.startswith('"')
    alike = sum(width <= len(cells) <= width + (not cells[-1]) for cells in rows[1:])
    return 2 * alike >= len(rows) - 1
