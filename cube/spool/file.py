"""One spool file: a SQLite database of records in order of arrival.

``records`` are the events that wait; ``aside`` those that cannot be stored, with the reason: kept for
a person to look at. Everything here blocks; a file is used by one thread at a time and, because it is
claimed (see `cube.spool.directory`), by one process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cube.errors import Unavailable
from cube.spool.faults import DamagedFile, answering
from cube.spool.record import Record, Row

PAGE_BYTES = 4096
FORMAT = 1
"""Kept as SQLite's ``user_version``."""

_CACHE_KIB = 8 * 1024
_LOG_BYTES = 4 * 2**20  # to which the write-ahead log is cut back
_TOGETHER = 500  # values in one statement
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, at INTEGER NOT NULL,
        key INTEGER, event BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS waiting ON records (key) WHERE key IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS aside (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER,
        key INTEGER, event BLOB, checksum INTEGER, reason TEXT NOT NULL)""",
)


@dataclass(frozen=True, slots=True)
class FileState:
    """What is in a file.

    ``oldest``: when its first record arrived; None if it has none. ``bytes``: of its pages in use.
    """

    events: int
    aside: int
    bytes: int
    oldest: int | None


class SpoolFile:
    """An open spool file, made if it is not there.

    Raises `DamagedFile` where it is no database or a damaged one (``check`` looks at all of it),
    `Unavailable` where it cannot be opened or was made by a later Cube, `Overloaded` on a full disk.
    """

    def __init__(self, path: Path, *, check: bool = False) -> None:
        self.path = path
        self._events = self._aside = 0
        self._next = 1
        with answering(path):
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
                if check:
                    self._check()
                self._count()
            except BaseException:
                self._connection.close()
                raise

    def append(self, rows: Iterable[tuple[int, int | None, bytes]]) -> range:
        """Store (arrival, key, event text) durably, all or none; return the numbers they got."""
        with self._writing():
            first = self._next
            stamped = [Row.of(number, *row) for number, row in enumerate(rows, first)]
            self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", stamped)
        self._next = first + len(stamped)
        self._events += len(stamped)
        return range(first, self._next)

    def restore(self, rows: Iterable[Row]) -> None:
        """Store rows of another file under their numbers, into an empty one."""
        with self._writing():
            self._connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        with answering(self.path):
            self._count()

    def waiting(self, keys: Sequence[int]) -> set[int]:
        """Return those of the keys that wait."""
        found: set[int] = set()
        with answering(self.path):
            for place in range(0, len(keys), _TOGETHER):
                some = keys[place : place + _TOGETHER]
                query = f"SELECT key FROM records WHERE key IN ({_marks(some)})"  # noqa: S608 - marks only
                found.update(key for (key,) in self._connection.execute(query, some))
        return found

    def head(self, events: int, size: int) -> tuple[list[Record], int]:
        """Return the first records, up to so many events and about so many bytes, at least one.

        Damaged ones are set aside; the number of those comes second.
        """
        records: list[Record] = []
        damaged: list[int] = []
        with answering(self.path):
            for found in self._connection.execute("SELECT * FROM records ORDER BY number LIMIT ?", (events,)):
                row = Row(*found)
                if row.is_sound:
                    records.append(Record.of(row))
                    size -= len(row.event)
                else:
                    damaged.append(row.number)
                if size <= 0:
                    break
        self.set_aside(damaged, "the record is damaged")
        if not records and not damaged and self._events:
            raise DamagedFile(f"The spool file {self.path} is damaged (its records are out of reach).")
        return records, len(damaged)

    def remove(self, numbers: Sequence[int]) -> int:
        """Forget records; return how many of them were there."""
        with self._writing():
            removed = self._delete(numbers)
        self._events -= removed
        return removed

    def set_aside(self, numbers: Sequence[int], reason: str) -> None:
        """Move records out of the way, where they are kept with a reason."""
        if not numbers:
            return
        with self._writing():
            for number in numbers:
                self._connection.execute(
                    "INSERT INTO aside (at, key, event, checksum, reason)"
                    " SELECT at, key, event, checksum, ? FROM records WHERE number = ?",
                    (reason, number),
                )
            removed = self._delete(numbers)
        self._events -= removed
        self._aside += removed

    def state(self) -> FileState:
        """Look at what is in the file."""
        with answering(self.path):
            return FileState(self._events, self._aside, self.size(), self.oldest())

    def oldest(self) -> int | None:
        """Return when the first record arrived; None if there is none."""
        with answering(self.path):
            found = self._connection.execute("SELECT at FROM records ORDER BY number LIMIT 1").fetchone()
        return None if found is None or not isinstance(found[0], int) else found[0]

    def size(self) -> int:
        """Return the bytes of the pages in use."""
        with answering(self.path):
            pages, free = self._one("PRAGMA page_count"), self._one("PRAGMA freelist_count")
        return (pages - free) * PAGE_BYTES

    def shrink(self) -> None:
        """Give the space of removed records back to the disk; quick when few are left."""
        with answering(self.path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file; its write-ahead log is merged into it."""
        self._connection.close()

    def _prepare(self) -> None:
        connection = self._connection
        connection.text_factory = bytes  # a damaged text may be no UTF-8, and must not cost its neighbours
        for pragma in (
            f"page_size = {PAGE_BYTES}",
            "locking_mode = NORMAL",
            "journal_mode = WAL",
            "synchronous = FULL",
            # What was removed must not come back when a damaged file is carved.
            "secure_delete = ON",
            f"cache_size = {-_CACHE_KIB}",
            f"journal_size_limit = {_LOG_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        found = self._one("PRAGMA user_version")
        if found > FORMAT:
            raise Unavailable(f"The spool file {self.path} was made by a later Cube; drain it with that one.")
        if found < FORMAT:
            with self._writing():
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {FORMAT}")

    def _check(self) -> None:
        found = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        if found != [(b"ok",)]:
            raise DamagedFile(
                f"The spool file {self.path} is damaged ({found[0][0].decode(errors='replace')})."
            )

    def _count(self) -> None:
        self._events = self._one("SELECT count(*) FROM records")
        self._aside = self._one("SELECT count(*) FROM aside")
        self._next = self._one("SELECT ifnull(max(number), 0) + 1 FROM records")

    def _one(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    def _delete(self, numbers: Sequence[int]) -> int:
        marked = ((number,) for number in numbers)
        return self._connection.executemany("DELETE FROM records WHERE number = ?", marked).rowcount

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with answering(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
