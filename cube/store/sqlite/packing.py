"""The form of a chunk of cached cells: one blob that proves itself.

Little-endian: the number n of cells (uint32), then n offsets of their buckets in the chunk
(uint32, in buckets), n revisions (int64), n lengths (uint32), the n contents, and last a CRC-32
over the chunk's key and all that came before.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import partial
from itertools import accumulate, pairwise

import numpy as np

from cube.store.ports import CachedBucket

_CRC_BYTES = 4
_COUNT_BYTES = 4
_CELL_BYTES = 16
_OFFSET, _REVISION = np.dtype("<u4"), np.dtype("<i8")

_cell = partial(tuple.__new__, CachedBucket)  # what CachedBucket(...) does, without a Python frame a cell


def pack(key: bytes, cells: Mapping[int, CachedBucket]) -> bytes:
    """Pack the cells of a chunk, by the offset of their bucket in it."""
    contents = [cell.content for cell in cells.values()]
    parts = (
        len(cells).to_bytes(_COUNT_BYTES, "little"),
        np.fromiter(cells, _OFFSET, len(cells)).tobytes(),
        np.fromiter((cell.revision for cell in cells.values()), _REVISION, len(cells)).tobytes(),
        np.fromiter(map(len, contents), _OFFSET, len(cells)).tobytes(),
        *contents,
    )
    blob = b"".join(parts)
    return blob + _crc(key, blob)


def unpack(key: bytes, blob: bytes) -> dict[int, CachedBucket] | None:
    """Return the cells by offset; None where the blob is not what `pack` made for this key."""
    body, crc = blob[:-_CRC_BYTES], blob[-_CRC_BYTES:]
    if len(body) < _COUNT_BYTES or crc != _crc(key, body):
        return None
    count = int.from_bytes(body[:_COUNT_BYTES], "little")
    offsets = np.frombuffer(body, _OFFSET, count, _COUNT_BYTES).tolist()
    revisions = np.frombuffer(body, _REVISION, count, _COUNT_BYTES + 4 * count).tolist()
    lengths = np.frombuffer(body, _OFFSET, count, _COUNT_BYTES + 12 * count).tolist()
    ends = list(accumulate(lengths, initial=_COUNT_BYTES + _CELL_BYTES * count))
    contents = [body[start:stop] for start, stop in pairwise(ends)]
    return dict(zip(offsets, map(_cell, zip(revisions, contents, strict=True)), strict=True))


def _crc(key: bytes, body: bytes) -> bytes:
    return zlib.crc32(body, zlib.crc32(key)).to_bytes(_CRC_BYTES, "little")
