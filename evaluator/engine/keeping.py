"""What an evaluator keeps of events: the blocks in its memory and the column files of all its stores."""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path

from cube.settings import EvaluatorSettings, environments_of
from cube.store.url import StoreUrl
from evaluator.context import QueryContext
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.column_files import ColumnFiles
from evaluator.engine.file_bound import FileBound
from evaluator.engine.idle import IdleWork
from evaluator.engine.preloading import PRELOADED_SHARE, preload
from evaluator.engine.read_ahead import ReadAhead
from evaluator.engine.store_blocks import StoreBlocks

FREE_SHARE = 0.05
"""No column files are made while less of their disk is free."""


class Keeping:
    """Makes the blocks of each store, and does their idle work from `start` until `close`."""

    def __init__(self, settings: EvaluatorSettings) -> None:
        self._settings = settings.blocks
        self._cache = BlockCache(self._settings.memory_bytes)
        self._folders = column_folders(settings)
        self._bound = FileBound(tuple(self._folders.values()), self._settings.disk_bytes, FREE_SHARE)
        self._blocks: list[StoreBlocks] = []
        self._work: dict[str, IdleWork] = {}
        self._ahead: dict[str, ReadAhead] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def bytes(self) -> int:
        """About what the blocks take."""
        return self._cache.bytes

    @property
    def has_files(self) -> bool:
        """Whether there may be column files."""
        return bool(self._folders)

    def blocks(self, name: str, context: QueryContext) -> StoreBlocks | None:
        """Return the blocks of an environment's store; None where nothing is kept."""
        if not self._settings.memory_bytes:
            return None
        counters, folder = context.counters, self._folders.get(name)
        files = None if folder is None else ColumnFiles(folder, context.store.identity, counters.filed)
        blocks = StoreBlocks(self._cache, counters.read, files=files)
        self._blocks.append(blocks)
        if files is not None:
            self._work[name] = IdleWork(context, blocks, files, self._bound, makes=self._settings.idle)
        if self._settings.read_ahead:
            self._ahead[name] = ReadAhead(context, blocks)
        return blocks

    def preload(self) -> None:
        """Read the files that were used last, before anybody asks."""
        settings = self._settings
        preload(self._blocks, PRELOADED_SHARE * settings.memory_bytes, settings.preload_seconds)

    def start(self) -> None:
        """Begin the idle work of all stores, and to read ahead."""
        for name, work in self._work.items():
            self._tasks.append(asyncio.create_task(work.run(), name=f"column files of {name}"))
        for name, ahead in self._ahead.items():
            self._tasks.append(asyncio.create_task(ahead.run(), name=f"reading ahead of {name}"))

    async def close(self) -> None:
        """End it."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def column_folders(settings: EvaluatorSettings) -> dict[str, Path]:
    """Return where the column files of each environment are, by its name; nothing where there are none."""
    location = StoreUrl.parse(settings.store)
    own = settings.blocks.directory
    if not settings.blocks.disk_bytes or not (own or location.is_local):
        return {}
    parent = Path(own or location.location).absolute()
    mark = ""
    if own:  # where several stores may have their files
        mark = f"-{zlib.crc32(_without_user(settings.store).encode()):08x}"
    return {each.name: parent / f"{each.database}{mark}.blocks" for each in environments_of(settings)}


def _without_user(store: str) -> str:
    """Return a store URL without user and password: with others the store is the same."""
    head, slashes, rest = store.partition("//")
    credentials, at, host = rest.rpartition("@")
    return f"{head}{slashes}…@{host}" if at and credentials else store
