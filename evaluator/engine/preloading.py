"""What an evaluator reads before it serves: the column files that were used last.

They are believed as everything in memory is: where a question finds their revisions of 10 seconds unchanged.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from evaluator.engine.store_blocks import StoreBlocks

PRELOADED_SHARE: Final = 0.5
"""So much of the memory for columns is filled with them at most."""


def preload(stores: Iterable[StoreBlocks], most_bytes: float, seconds: float) -> None:
    """Read the files that were used last, of all fields, for so long and into so many bytes at most."""
    stop = time.monotonic() + seconds
    if not seconds:
        return
    found = [
        (used, files, blocks.of(type), file)
        for blocks in stores
        if (files := blocks.files) is not None
        for used, type, file in files.by_use()
    ]
    found.sort(key=lambda each: each[0], reverse=True)
    held = 0
    for _, files, blocks, file in found:
        if held >= most_bytes or time.monotonic() >= stop:
            return
        segment = files.load(blocks.type, file)
        if segment is not None and blocks.take_in(segment):
            held += segment.bytes
