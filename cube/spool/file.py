"""One spool file: a SQLite database of records in order of arrival.

``records`` are the events that wait; ``aside`` those in quarantine, which cannot be stored, with the
reason: kept for a person to look at. Everything here blocks; a file is used by one thread at a time and,
because it is claimed (see `cube.spool.directory`), by one process.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cube import files
from cube.errors import Overloaded, Unavailable
from cube.files import FileIdentity
from cube.spool.record import Record, Row

PAGE_BYTES = 4096
RETRY_AFTER_SECONDS = 5
FORMAT = 1
"""Kept as SQLite's ``user_version``."""

_CACHE_KIB = 8 * 1024
_LOG_BYTES = 4 * 2**20  # to which the write-ahead log is cut back
_TOGETHER = 500  # values in one statement
_SETTLED = 2_000  # hidden records in one transaction
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, at INTEGER NOT NULL,
        key INTEGER, event BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS waiting ON records (key) WHERE key IS NOT NULL",
    """CREATE TABLE IF NOT EXISTS aside (number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER,
        key INTEGER, event BLOB, checksum INTEGER, reason TEXT NOT NULL)""",
)
_INSERT = "INSERT INTO records VALUES (?, ?, ?, ?, ?)"
_log = logging.getLogger(__name__)


class DamagedFile(Exception):
    """A spool file, or a part of it, cannot be read."""


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """Raise `DamagedFile` for a damaged file, `Overloaded` for a full disk, else `Unavailable`."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or isinstance(error, sqlite3.DataError):
            raise DamagedFile(f"The spool file {path} is damaged ({error}).") from error
        if code == sqlite3.SQLITE_FULL:
            raise Overloaded(
                f"The spool's disk is full ({error}); send again later.",
                retry_after_seconds=RETRY_AFTER_SECONDS,
            ) from error
        _log.warning("the spool file %s does not answer: %s", path, error)
        raise Unavailable(
            f"The spool does not answer ({error}): see its disk and its rights.",
            retry_after_seconds=RETRY_AFTER_SECONDS,
        ) from error


@dataclass(frozen=True, slots=True)
class FileState:
    """What is in a file.

    ``oldest``: when its first record arrived; None if it has none. ``bytes``: of its pages in use.
    ``removed``, ``refused``: records that are still in the file, for lack of room, though they are
    delivered, or were to be quarantined.
    """

    events: int
    quarantined: int
    bytes: int
    oldest: int | None
    removed: int = 0
    refused: int = 0


class SpoolFile:
    """An open spool file, made if it is not there.

    Raises `DamagedFile` where it is not a database or a damaged one (``check`` looks at all of it),
    `Unavailable` where it cannot be opened or was made by a later Cube, `Overloaded` on a full disk.
    ``exclusive``: nobody else can look at it meanwhile; then no index of its log is needed, and so no room.

    SQLite needs room to remove a row. Where there is none, what is removed or quarantined is *hidden*
    instead: it stays in the file, is delivered no more, and its id goes on waiting.
    """

    def __init__(self, path: Path, *, check: bool = False, exclusive: bool = False) -> None:
        self.path = path
        self._exclusive = exclusive
        self._events = self._quarantined = 0
        self._next = 1
        self._begin = 0  # no record up to this number is to be delivered
        self._hidden: dict[int, str | None] = {}  # number -> why it is quarantined; None: delivered
        with answering(path):
            files.make_file(path)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
                if check:
                    self._check()
                self._count()
            except BaseException:
                self._connection.close()
                raise
        self._placement = FileIdentity(path, Path(f"{path}-wal"))

    @property
    def is_in_place(self) -> bool:
        """Whether the file is still the one at its path, and not deleted or replaced."""
        return self._placement.holds()

    def append(self, rows: Iterable[tuple[int, int | None, bytes]]) -> range:
        """Store (arrival, key, event text) durably, all or none; return the numbers they got."""
        first = self._next
        stamped = [Row.of(number, *row) for number, row in enumerate(rows, first)]
        with self._writing():
            self._connection.executemany(_INSERT, stamped)
        self._next = first + len(stamped)
        self._events += len(stamped)
        return range(first, self._next)

    def restore(self, rows: Iterable[Row]) -> None:
        """Store rows of another file under their numbers, into an empty one."""
        with self._writing():
            self._connection.executemany(_INSERT, rows)
        with answering(self.path):
            self._count()

    def waiting(self, keys: Sequence[int]) -> set[int]:
        """Return those of the keys that wait."""
        return set(self._present("key", keys))

    def head(self, events: int, size: int, skipped: Collection[int] = ()) -> tuple[list[Record], int]:
        """Return the first records, up to so many events and about so many bytes, at least one.

        Those whose numbers are ``skipped`` are left where they are. Damaged ones are quarantined; the number
        of those comes second.
        """
        records: list[Record] = []
        damaged: list[int] = []
        with answering(self.path):
            for row in self._waiting_rows():
                if row.number in skipped:
                    continue
                if row.is_sound:
                    records.append(Record.of(row))
                    size -= len(row.event)
                else:
                    damaged.append(row.number)
                if size <= 0 or len(records) + len(damaged) >= events:
                    break
        self.take_out(damaged, "the record is damaged")
        if not records and not damaged and self._events and not skipped:
            raise DamagedFile(f"The spool file {self.path} is damaged (its records are out of reach).")
        return records, len(damaged)

    def take_out(self, numbers: Collection[int], reason: str | None = None) -> int:
        """Forget records, or for a reason quarantine them; return how many of them were there.

        Where there is no room for that, they are hidden.
        """
        numbers = [number for number in numbers if number not in self._hidden]
        if not numbers:
            return 0
        try:
            taken = self._write_out(dict.fromkeys(numbers, reason))
        except (Overloaded, Unavailable):
            present = self._present("number", numbers)
            self._hidden.update(dict.fromkeys(present, reason))
            taken = len(present)
        self._events -= taken
        return taken

    def settle(self) -> bool:
        """Remove, and quarantine, what is only hidden; return whether there was room for it."""
        while self._hidden:
            some = dict(islice(self._hidden.items(), _SETTLED))
            try:
                self._write_out(some)
            except (Overloaded, Unavailable):
                return False
            for number in some:
                del self._hidden[number]
        return True

    def rows(self) -> Iterator[Row]:
        """Yield the records that are neither delivered nor quarantined, in order."""
        with answering(self.path):
            yield from self._waiting_rows()

    def state(self) -> FileState:
        """Look at what is in the file."""
        with answering(self.path):
            refused = sum(reason is not None for reason in self._hidden.values())
            removed = len(self._hidden) - refused
            size = (self._one("PRAGMA page_count") - self._one("PRAGMA freelist_count")) * PAGE_BYTES
            query = "SELECT at FROM records WHERE number > ? ORDER BY number LIMIT 1"
            found = self._connection.execute(query, (self._begin,)).fetchone()
        oldest = None if found is None or not isinstance(found[0], int) else found[0]
        return FileState(self._events, self._quarantined, size, oldest, removed, refused)

    def close(self) -> None:
        """Close the file; its write-ahead log is merged into it."""
        self._connection.close()

    def _prepare(self) -> None:
        connection = self._connection
        connection.text_factory = bytes  # a damaged text need not be UTF-8, and must not cost its neighbours
        for pragma in (
            f"page_size = {PAGE_BYTES}",
            f"locking_mode = {'EXCLUSIVE' if self._exclusive else 'NORMAL'}",
            "journal_mode = WAL",
            "synchronous = FULL",
            # What was removed must not come back when pages are recovered.
            "secure_delete = ON",
            f"cache_size = {-_CACHE_KIB}",
            f"journal_size_limit = {_LOG_BYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        found = self._one("PRAGMA user_version")
        if found > FORMAT:
            name = self.path.name
            raise Unavailable(f"The spool file {name} was made by a later Cube; drain it with that one.")
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
        self._quarantined = self._one("SELECT count(*) FROM aside")
        self._next = self._one("SELECT ifnull(max(number), 0) + 1 FROM records")

    def _one(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    def _waiting_rows(self) -> Iterator[Row]:
        query = "SELECT * FROM records WHERE number > ? ORDER BY number"
        with closing(self._connection.execute(query, (self._begin,))) as cursor:
            first = True
            for found in cursor:
                if found[0] not in self._hidden:
                    first = False
                    yield Row(*found)
                elif first:
                    self._begin = found[0]

    def _write_out(self, numbers: Mapping[int, str | None]) -> int:
        aside = [(reason, number) for number, reason in numbers.items() if reason is not None]
        with self._writing():
            kept = self._connection.executemany(
                "INSERT INTO aside (at, key, event, checksum, reason)"
                " SELECT at, key, event, checksum, ? FROM records WHERE number = ?",
                aside,
            ).rowcount
            marked = ((number,) for number in numbers)
            gone = self._connection.executemany("DELETE FROM records WHERE number = ?", marked).rowcount
        self._quarantined += max(0, kept)
        return gone

    def _present(self, column: str, values: Sequence[int]) -> list[int]:
        found: list[int] = []
        with answering(self.path):
            for place in range(0, len(values), _TOGETHER):
                some = values[place : place + _TOGETHER]
                marks = ",".join("?" * len(some))
                query = f"SELECT {column} FROM records WHERE {column} IN ({marks})"  # noqa: S608 - no values
                found += [value for (value,) in self._connection.execute(query, some)]
        return found

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
