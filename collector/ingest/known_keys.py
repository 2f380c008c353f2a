"""The keys as they were last read, kept beside the spool: a collector can start while its store is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collector.ingest.context import has_spool
from cube import files
from cube.errors import InvalidSettings, Unavailable
from cube.model.environment import Key
from cube.settings import CollectorSettings
from cube.spool import store_mark
from cube.store.record_ports import KeyStore

_log = logging.getLogger(__name__)

FIRST_READ_SECONDS = 2.0
"""How long a start waits for the store's keys where some are known."""


class KnownKeys:
    """A file of keys; it holds digests, as the store does, never a key, and its owner alone can read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._failing = False

    @classmethod
    def beside_spool(cls, settings: CollectorSettings) -> KnownKeys | None:
        """Return those of a collector with a spool; None for one without."""
        if not has_spool(settings):
            return None
        name = f"{settings.database}.{store_mark(settings.store)}.keys.json"
        return cls(Path(settings.spool.directory) / name)

    @property
    def exist(self) -> bool:
        """Whether any were read before, if only to find that there are none."""
        return self._path.exists()

    def read(self) -> list[Key]:
        """Return what was written last; raises `InvalidSettings` where that cannot be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Key])
        except (OSError, msgspec.MsgspecError) as error:
            raise InvalidSettings(f"The file of known keys {self._path} cannot be read: {error}.") from None

    def write(self, keys: Sequence[Key]) -> bool:
        """Keep these from now on; return whether that could be written. Where not, that is logged once."""
        try:
            files.make_directory(self._path.parent)
            files.write(self._path, msgspec.json.encode(keys))
        except OSError as error:
            if not self._failing:
                _log.error(
                    "the copy of the keys %s cannot be written (%s); a revoked one in it would count at a"
                    " start without the database", self._path, error.strerror,
                )  # fmt: skip
            self._failing = True
            return False
        self._failing = False
        return True


class RememberedKeys:
    """The keys of a store, or those that were known before, until it has answered for the first time."""

    def __init__(self, stored: KeyStore, known: KnownKeys) -> None:
        self._stored = stored
        self._known = known
        self._answered = False
        self._written: list[Key] | None = None

    async def all(self) -> list[Key]:
        """Return all keys; raises `Unavailable` where the store is away and nothing else is known."""
        if not self._answered and self._known.exist:
            try:
                async with asyncio.timeout(FIRST_READ_SECONDS):
                    keys = await self._stored.all()
            except (TimeoutError, Unavailable):
                return self._known.read()
        else:
            keys = await self._stored.all()
        self._answered = True
        if (keys != self._written or not self._known.exist) and self._known.write(keys):
            self._written = keys
        return keys

    async def were_added(self) -> bool:
        """Tell whether there has ever been a key; while the store is away: whether one is known."""
        try:
            async with asyncio.timeout(FIRST_READ_SECONDS):
                return await self._stored.were_added()
        except (TimeoutError, Unavailable):
            return self._known.exist and bool(self._known.read())
