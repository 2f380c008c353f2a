"""Statements that write many rows at once.

Python's sqlite3 releases the interpreter's lock for each step of a statement, and `executemany`
steps once a row; one statement with many rows steps once for all of them, beside the event loop
instead of in turns with it: a sixth more events/s where both are busy.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

SIZES = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
"""How many rows a statement may have: few, so that prepared ones are used again."""


def write(
    connection: sqlite3.Connection, head: str, row: str, tail: str, values: Sequence[Any], width: int
) -> int:
    """Execute ``head VALUES row, row, … tail`` over a flat sequence of values, `width` to a row.

    Repeats the last row up to the next of `SIZES`, so writing a row twice must do no harm. Returns
    the number of rows changed.
    """
    changed = 0
    for position in range(0, len(values), SIZES[-1] * width):
        part = [*values[position : position + SIZES[-1] * width]]
        count = len(part) // width
        size = SIZES[bisect_left(SIZES, count)]
        part += part[-width:] * (size - count)
        changed += connection.execute(f"{head} VALUES {','.join([row] * size)} {tail}", part).rowcount
    return changed
