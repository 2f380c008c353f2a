"""Files and directories of ours, which their owner alone may read: events, keys, addresses."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from pathlib import Path

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
