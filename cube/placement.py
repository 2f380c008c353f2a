"""Files that others may delete or replace while a process has them open."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cube.errors import Unavailable


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


class Presence:
    """Watches files, or a directory, and says where they go and come back; from any thread.

    ``changed`` is told of each change, once: True is back. ``refusal``: what is raised meanwhile.
    """

    def __init__(
        self, *paths: Path, changed: Callable[[bool], None], refusal: Callable[[], Unavailable]
    ) -> None:
        self._placement = Placement(*paths)
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


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - on the path of every commit
    except OSError:
        return None
    return status.st_dev, status.st_ino
