"""Batches of documents as blocks of named columns, without an object for a document that is like others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cube.columns.block import Block
from cube.model.event import ABSENT
from cube.store.mongo.documents import DocumentDecoder
from cube.store.mongo.raw_columns import Places, RawColumns


class ColumnDecoder:
    """What `DocumentDecoder` is, for scans that name the properties that they need and no ids.

    It is that which decodes whatever is not plain, and whole batches where that is most of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._documents = DocumentDecoder(ids=False)

    def block(self, batch: bytes) -> Block:
        """Decode one batch of documents ``{t, d?}`` with no other names in ``d``."""
        starts = _starts(batch)
        raw = RawColumns.of(batch, starts, self._names)
        if 2 * np.count_nonzero(raw.read) < len(starts):
            return self._documents.block(batch)
        others: dict[int, object] = dict.fromkeys(np.flatnonzero(raw.read & ~raw.objects).tolist(), ABSENT)
        if not self._fill(batch, starts, raw, others):
            return self._documents.block(batch)
        values = {name: column.tolist() for name, column in raw.values.items()}
        return Block.of_columns(raw.times, values, others, size=len(batch))

    def _fill(self, batch: bytes, starts: Places, raw: RawColumns, others: dict[int, object]) -> bool:
        """Put in what was not read; False where one is no event, or an array, which filters look into."""
        rest = np.flatnonzero(~raw.read)
        if not len(rest):
            return True
        stops = np.append(starts[1:], len(batch))
        pairs = zip(starts[rest].tolist(), stops[rest].tolist(), strict=True)
        block = self._documents.block(b"".join([batch[start:stop] for start, stop in pairs]))
        if len(block) != len(rest) or any(isinstance(data, list) for data in block.data):
            return False
        raw.times[rest] = block.times
        for row, data in zip(rest.tolist(), block.data, strict=True):
            if not isinstance(data, dict):
                others[row] = data
                continue
            for name, column in raw.values.items():
                column[row] = data.get(name, ABSENT)
        return True


def _starts(batch: bytes) -> Places:
    """Return where the documents of a batch begin."""
    starts, place = [], 0
    while place < len(batch):
        starts.append(place)
        place += int.from_bytes(batch[place : place + 4], "little")  # a document begins with its length
    return np.array(starts, dtype=np.int64)
