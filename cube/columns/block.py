"""Blocks: the events of one type and span of time, as columns.

A store hands the evaluator blocks; where they came from no longer shows. The semantics of filters,
values and reduces over blocks live in this package alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from cube.event import ABSENT, EventId


class Block:
    """Some events of one type, ordered by time (either way), row by row.

    ``times``: int64 milliseconds, shape (n,). ``ids``: n event ids, or None where the scan did not ask
    for them. ``data``: n decoded values: what JSON has, `datetime` for a stored date, and `ABSENT`
    for an event without data. Where the scan named fields, objects may lack all others.
    """

    __slots__ = ("data", "ids", "times")

    def __init__(
        self, times: npt.NDArray[np.int64], data: Sequence[Any], ids: Sequence[EventId] | None = None
    ) -> None:
        self.times = times
        self.data = data
        self.ids = ids

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def from_json(
        cls,
        times: Sequence[int],
        texts: Sequence[str | None],
        ids: Sequence[EventId] | None = None,
    ) -> Block:
        """Make a block from the JSON texts of the events' data; None is `ABSENT`."""
        present = ",".join(text for text in texts if text is not None)
        decoded = msgspec.json.decode(f"[{present}]")
        if len(decoded) != len(texts):
            values = iter(decoded)
            decoded = [ABSENT if text is None else next(values) for text in texts]
        return cls(np.array(times, dtype=np.int64), decoded, ids)
