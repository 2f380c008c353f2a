"""Column files: segments that have gone quiet, on disk, for whoever asks after they have left the memory.

A file is a cache, and may be deleted at any time. Its name tells what it is of (type, span, and the revision
of its hour when it was made), so that files that are stale or have expired are found without opening them.
What it holds is believed only where its revisions of 10 seconds are those that a question has read.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from cube import files
from cube.columns import arrow
from cube.columns.values import Path as ColumnPath
from cube.model.tier import TIERS, Span
from cube.store.bucket_revisions import BucketRevisions
from evaluator.engine.file_bound import size_on_disk
from evaluator.engine.segments import Segment

WEEK = TIERS[7 * 24 * 3_600_000]

TOUCH_SECONDS = 3_600
"""A file that is used is marked so at most this often: the mark is its time of modification."""

LISTINGS = 64
"""So many weeks' lists of files are remembered, each for as long as its folder is as it was."""

WEEKS_BY_USE, MOST_BY_USE = 2, 2_000
"""Files are preloaded of so many weeks of each type at most, out of about so many in all."""

_NAME = re.compile(rf"([0-9]{{1,13}})-([0-9]{{1,13}})\.([0-9a-f]+)\.{arrow.FORMAT}\.arrow")
_WEEK_NAME = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")

_TICK_NS = 2 * 10**9  # of the coarsest file systems

_log = logging.getLogger(__name__)


class ColumnFile(NamedTuple):
    """What a file's name tells; ``revision``: of its hour, read before its events were."""

    path: Path
    span: Span
    revision: int


