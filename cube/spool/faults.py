"""What a spool says where its disk fails: what SQLite's errors mean, and a directory that is gone."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cube.errors import Overloaded, Unavailable
from cube.files import FileWatch

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


def watch_directory(path: Path) -> FileWatch:
    """Watch a directory.

    Another one at its path may be a bare mount point: what went there would be out of sight once its disk
    is back.
    """

    def changed(is_back: bool) -> None:
        if is_back:
            _log.info("the spool directory %s is back", path)
        else:
            _log.error(
                "the spool directory %s was deleted or replaced; until it is back nothing is spooled", path
            )

    return FileWatch(path, changed=changed, refusal=gone)


def gone() -> Unavailable:
    """Return what is told where the directory, or the file just written to, is not in place."""
    return Unavailable(
        "The spool's directory was deleted or replaced while the collector runs: put it back, or restart the"
        " collector.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
