"""A directory of spool files: their names, who owns them, what dead owners left, and how others see them."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cube import files
from cube.errors import InvalidSettings, Unavailable

_log = logging.getLogger(__name__)

SUFFIX = ".spool.db"
DAMAGED = ".damaged"

_SECOND_LOOK_SECONDS = 0.05
_COMPANIONS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True, order=True)
class SpoolName:
    """``<database>.<store>.<age>.spool.db``.

    ``store``: what `store_mark` makes of the store's URL, so that no event goes to another store.
    ``age``: when it was made, and a random part: names of one database ascend.
    """

    database: str
    store: str
    age: str

    @classmethod
    def parse(cls, name: str) -> SpoolName | None:
        """Read a file's name; None if it is not one of a spool."""
        parts = name.removesuffix(SUFFIX).split(".")
        return cls(*parts) if name.endswith(SUFFIX) and len(parts) == 3 else None

    @classmethod
    def new(cls, database: str, store: str) -> SpoolName:
        """Make a name that no other process makes."""
        return cls(database, store, f"{time.time_ns() // 1_000_000:012x}-{secrets.token_hex(4)}")

    def __str__(self) -> str:
        return f"{self.database}.{self.store}.{self.age}{SUFFIX}"


class Claimed:
    """A spool file that belongs to this process until `release`, or until it dies.

    The claim is a lock on a file beside it: the kernel takes it away with the process, however that ends.
    """

    def __init__(self, directory: Path, name: SpoolName, descriptor: int) -> None:
        self.directory = directory
        self.name = name
        self.path = directory / str(name)
        self._descriptor = descriptor

    @classmethod
    def claim(cls, directory: Path, name: SpoolName) -> Claimed | None:
        """Claim a name in a directory; None where a living process has it."""
        path = directory / str(name)
        try:
            descriptor = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Unavailable(f"The spool file {path.name} cannot be locked ({error.strerror}).") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return cls(directory, name, descriptor)

    def delete(self) -> None:
        """Delete the file, which must be closed."""
        for companion in _COMPANIONS:
            Path(f"{self.path}{companion}").unlink(missing_ok=True)

    def quarantine(self) -> Path:
        """Rename the file, which must be closed, so that no collector opens it again; return its new path."""
        away = Path(f"{self.path}{DAMAGED}")
        for companion in _COMPANIONS:
            old = Path(f"{self.path}{companion}")
            if old.exists():
                old.replace(f"{away}{companion}")
        return away

    def release(self) -> None:
        """Give the claim up; whoever claims the path next owns the file."""
        if not self.path.exists():
            _lock_of(self.path).unlink(missing_ok=True)
        os.close(self._descriptor)


def store_mark(url: str) -> str:
    """Return a short text that tells stores apart by their hosts; it shows nothing of the URL."""
    scheme, _, rest = url.partition("://")
    hosts = rest.rpartition("@")[2].partition("?")[0].partition("/")[0]
    named = ",".join(sorted(hosts.lower().split(",")))
    return hashlib.sha256(f"{scheme}://{named}".encode()).hexdigest()[:8]


def prepare(directory: Path) -> None:
    """Make the directory durably; raises `InvalidSettings` where it cannot be used."""
    try:
        missing = not directory.exists()
        files.make_directory(directory)
        if missing:
            _sync(directory.parent)
        if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise InvalidSettings(
            f"The spool directory {directory} cannot be used ({error.strerror}): choose another, or let this"
            " user write there."
        ) from None


def listed(directory: Path) -> Iterator[tuple[SpoolName, Path]]:
    """Yield the spool files of a directory, oldest first of each database, but for those in quarantine."""
    found = ((SpoolName.parse(path.name), path) for path in directory.glob(f"*{SUFFIX}"))
    yield from sorted((name, path) for name, path in found if name is not None)


def claim_new(directory: Path, database: str, store: str) -> Claimed:
    """Claim a name that is new."""
    claimed = Claimed.claim(directory, SpoolName.new(database, store))
    if claimed is None:
        raise Unavailable("A new spool file is claimed already; try again.")
    return claimed


def claim_all(directory: Path, database: str, store: str, *, patient: bool) -> Iterator[Claimed]:
    """Claim what dead processes left for a database, oldest first.

    ``patient``: look twice at each, for somebody may just be looking at it.
    """
    for name, path in listed(directory):
        if (name.database, name.store) != (database, store):
            continue
        try:
            claimed = Claimed.claim(directory, name)
            if claimed is None and patient:
                time.sleep(_SECOND_LOOK_SECONDS)
                claimed = Claimed.claim(directory, name)
        except Unavailable as error:
            _log.error("it is left where it is: %s", error.message)
            continue
        if claimed is None:
            continue
        if path.exists():
            yield claimed
        else:  # its owner has just finished with it
            claimed.release()


@dataclass(frozen=True, slots=True)
class Inspected:
    """A spool file as it is seen from outside.

    ``owned``: a living process has it. ``events``, ``quarantined``, ``oldest``: what is in it, and when its
    first event arrived (milliseconds since 1970); None where that cannot be read, or nothing waits.
    ``bytes``: its length on the disk.
    """

    path: Path
    name: SpoolName
    owned: bool
    bytes: int
    events: int | None = None
    quarantined: int | None = None
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


def quarantined(directory: Path) -> list[Path]:
    """Return the files that are damaged, or hold only quarantined records: no collector opens them."""
    return sorted(directory.glob(f"*{SUFFIX}{DAMAGED}"))


def _content(path: Path) -> tuple[int | None, int | None, int | None]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (events,), (quarantined,), (oldest,) = (
                connection.execute(query).fetchone()
                for query in (
                    "SELECT count(*) FROM records",
                    "SELECT count(*) FROM aside",
                    "SELECT min(at) FROM records WHERE number = (SELECT min(number) FROM records)",
                )
            )
    except sqlite3.Error:
        return None, None, None
    return events, quarantined, oldest


def _lock_of(path: Path) -> Path:
    return Path(f"{path}.lock")


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
