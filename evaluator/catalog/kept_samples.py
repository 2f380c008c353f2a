"""Samples that are kept for some seconds: who types an expression asks for the same ones with every key."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from cube.model.environment import Caller
from evaluator.catalog.fields import FieldTally, Path
from evaluator.catalog.sample import EventSample

KEPT_SECONDS: Final = 5.0
"""A sample is read anew after so long: what has come since is not in it."""

KEPT_SAMPLES, KEPT_BYTES = 100, 8 * 1024 * 1024
"""So many are kept, and of so many bytes of events; what was counted of them takes some times as much."""

Fields: TypeAlias = dict[Path, FieldTally]


@dataclass(frozen=True, slots=True)
class SampleScope:
    """Whose sample of what: an environment, a key's filter as its text, a type; a field, or None for all.

    Keys with one filter share samples: which types each may ask for is not told here. The filter is text, as
    parsed filters that differ may be equal (``1 == True``). ``deletions``: the stamp of the type's deletions,
    so that what is deleted is in no sample any more.
    """

    environment: str
    filter: str
    type: str
    path: Path | None
    deletions: int = 0

    @classmethod
    def of(cls, caller: Caller, type: str, path: Path | None, deletions: int = 0) -> SampleScope:
        """Return the scope of what a caller asks."""
        filter = "" if caller.key is None else caller.key.filter
        return cls(caller.environment.name, filter, type, path, deletions)


@dataclass(slots=True)
class _Kept:
    fields: Fields
    taken: EventSample
    until: float


@dataclass(slots=True)
class KeptSamples:
    """Keeps the fields of samples; the one that was asked for longest ago makes room. For one event loop."""

    clock: Callable[[], float] = time.monotonic
    _kept: OrderedDict[SampleScope, _Kept] = field(default_factory=OrderedDict)
    _bytes: int = 0
    _reading: WeakValueDictionary[SampleScope, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def get(
        self, scope: SampleScope, read: Callable[[], Awaitable[tuple[Fields, EventSample]]]
    ) -> tuple[Fields, EventSample]:
        """Return a scope's sample, read now unless it was within `KEPT_SECONDS`; many at once read one."""
        lock = self._reading.setdefault(scope, asyncio.Lock())
        async with lock:
            return await self._get(scope, read)

    async def _get(
        self, scope: SampleScope, read: Callable[[], Awaitable[tuple[Fields, EventSample]]]
    ) -> tuple[Fields, EventSample]:
        kept = self._kept.get(scope)
        if kept is not None and self.clock() < kept.until:
            self._kept.move_to_end(scope)
            return kept.fields, kept.taken
        fields, taken = await read()
        self._forget(scope)
        self._kept[scope] = _Kept(fields, taken, self.clock() + KEPT_SECONDS)
        self._bytes += taken.bytes
        while len(self._kept) > KEPT_SAMPLES or self._bytes > KEPT_BYTES:
            self._forget(next(iter(self._kept)))
        return fields, taken

    def _forget(self, scope: SampleScope) -> None:
        kept = self._kept.pop(scope, None)
        self._bytes -= 0 if kept is None else kept.taken.bytes
