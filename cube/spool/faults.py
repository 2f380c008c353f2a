"""What SQLite's errors mean to a spool."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cube.errors import Overloaded, Unavailable

RETRY_AFTER_SECONDS = 5


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
