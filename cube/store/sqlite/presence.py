"""Whether the files that were opened are still those at their paths."""

from __future__ import annotations

import logging
from pathlib import Path

from cube.errors import Unavailable
from cube.files import Presence

_log = logging.getLogger(__name__)


def presence_of(path: Path) -> Presence:
    """Watch an events file, which is open, and its log.

    Deleted or replaced, they would be written and read on without a failure. They are never opened again:
    another file at the path may be a bare mount point's, or half of a backup that is just put in place.
    """

    def changed(is_back: bool) -> None:
        if is_back:
            _log.info("the database %s is back in its place", path)
        else:
            _log.error("the database %s was deleted or replaced while it is open", path)

    return Presence(path, Path(f"{path}-wal"), changed=changed, refusal=_gone)


def _gone() -> Unavailable:
    return Unavailable(
        "The database's files were deleted or replaced while the daemon runs: put them back, or restart all"
        " daemons of the store."
    )
