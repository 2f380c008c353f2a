"""Files that others may delete or replace while a process has them open."""

from __future__ import annotations

import os
from pathlib import Path


class Placement:
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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - on the path of every commit
    except OSError:
        return None
    return status.st_dev, status.st_ino
