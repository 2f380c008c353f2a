"""The bound of what column files take on disk: those that were used longest ago go first."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FULL = 0.9
"""With so much of what it may take the disk counts as full: only newer hours are made."""

_PAGE = 4_096
_ASIDE_SECONDS = 600  # what is written aside is there for less, unless its writer has died


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What files take: ``bytes`` on disk, and when the one was used longest ago that stays.

    ``oldest``: in milliseconds; None while there is room for any.
    """

    bytes: int = 0
    oldest: int | None = None


@dataclass(frozen=True, slots=True)
class FileBound:
    """Bounds what the column files below some folders take, all together.

    ``free_share``: while less of a disk is free no files are made: it belongs to the events.
    """

    folders: tuple[Path, ...]
    bytes: int
    free_share: float = 0.0

    def keep(self) -> DiskUse:
        """Remove what is too much, and what was left half written; return what is there then."""
        found = sorted(
            (stat.st_mtime, str(path), stat) for folder in self.folders for path, stat in _all(folder)
        )
        held = sum(size_on_disk(stat) for _, _, stat in found)
        is_full = held > FULL * self.bytes
        kept = []
        for used, path, stat in found:
            is_left_over = path.endswith(".part") and time.time() - stat.st_ctime > _ASIDE_SECONDS
            if held > self.bytes or is_left_over:
                with contextlib.suppress(OSError):
                    Path(path).unlink(missing_ok=True)
                held -= size_on_disk(stat)
            else:
                kept.append(used)
        now = time.time()
        if not all(_is_free(folder, self.free_share) for folder in self.folders):
            return DiskUse(held, int(1000 * now))
        return DiskUse(held, int(1000 * min(kept, default=now)) if is_full else None)


def size_on_disk(stat: os.stat_result) -> int:
    """Return about what a file takes: some file systems know that only once they have written it."""
    return -(-stat.st_size // _PAGE) * _PAGE


def _is_free(folder: Path, share: float) -> bool:
    """Tell whether so much of a folder's disk is free; of one that is not there yet, of where it will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(there)
    return usage.free >= share * usage.total


def _all(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if name.endswith((".arrow", ".part")):
                path = Path(parent, name)
                with contextlib.suppress(OSError):
                    yield path, path.stat()
