"""A spool file that this process owns, saved from damage and deletion as far as it can be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from cube.errors import CubeError
from cube.spool.directory import Claimed, claim_new
from cube.spool.file import DamagedFile, SpoolFile
from cube.spool.page_recovery import PageRecovery
from cube.spool.record import Row

T = TypeVar("T")

_log = logging.getLogger(__name__)


class HeldFile:
    """An open file and the claim on it.

    Where the file turns out to be damaged, its sound records go over into a new one under their old
    numbers, and the old file is quarantined. ``on_damage`` is told how many records were lost so, at least
    one for each damaged file. ``found``: it is one that a dead process left, and is looked through; where
    a full disk has no room to open it, it is opened as one that nobody else can look at. For one thread
    at a time.
    """

    def __init__(self, claimed: Claimed, on_damage: Callable[[int], None], *, found: bool = False) -> None:
        self._claimed = claimed
        self._on_damage = on_damage
        try:
            self._file = _found(claimed) if found else SpoolFile(claimed.path)
            self.state = self._file.state()
        except DamagedFile as error:
            self._save(error)

    @property
    def path(self) -> str:
        return str(self._claimed.path)

    @property
    def is_in_place(self) -> bool:
        """Whether it was neither deleted nor replaced while it is open."""
        return self._file.is_in_place

    def run(self, work: Callable[[SpoolFile], T]) -> T:
        """Do some work on the file; where that finds damage, do it again on what could be saved."""
        try:
            result = work(self._file)
        except DamagedFile as error:
            self._file.close()
            self._save(error)
            result = work(self._file)
        self.state = self._file.state()
        return result

    def finish(self) -> bool:
        """Close the file; delete it if nothing is left, quarantine it if only quarantined records are.

        Returns False, and leaves it open, where the disk has no room yet to quarantine records that are
        to be kept.
        """
        if not self.state.events and (self.state.refused or self.state.quarantined):
            self.run(lambda file: file.settle())
            if self.state.refused:
                return False
        self.close()
        return True

    def close(self) -> None:
        """Do what `finish` does, whatever room there is: the next process does the rest again."""
        if self.state.removed or self.state.refused:
            self.run(lambda file: file.settle())
        state = self.state
        self._file.close()
        if not state.events and not state.refused:
            if state.quarantined:
                _log.warning(
                    "%d records are quarantined in %s", state.quarantined, self._claimed.quarantine()
                )
            else:
                self._claimed.delete()
        self._claimed.release()

    def move(self) -> None:
        """Write the records of a file that was deleted, or replaced, to a new one; the open one has them."""
        old, lost = self._file, self._claimed
        self._claimed, self._file = _copied(lost, old.rows())
        self.state = self._file.state()
        _log.error(
            "the spool file %s was deleted or replaced while it was open; %d events that waited in it are"
            " in %s now", lost.path, self.state.events, self.path,
        )  # fmt: skip
        old.close()
        lost.release()

    def _save(self, error: DamagedFile) -> None:
        old = self._claimed
        with PageRecovery(old.path) as recovery:
            self._claimed, self._file = _copied(old, recovery.rows())
        self.state = self._file.state()
        away = old.quarantine()
        old.release()
        self._on_damage(max(1, recovery.damaged))
        _log.error(
            "%s %d records were saved from it, at least %d were not; it is kept as %s",
            error, self.state.events, max(1, recovery.damaged), away,
        )  # fmt: skip


def _found(claimed: Claimed) -> SpoolFile:
    try:
        return SpoolFile(claimed.path, check=True)
    except CubeError:
        return SpoolFile(claimed.path, check=True, exclusive=True)


def _copied(old: Claimed, rows: Iterable[Row]) -> tuple[Claimed, SpoolFile]:
    """Write rows to a new file of the same database and store; where that fails nothing is left of it."""
    fresh = claim_new(old.directory, old.name.database, old.name.store)
    file: SpoolFile | None = None
    try:
        file = SpoolFile(fresh.path)
        file.restore(rows)
        return fresh, file
    except BaseException:
        if file is not None:
            file.close()
        fresh.delete()
        fresh.release()
        raise
