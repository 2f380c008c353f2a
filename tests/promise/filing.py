"""The column files of one evaluator of a run, made when the test says so."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path

from evaluator.context import QueryContext
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.column_files import ColumnFiles
from evaluator.engine.file_bound import FileBound
from evaluator.engine.idle import IdleWork
from evaluator.engine.preloading import preload
from evaluator.engine.shredding import NotQuiet
from evaluator.engine.store_blocks import StoreBlocks
from tests.promise.flights import KeptBlocks


class Filing:
    """A folder, and whoever makes files in it: the evaluator that was started last."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._begun = 0
        self._idle: IdleWork | None = None

    def blocks(self, context: QueryContext, kept_bytes: int) -> StoreBlocks:
        """Return the blocks of an evaluator that begins."""
        folder = Path(self._folder.name)
        files = ColumnFiles(folder, context.store.identity)
        blocks = StoreBlocks(BlockCache(kept_bytes), context.counters.read, KeptBlocks, files)
        self._begun += 1
        if self._begun % 2 == 0:
            preload([blocks], kept_bytes, seconds=1e6)
        # Actors stand at gates while they ask: here it is the test's scheduler that gives turns.
        context.scheduler.idle_slice = nullcontext  # type: ignore[assignment,method-assign]
        self._idle = IdleWork(
            context,
            blocks,
            files,
            FileBound((folder,), 10**9),
            least_rows=1,
            quiet_seconds=0.0,
            share=0.0,
            read_seconds=1e6,
        )
        return blocks

    async def make(self, hour: int) -> None:
        """Make the files of an hour, if it is quiet."""
        assert self._idle is not None
        with suppress(NotQuiet):
            await self._idle.make("test", hour)

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
