"""A spool file that this process owns, saved from damage as far as it can be."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from cube.spool.carving import Carving
from cube.spool.directory import Claimed, claim_new
from cube.spool.faults import DamagedFile
from cube.spool.file import SpoolFile

T = TypeVar("T")

_log = logging.getLogger(__name__)


class HeldFile:
    """An open file and the claim on it.

    Where the file turns out to be damaged, its sound records go over into a new one under their old
    numbers, and the old file is put away. ``on_damage`` is told how many records were lost so, at least
    one for each damaged file. For one thread at a time.
    """

    def __init__(self, claimed: Claimed, on_damage: Callable[[int], None], *, check: bool = False) -> None:
        self._claimed = claimed
        self._on_damage = on_damage
        try:
            self._file = SpoolFile(claimed.path, check=check)
            self.state = self._file.state()
        except DamagedFile as error:
            self._save(error)

    @property
    def path(self) -> str:
        """Where it is now."""
        return str(self._claimed.path)

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

    def finish(self) -> None:
        """Close the file; delete it if nothing is left, put it away if only records set aside are."""
        self._file.close()
        if not self.state.events:
            if self.state.aside:
                _log.warning("%d records are set aside in %s", self.state.aside, self._claimed.put_away())
            else:
                self._claimed.delete()
        self._claimed.release()

    def _save(self, error: DamagedFile) -> None:
        old = self._claimed
        fresh = claim_new(old.directory, old.name.database, old.name.store)
        file: SpoolFile | None = None
        try:
            file = SpoolFile(fresh.path)
            with Carving(old.path) as carving:
                file.restore(carving.rows())
            state = file.state()
        except BaseException:
            if file is not None:
                file.close()
            fresh.delete()
            fresh.release()
            raise
        away = old.put_away()
        old.release()
        self._claimed, self._file, self.state = fresh, file, state
        self._on_damage(max(1, carving.damaged))
        _log.error(
            "%s %d records were saved from it, at least %d were not; it is kept as %s",
            error, state.events, max(1, carving.damaged), away,
        )  # fmt: skip
