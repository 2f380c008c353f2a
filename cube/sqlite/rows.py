"""Statements that write many rows at once.

Python's sqlite3 lets go of the interpreter's lock for each step of a statement, and `executemany`
steps once a row: beside a busy event loop every row then waits for the lock. One statement with
many rows steps once for all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

_SIZES = (256, 64, 16, 4, 1)  # few different statements, so that the prepared ones are reused


def write(
    connection: sqlite3.Connection, head: str, row: str, tail: str, values: Sequence[Any], width: int
) -> int:
    """Execute ``head VALUES row, row, … tail`` over a flat sequence of values, `width` to a row.

    Returns the number of rows changed.
    """
    changed, position = 0, 0
    for size in _sizes(len(values) // width):
        statement = f"{head} VALUES {','.join([row] * size)} {tail}"
        stop = position + size * width
        changed += connection.execute(statement, values[position:stop]).rowcount
        position = stop
    return changed


def _sizes(count: int) -> Iterator[int]:
    for size in _SIZES:
        for _ in range(count // size):
            yield size
        count %= size
