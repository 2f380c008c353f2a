"""The cache of metrics, in ``<database>.metrics.db``."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TypeVar

from cube.errors import Unavailable
from cube.files import FileWatch
from cube.model.tier import CACHED_TIERS, Span, Tier
from cube.store.metric_ports import CachedBucket, CacheKey, MetricSave
from cube.store.read_options import TimeSlice
from cube.store.sqlite.cache import MetricsFile, pack, unpack
from cube.store.sqlite.database import immediate
from cube.store.sqlite.short_transactions import in_slices

T = TypeVar("T")

CHUNK_BYTES = 1_000_000
SLICE_CHUNKS = 100  # what is deleted, or looked at, in one transaction
THREADS = 2

_HASH_BYTES = 16


class SqliteMetrics:
    """A `MetricStore` that several processes share; whatever fails in it is a miss, never an error."""

    def __init__(self, path: Path, identity: bytes, watch: FileWatch) -> None:
        self._path = path
        self._identity = identity
        self._watch = watch
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="cube-metrics")
        # One thread saves: two would wait for each other's lock, and SQLite's waiting is not fair.
        self._saver = ThreadPoolExecutor(1, thread_name_prefix="cube-metrics-saver")
        self._local = threading.local()
        self._files: list[MetricsFile] = []
        self._lock = threading.Lock()
        self._closed = False

    async def read(self, key: CacheKey, tier: Tier, span: Span) -> Mapping[int, CachedBucket]:
        return (
            await self._run(self._threads, lambda connection: _read(connection, _hash(key), tier, span)) or {}
        )

    async def save(
        self,
        key: CacheKey,
        tier: Tier,
        buckets: Mapping[int, CachedBucket],
        time_slice: TimeSlice = nullcontext,
    ) -> None:
        """Merge buckets into what is there; a chunk that would be over `CHUNK_BYTES` is left as it was."""
        await self.save_all((MetricSave(key, tier, buckets),), time_slice)

    async def save_all(self, saves: Sequence[MetricSave], time_slice: TimeSlice = nullcontext) -> None:
        """Do several saves in one transaction."""
        if any(save.buckets for save in saves):
            async with time_slice():
                await self._run(self._saver, lambda connection: _save(connection, saves))

    async def delete(self, before: int) -> int:
        """Delete all buckets that end before `before`, in transactions of few chunks."""

        async def run(delete: Callable[[sqlite3.Connection], int]) -> int:
            return await self._run(self._saver, partial(_write, delete=delete)) or 0

        deleted = await in_slices(lambda: run(partial(_delete_chunks, before=before)), SLICE_CHUNKS)
        for tier in CACHED_TIERS:
            await in_slices(partial(run, _Trimming(tier, before).slice), SLICE_CHUNKS)
        return deleted

    def close(self) -> None:
        """Finish what was begun and close the file; blocks."""
        self._closed = True
        self._threads.shutdown()
        self._saver.shutdown()
        for file in self._files:
            file.close()

    async def _run(self, threads: Executor, work: Callable[[sqlite3.Connection], T]) -> T | None:
        if self._closed:
            raise Unavailable(f"The cache {self._path.name} is closed; open the store again.")
        return await asyncio.wrap_future(threads.submit(self._work, work))

    def _work(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        if not self._watch.holds():
            return None  # the file at the path now may be the cache of other events
        file: MetricsFile | None = getattr(self._local, "file", None)
        if file is None:
            file = self._local.file = MetricsFile(self._path, self._identity, self._lock)
            self._files.append(file)
        return file.run(work)


def _hash(key: CacheKey) -> bytes:
    text = "\0".join((key.type, key.kind, str(key.semantics), key.text))
    return hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES).digest()


def _read(connection: sqlite3.Connection, key: bytes, tier: Tier, span: Span) -> dict[int, CachedBucket]:
    rows = connection.execute(
        "SELECT chunk, cells FROM chunks WHERE key = ? AND step = ? AND chunk BETWEEN ? AND ?",
        (key, tier.step, tier.chunk(span.start), tier.chunk(span.stop - 1)),
    ).fetchall()
    found: dict[int, CachedBucket] = {}
    for chunk, blob in rows:
        buckets = unpack(_chunk_key(key, tier, chunk), blob)
        if buckets is None:
            _drop(connection, key, tier, chunk, blob)
            continue
        start, step = tier.chunk_start(chunk), tier.step
        found.update({start + offset * step: cached for offset, cached in buckets.items()})
    return {bucket: cached for bucket, cached in found.items() if span.start <= bucket < span.stop}


def _save(connection: sqlite3.Connection, saves: Sequence[MetricSave]) -> None:
    chunks = [(_hash(save.key), save.tier, *chunk) for save in saves for chunk in _by_chunk(save).items()]
    with immediate(connection):
        for key, tier, chunk, fresh in chunks:
            _merge(connection, key, tier, chunk, fresh)


def _by_chunk(save: MetricSave) -> dict[int, dict[int, CachedBucket]]:
    by_chunk: dict[int, dict[int, CachedBucket]] = {}
    for bucket, cached in save.buckets.items():
        chunk, place = save.tier.place(bucket)
        by_chunk.setdefault(chunk, {})[place] = cached
    return by_chunk


def _write(connection: sqlite3.Connection, delete: Callable[[sqlite3.Connection], int]) -> int:
    with immediate(connection):
        return delete(connection)


def _delete_chunks(connection: sqlite3.Connection, before: int) -> int:
    """Delete up to `SLICE_CHUNKS` chunks of cached buckets that end before a time; in a write transaction."""
    deleted = 0
    for tier in CACHED_TIERS:
        deleted += connection.execute(
            "DELETE FROM chunks WHERE rowid IN"
            " (SELECT rowid FROM chunks WHERE step = ? AND chunk < ? LIMIT ?)",
            (tier.step, tier.chunk(before), SLICE_CHUNKS - deleted),
        ).rowcount
    return deleted


class _Trimming:
    """Takes the old buckets out of the chunks of a tier that a time falls into."""

    def __init__(self, tier: Tier, before: int) -> None:
        self._tier = tier
        self._chunk = tier.chunk(before)
        self._kept = (before - tier.chunk_start(self._chunk)) // tier.step
        self._after = b""

    def slice(self, connection: sqlite3.Connection) -> int:
        """Look at the next `SLICE_CHUNKS` chunks; return at how many. In a write transaction."""
        rows = connection.execute(
            "SELECT key, cells FROM chunks WHERE step = ? AND chunk = ? AND key > ? ORDER BY key LIMIT ?",
            (self._tier.step, self._chunk, self._after, SLICE_CHUNKS),
        ).fetchall()
        for self._after, blob in rows:
            name = _chunk_key(self._after, self._tier, self._chunk)
            stored = unpack(name, blob) or {}
            kept = {place: one for place, one in stored.items() if place >= self._kept}
            if len(kept) < len(stored):
                connection.execute(
                    "UPDATE chunks SET cells = ? WHERE key = ? AND step = ? AND chunk = ?",
                    (pack(name, kept), self._after, self._tier.step, self._chunk),
                )
        return len(rows)


def _merge(
    connection: sqlite3.Connection, key: bytes, tier: Tier, chunk: int, fresh: Mapping[int, CachedBucket]
) -> None:
    place = (key, tier.step, chunk)
    row = connection.execute(
        "SELECT cells FROM chunks WHERE key = ? AND step = ? AND chunk = ?", place
    ).fetchone()
    stored = unpack(_chunk_key(key, tier, chunk), row[0]) if row else None
    blob = pack(_chunk_key(key, tier, chunk), {**(stored or {}), **fresh})
    if len(blob) <= CHUNK_BYTES:
        connection.execute("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?)", (*place, blob))


def _drop(connection: sqlite3.Connection, key: bytes, tier: Tier, chunk: int, blob: bytes) -> None:
    """Delete a chunk that fails its check, unless it was rewritten meanwhile."""
    connection.execute(
        "DELETE FROM chunks WHERE key = ? AND step = ? AND chunk = ? AND cells = ?",
        (key, tier.step, chunk, blob),
    )


def _chunk_key(key: bytes, tier: Tier, chunk: int) -> bytes:
    return key + f"{tier.step}/{chunk}".encode()
