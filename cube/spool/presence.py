"""Whether a spool's directory is still the one that it began in."""

from __future__ import annotations

import logging
from pathlib import Path

from cube.errors import Unavailable
from cube.placement import Placement
from cube.spool.faults import RETRY_AFTER_SECONDS

_log = logging.getLogger(__name__)


class Presence:
    """Watches a directory.

    Another one at its path may be a bare mount point: what went there would be out of sight once its disk
    is back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._placement = Placement(path)
        self._held = True

    def holds(self) -> bool:
        """Tell whether it is in place, and log where that has changed."""
        holds = self._placement.holds()
        if holds != self._held:
            self._held = holds
            if holds:
                _log.info("the spool directory %s is back", self._path)
            else:
                _log.error(
                    "the spool directory %s was deleted or replaced; until it is back nothing is spooled",
                    self._path,
                )
        return holds

    def check(self) -> None:
        """Raise `Unavailable` where it is not in place."""
        if not self.holds():
            raise gone()


def gone() -> Unavailable:
    """Return what is told where the directory, or the file just written to, is not in place."""
    return Unavailable(
        "The spool's directory was deleted or replaced while the collector runs: put it back, or restart the"
        " collector.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )
