"""Files and directories of ours: their owner alone may read them, and others may delete or replace them."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cube.errors import Unavailable

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_log = logging.getLogger(__name__)


def make_directory(path: Path) -> None:
    """Make a directory, and those above it that are missing, for the owner alone; raises `OSError`.

    One that is there stays as it is, for it may be anybody's; a line in the log says so where others
    can put files into it.
    """
    if path.is_dir():
        if _is_ours(path) and path.stat().st_mode & _OTHERS_WRITE and not path.stat().st_mode & stat.S_ISVTX:
            _log.warning("others can put files into the directory %s; `chmod go-w` ends that", path)
        return
    if not path.parent.is_dir():
        make_directory(path.parent)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)


def make_file(path: Path) -> None:
    """Make a file for the owner alone, or take the rights of others to one that is there and ours.

    Files that SQLite keeps beside it get its rights. Where it cannot be made nothing happens: who opens
    it will learn why.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    except FileExistsError:
        for companion in ("", "-wal", "-shm"):
            _close_to_others(Path(f"{path}{companion}"))
    except OSError:
        return


def write(path: Path, content: bytes) -> None:
    """Write a file for the owner alone, as a whole or, where that raises `OSError`, not at all.

    What is not a file (``/dev/null``, a named pipe) stays what it is, and takes the content.
    """
    if _is_special(path):
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK), "wb") as special:  # noqa: PTH123 - a descriptor
            special.write(content)
        return
    aside = Path(f"{path}.{os.getpid()}.tmp")
    aside.unlink(missing_ok=True)
    try:
        with open(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE), "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(content)
        aside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove a file, if there is one; what is not a file stays. Raises `OSError`."""
    if not _is_special(path):
        path.unlink(missing_ok=True)


class FileIdentity:
    """The files that stand at some paths when it is made; tells whether they still do.

    Who has a file open goes on reading and writing it after it was deleted, or another one was put in its
    place: nothing fails, and all that is written is lost. Only the inode at the path tells.
    """

    def __init__(self, *paths: Path) -> None:
        found = ((path, _identity(path)) for path in paths)
        self._found = [(path, identity) for path, identity in found if identity is not None]

    def holds(self) -> bool:
        """Tell whether each of them is the file at its path; some microseconds."""
        return all(_identity(path) == identity for path, identity in self._found)


class FileWatch:
    """Watches files, or a directory, and says where they go and come back; from any thread.

    ``changed`` is told of each change, once: True is back. ``refusal``: what is raised meanwhile.
    """

    def __init__(
        self, *paths: Path, changed: Callable[[bool], None], refusal: Callable[[], Unavailable]
    ) -> None:
        self._placement = FileIdentity(*paths)
        self._changed = changed
        self._refusal = refusal
        self._held = True

    def holds(self) -> bool:
        """Tell whether all are in place."""
        holds = self._placement.holds()
        if holds != self._held:
            self._held = holds
            self._changed(holds)
        return holds

    def check(self) -> None:
        """Raise `Unavailable` where they are not in place."""
        if not self.holds():
            raise self._refusal()


def _is_special(path: Path) -> bool:
    """Tell whether a path is a device, a pipe or such, or the system's link to what is open somewhere.

    Root could replace these, and leave a machine without them.
    """
    if path.is_symlink() and path.parent.resolve().as_posix().startswith(("/dev", "/proc")):
        return True  # /dev/stdout, whatever it leads to
    return path.exists() and not path.is_file()


def _close_to_others(path: Path) -> None:
    with contextlib.suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS and path.is_file() and _is_ours(path):
            path.chmod(mode & ~_OTHERS)
            _log.warning("others had rights to the file %s (%o); they are taken away", path, mode)


def _is_ours(path: Path) -> bool:
    return path.stat().st_uid == os.geteuid()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - on the path of every commit
    except OSError:
        return None
    return status.st_dev, status.st_ino
