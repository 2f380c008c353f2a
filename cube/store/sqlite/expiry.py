"""Deleting what has expired, a slice at a time; what a slice frees the file uses again."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable

from cube.model.tier import CACHED_TIERS, Tier
from cube.store.ports import CachedBucket
from cube.store.sqlite.cache import pack, unpack
from cube.store.sqlite.catalog import TypeEntry

SLICE_ROWS = 2_000
SLICE_CHUNKS = 100

_SHORTEST_PAUSE_SECONDS = 0.005


async def in_slices(delete_some: Callable[[], Awaitable[int]], size: int) -> int:
    """Run `delete_some` until it finds less than `size`; return how much it found in all.

    After each it pauses for as long as that took: SQLite's lock is not fair, and a process that takes it
    again at once could keep the others from it.
    """
    total = 0
    while True:
        began = time.monotonic()
        deleted = await delete_some()
        total += deleted
        if deleted < size:
            return total
        await asyncio.sleep(max(_SHORTEST_PAUSE_SECONDS, time.monotonic() - began))


def delete_events(connection: sqlite3.Connection, entry: TypeEntry, before: int) -> int:
    """Delete the oldest `SLICE_ROWS` events before a time; in a write transaction."""
    query = (
        f"DELETE FROM {entry.events} WHERE (time, id) IN (SELECT time, id FROM {entry.events}"  # noqa: S608 - our table
        f" WHERE time < ? ORDER BY time, id LIMIT {SLICE_ROWS})"
    )
    return connection.execute(query, (before,)).rowcount


def delete_revisions(connection: sqlite3.Connection, entry: TypeEntry, tier: Tier, before: int) -> int:
    """Delete the revisions of `SLICE_ROWS` buckets of a tier that end before a time."""
    query = (
        f"DELETE FROM {entry.revisions} WHERE (step, bucket) IN (SELECT step, bucket FROM {entry.revisions}"  # noqa: S608 - our table
        f" WHERE step = ? AND bucket <= ? LIMIT {SLICE_ROWS})"
    )
    return connection.execute(query, (tier.step, before - tier.step)).rowcount


def delete_chunks(connection: sqlite3.Connection, before: int) -> int:
    """Delete up to `SLICE_CHUNKS` chunks of cached buckets that end before a time; in a write transaction."""
    deleted = 0
    for tier in CACHED_TIERS:
        deleted += connection.execute(
            "DELETE FROM chunks WHERE rowid IN"
            " (SELECT rowid FROM chunks WHERE step = ? AND chunk < ? LIMIT ?)",
            (tier.step, tier.chunk(before), SLICE_CHUNKS - deleted),
        ).rowcount
    return deleted


class Trimming:
    """Takes the old buckets out of the chunks of a tier that a time falls into."""

    def __init__(self, tier: Tier, before: int, chunk_key: Callable[[bytes, Tier, int], bytes]) -> None:
        self._tier = tier
        self._chunk = tier.chunk(before)
        self._kept = (before - tier.chunk_start(self._chunk)) // tier.step
        self._chunk_key = chunk_key
        self._after = b""

    def slice(self, connection: sqlite3.Connection) -> int:
        """Look at the next `SLICE_CHUNKS` chunks; return at how many. In a write transaction."""
        rows = connection.execute(
            "SELECT key, cells FROM chunks WHERE step = ? AND chunk = ? AND key > ? ORDER BY key LIMIT ?",
            (self._tier.step, self._chunk, self._after, SLICE_CHUNKS),
        ).fetchall()
        for key, blob in rows:
            self._trim(connection, key, blob)
            self._after = key
        return len(rows)

    def _trim(self, connection: sqlite3.Connection, key: bytes, blob: bytes) -> None:
        name = self._chunk_key(key, self._tier, self._chunk)
        stored = unpack(name, blob) or {}
        kept: dict[int, CachedBucket] = {place: one for place, one in stored.items() if place >= self._kept}
        if len(kept) < len(stored):
            connection.execute(
                "UPDATE chunks SET cells = ? WHERE key = ? AND step = ? AND chunk = ?",
                (pack(name, kept), key, self._tier.step, self._chunk),
            )