class ColumnFiles:
    """The files of one store, in a folder that several evaluators may share; all methods may be slow.

    ``identity``: of the store; files of another one are never believed. ``count`` is told of how many events
    each file is that was read. Safe for any number of threads.
    """

    def __init__(self, folder: Path, identity: str, count: Callable[[int], None] = lambda rows: None) -> None:
        self.folder = folder
        self._count = count
        self._identity = identity
        self._listings: OrderedDict[Path, tuple[int, list[ColumnFile]]] = OrderedDict()

    def holding(self, type: str, time: int, paths: Iterable[ColumnPath], opened: set[Path]) -> list[Segment]:
        """Return the segments that hold an instant, with the columns at some paths, of files that have all.

        Files among ``opened`` are left out; those that are opened are added.
        """
        found = []
        for file in self.of_week(type, WEEK.floor(time)):
            if time in file.span and file.path not in opened:
                opened.add(file.path)
                segment = self.load(type, file, paths)
                found += [] if segment is None else [segment]
        return found

    def of_week(self, type: str, week: int) -> Sequence[ColumnFile]:
        """Return the files of a week, ordered by name."""
        place, state = self._place(type, week), self.state(type, week)
        known = self._listings.get(place)
        if known is not None and known[0] == state:
            return known[1]
        listed = _listed(place)
        if time.time_ns() - state < _TICK_NS:  # what comes in the same tick of its clock would not be seen
            return listed
        self._listings[place] = (state, listed)
        while len(self._listings) > LISTINGS:
            with contextlib.suppress(KeyError):  # another thread was quicker
                self._listings.popitem(last=False)
        return listed

    def state(self, type: str, week: int) -> int:
        """Return a number that changes when files of a week come or go."""
        with contextlib.suppress(OSError):
            return self._place(type, week).stat().st_mtime_ns
        return 0

    def by_use(self) -> list[tuple[float, str, ColumnFile]]:
        """Return when files of the newest weeks were used (seconds since 1970), with their types.

        About `MOST_BY_USE` at most, and of files of one span the newest.
        """
        found: list[tuple[float, str, ColumnFile]] = []
        for folder in sorted(_children(self.folder)):
            type = folder.partition("-")[0]  # a type has no dash in its name: see `_place`
            for week in sorted(self._weeks(type), reverse=True)[:WEEKS_BY_USE]:
                newest = {file.span: file for file in sorted(self.of_week(type, week), key=_revision)}
                for file in newest.values():
                    with contextlib.suppress(OSError):
                        found.append((file.path.stat().st_mtime, type, file))
                if len(found) >= MOST_BY_USE:
                    return found
        return found

    def load(self, type: str, file: ColumnFile, paths: Iterable[ColumnPath] | None = None) -> Segment | None:
        """Return the segment of a file with the columns at some paths; None where it has not all of them.

        ``paths``: None takes all that it has.

        A file that is not what was written is removed, with a line in the log.
        """
        wanted = None if paths is None else frozenset(paths)
        try:
            content = arrow.read(file.path, self._name(type, file), wanted)
        except FileNotFoundError:
            return None
        except arrow.DamagedColumns as error:
            _log.warning("the column file %s is removed, and will be made anew: %s", file.path, error)
            self.remove(file)
            return None
        if wanted is not None and not wanted <= content.block.paths:
            return None
        with contextlib.suppress(OSError):
            if time.time() - file.path.stat().st_mtime > TOUCH_SECONDS:
                os.utime(file.path)
        self._count(len(content.block))
        revisions = BucketRevisions.of(content.revisions)
        return Segment.of(Span(content.start, content.stop), revisions, content.block)

    def save(self, type: str, revision: int, segment: Segment) -> int:
        """Write a segment beside the others, whole or not at all; return its bytes. Raises `OSError`."""
        span = segment.span
        place = self._place(type, WEEK.floor(span.start))
        files.make_directory(place)
        name = f"{span.start}-{span.stop}.{revision:x}.{arrow.FORMAT}.arrow"
        file = ColumnFile(place / name, span, revision)
        aside = place / f"{name}.{secrets.token_hex(8)}.part"
        content = arrow.Content(self._name(type, file), span.start, span.stop, segment.numbers, segment.block)
        try:
            files.make_file(aside)
            arrow.write(aside, content)
            # Unless somebody asks for it, it counts as used when its events were: the newest stay.
            used = min(span.stop / 1000, time.time())
            os.utime(aside, (used, used))
            size = size_on_disk(aside.stat())
            aside.replace(file.path)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
        return size

    def remove(self, file: ColumnFile) -> None:
        """Remove a file; whoever is reading it goes on."""
        with contextlib.suppress(OSError):
            file.path.unlink(missing_ok=True)

    def trim(self, type: str, expired_before: int) -> None:
        """Remove the files that hold what has expired."""
        for week in self._weeks(type):
            if week < expired_before:
                for file in self.of_week(type, week):
                    if file.span.start < expired_before:
                        self.remove(file)
                with contextlib.suppress(OSError):
                    self._place(type, week).rmdir()  # unless something is left in it

    def _weeks(self, type: str) -> list[int]:
        names = _children(self._place(type, 0).parent)
        return [_week_of(name) for name in names if _WEEK_NAME.fullmatch(name)]

    def _place(self, type: str, week: int) -> Path:
        # Where names of files ignore case, types do not.
        folder = type if type == type.lower() else f"{type}-{zlib.crc32(type.encode()):08x}"
        return self.folder / folder / f"{datetime.fromtimestamp(week / 1000, UTC):%Y-%m-%d}"

    def _name(self, type: str, file: ColumnFile) -> tuple[str, ...]:
        return (self._identity, type, file.path.name)


def _children(place: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [each.name for each in place.iterdir()]
    return []


def _revision(file: ColumnFile) -> int:
    return file.revision


def _listed(place: Path) -> list[ColumnFile]:
    matches = ((name, _NAME.fullmatch(name)) for name in sorted(_children(place)))
    return [
        ColumnFile(place / name, Span(int(found[1]), int(found[2])), int(found[3], 16))
        for name, found in matches
        if found is not None
    ]


def _week_of(name: str) -> int:
    return int(datetime.fromisoformat(name).replace(tzinfo=UTC).timestamp() * 1000)
