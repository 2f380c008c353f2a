"""Looking at spool files without owning them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cube.spool.directory import DAMAGED, SUFFIX, Claimed, SpoolName, listed


@dataclass(frozen=True, slots=True)
class Inspected:
    """A spool file as it is seen from outside.

    ``owned``: a living process has it. ``events``, ``aside``, ``oldest``: what is in it, and when its
    first event arrived (milliseconds since 1970); None where that cannot be read, or nothing waits.
    ``bytes``: its length on the disk.
    """

    path: Path
    name: SpoolName
    owned: bool
    bytes: int
    events: int | None = None
    aside: int | None = None
    oldest: int | None = None


def inspect_all(directory: Path) -> Iterator[Inspected]:
    """Look at all spool files of a directory."""
    for name, path in listed(directory):
        claimed = Claimed.claim(directory, name)
        if claimed is not None:
            claimed.release()
        try:
            size = path.stat().st_size
            yield Inspected(path, name, claimed is None, size, *_content(path))
        except FileNotFoundError:
            continue  # its owner has just finished with it


def put_away(directory: Path) -> list[Path]:
    """Return the files that were put away because they are damaged, or hold only records set aside."""
    return sorted(directory.glob(f"*{SUFFIX}{DAMAGED}"))


def _content(path: Path) -> tuple[int | None, int | None, int | None]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (events,), (aside,), (oldest,) = (
                connection.execute(query).fetchone()
                for query in (
                    "SELECT count(*) FROM records",
                    "SELECT count(*) FROM aside",
                    "SELECT min(at) FROM records WHERE number = (SELECT min(number) FROM records)",
                )
            )
    except sqlite3.Error:
        return None, None, None
    return events, aside, oldest
