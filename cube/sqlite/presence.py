"""Whether the files that were opened are still those at their paths."""

from __future__ import annotations

import logging
from pathlib import Path

from cube.errors import Unavailable
from cube.placement import Placement

_log = logging.getLogger(__name__)


class Presence:
    """Watches an events file, which is open, and its log.

    Deleted or replaced, they would be written and read on without a failure. They are never opened anew:
    another file at the path may be a bare mount point's, or half of a backup that is just put in place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._placement = Placement(path, Path(f"{path}-wal"))
        self._held = True

    def holds(self) -> bool:
        """Tell whether they are in place, and log where that has changed; from any thread."""
        holds = self._placement.holds()
        if holds != self._held:
            self._held = holds
            if holds:
                _log.info("the database %s is back in its place", self._path)
            else:
                _log.error("the database %s was deleted or replaced while it is open", self._path)
        return holds

    def check(self) -> None:
        """Raise `Unavailable` where they are not in place."""
        if not self.holds():
            raise Unavailable(
                "The database's files were deleted or replaced while the daemon runs: put them back, or"
                " restart all daemons of the store."
            )
