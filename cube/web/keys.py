"""The API keys that count now, and following the keys collection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

from cube.errors import CubeError
from cube.model.environment import Key, digest

KEYS_SECONDS = 2.0
"""How often the keys collection is read: a new key counts, and a revoked one does not, within 5 s."""

_PREFIX_BYTES = 4
_log = logging.getLogger(__name__)


class KeyRing:
    """The keys that count now: those of the settings, and those of the keys collection.

    A secret's digest is looked up by its first bytes; whole digests are compared in constant time.
    ``required``: whether there are, or have been, any: then a request needs one. Revoking the last one
    must not open the doors.
    """

    def __init__(self, configured: Iterable[Key] = ()) -> None:
        self._configured = tuple(configured)
        self._by_prefix: dict[bytes, list[Key]] = {}
        self.required = False
        self.replace(())

    def replace(self, stored: Iterable[Key]) -> None:
        """Take in what the keys collection holds now."""
        by_prefix: dict[bytes, list[Key]] = {}
        keys = (*self._configured, *stored)
        for key in keys:
            by_prefix.setdefault(key.digest[:_PREFIX_BYTES], []).append(key)
        self._by_prefix = by_prefix
        self.required = self.required or bool(keys)

    def find(self, secret: str) -> Key | None:
        hashed = digest(secret)
        candidates = self._by_prefix.get(hashed[:_PREFIX_BYTES], ())
        return next((key for key in candidates if key.fits(hashed)), None)

    def holds(self, key: Key) -> bool:
        """Tell whether a key still counts, as it was."""
        return any(key == held for held in self._by_prefix.get(key.digest[:_PREFIX_BYTES], ()))


class KeyReader(Protocol):
    """What is asked of a `KeyStore`."""

    async def all(self) -> list[Key]:
        """Return all keys."""

    async def were_added(self) -> bool:
        """Tell whether there has ever been one."""


async def load_keys(keys: KeyReader, ring: KeyRing) -> None:
    """Take in the keys that count now; where there were some, a lack of them opens nothing."""
    were_added = ring.required or await keys.were_added()  # first: else the first key could come in between
    ring.replace(await keys.all())
    if were_added and not ring.required:
        ring.required = True
        _log.warning(
            "there were keys and now there are none: requests need one until `cube keys add` adds it"
        )


@asynccontextmanager
async def following_keys(
    keys: KeyReader, ring: KeyRing, changed: Callable[[], None], seconds: float = KEYS_SECONDS
) -> AsyncIterator[None]:
    """Keep a ring as the keys collection is, and tell of each look; unread, what was known counts."""
    task = asyncio.create_task(_follow(keys, ring, changed, seconds))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _follow(keys: KeyReader, ring: KeyRing, changed: Callable[[], None], seconds: float) -> None:
    told = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            await load_keys(keys, ring)
        except CubeError as error:
            if error.message != told:  # it is read every two seconds
                told = error.message
                _log.warning("the keys cannot be read now; those known before count: %s", told)
        except Exception:
            _log.exception("reading the keys met a fault; those known before count")
        else:
            told = ""
            changed()
