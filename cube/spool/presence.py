"""Whether a spool's directory is still the one that it began in."""

from __future__ import annotations

import logging
from pathlib import Path

from cube.errors import Unavailable
from cube.files import FileWatch
from cube.spool.faults import RETRY_AFTER_SECONDS

_log = logging.getLogger(__name__)


def presence_of(path: Path) -> FileWatch:
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
