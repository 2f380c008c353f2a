"""How far a file is imported, kept in a file beside it until all of it is.

What it says holds for one file as it was (size and time of change), one collector and one set of options;
anything else begins anew, which stores nothing twice either, and only takes longer.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from cube import files
from cube.importing.opening import STATE, local_name

VERSION = 1


class ImportState(msgspec.Struct, omit_defaults=False):
    """What is kept. ``records``: so many from the first are settled, ``stored`` and ``rejected`` of them.

    ``options``: what the records' events depend on, the collector among it. ``keys``: of
    `cube.importing.identity.RecordIds`. ``place``: in a database, from where it goes on. ``done``:
    all records are settled.
    """

    version: int
    size: int
    changed_ns: int
    options: str
    records: int = 0
    stored: int = 0
    rejected: int = 0
    keys: list[str] = []
    place: str = ""
    done: bool = False


@dataclass(slots=True)
class ImportCheckpoint:
    """The state of one file's import, and where it is kept; ``path``: None for what cannot be resumed."""

    path: Path | None
    state: ImportState
    resumed: bool = False

    @classmethod
    def of(cls, name: str, options: str) -> ImportCheckpoint:
        """Return the state of a file: where an earlier import of it was interrupted, or the beginning."""
        path, state = Path(f"{local_name(name)}{STATE}"), ImportState(VERSION, 0, 0, options)
        status = _status(name)
        if status is not None:
            state.size, state.changed_ns = status.st_size, status.st_mtime_ns
        elif "://" not in name:
            return cls(None, state)
        kept = _read(path)
        if kept is None or kept.version != VERSION:
            return cls(path, state)
        state.keys = kept.keys
        same = (kept.size, kept.changed_ns, kept.options) == (state.size, state.changed_ns, options)
        if same and kept.records and not kept.done:
            return cls(path, kept, resumed=True)
        return cls(path, state)

    def save(self) -> None:
        """Write it down; where that is not possible, an interrupted import begins anew."""
        if self.path is not None:
            with suppress(OSError):
                files.write(self.path, msgspec.json.encode(self.state))

    def finish(self) -> None:
        """Take note that all is settled; what is kept of rejected records lets these be mended in place."""
        self.state.done = True
        if self.path is None:
            return
        if self.state.rejected:
            self.save()
            return
        with suppress(OSError):
            files.remove(self.path)


def _status(name: str) -> os.stat_result | None:
    """Return what tells a file as it is from what it was; None for what is no file, or is gone."""
    with suppress(OSError):
        status = Path(name).stat()
        return status if stat.S_ISREG(status.st_mode) else None
    return None


def _read(path: Path) -> ImportState | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=ImportState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
