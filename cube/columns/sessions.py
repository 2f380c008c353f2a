"""Sessions: the events of one key that follow each other without a long gap, as one row each.

An event begins a session where the one before it, of the same key, is more than the gap earlier. So whether
one begins is told by the gap before it. A session is followed for a bounded time (`followed`): what comes
after belongs to it, but does not count. Both make what is said of a session independent of what span is
asked for.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cube.columns.key_events import Codes, KeyEvents, labelled
from cube.columns.packed import PackedBlock
from cube.columns.packed_column import Kept, PackedColumn, Texts
from cube.columns.values import Floats, Kind, Path
from cube.expression.nodes import Field, Reduction
from cube.expression.sequence_grammar import EVENTS, LENGTH
from cube.expression.traversal import walk
from cube.model.tier import Span

_DAY: Final = 86_400_000
_GAPS: Final = 48


def followed(gap: int) -> int:
    """Return for how many milliseconds after its first event a session is followed: a day, or 48 gaps."""
    return max(_DAY, _GAPS * gap)


def needs_ends(reduction: Reduction) -> bool:
    """Tell whether a reduction of sessions looks at more than where they begin."""
    return any(isinstance(each, Field) for each in walk(reduction))


def sessions(events: KeyEvents, gap: int, span: Span) -> PackedBlock:
    """Return the sessions that begin in a span as a block, ordered by time, with `LENGTH` and `EVENTS`.

    ``events``: those from ``gap`` before the span on, and up to `followed` beyond it where `needs_ends`.
    """
    if not len(events.keys):
        return _block(events.times, np.zeros(0), np.zeros(0)).over(span)
    first, stop = int(events.times.min()), int(events.times.max()) + 1
    labels = np.sort(labelled(events.keys, events.times, first, stop))
    keys, times = np.divmod(labels, np.int64(stop - first))
    times += first
    begins = np.ones(len(labels), dtype=np.bool_)
    begins[1:] = (keys[1:] != keys[:-1]) | (times[1:] - times[:-1] > gap)
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(labels))
    inside = (times[starts] >= span.start) & (times[starts] < span.stop)
    starts, ends = starts[inside], ends[inside]
    limits = np.minimum(labels[starts] + followed(gap), (keys[starts] + 1) * np.int64(stop - first) - 1)
    ends = np.minimum(ends, np.searchsorted(labels, limits, side="right"))
    order = np.argsort(times[starts], kind="stable")
    starts, ends = starts[order], ends[order]
    lengths, counts = times[ends - 1] - times[starts], ends - starts
    return _block(times[starts], lengths.astype(np.float64), counts.astype(np.float64)).over(span)


def _block(times: Codes, lengths: Floats, counts: Floats) -> PackedBlock:
    columns: dict[tuple[str, Path], PackedColumn] = {}
    for name, numbers in ((LENGTH, lengths), (EVENTS, counts)):
        column = _column(numbers)
        columns["stored", (name,)] = columns["searched", (name,)] = column
    return PackedBlock(times, columns)


def _column(numbers: Floats) -> PackedColumn:
    nothing = Kept(np.zeros(0, dtype=np.intp), ())
    kinds = np.broadcast_to(np.uint8(Kind.NUMBER), numbers.shape)
    return PackedColumn(kinds, numbers, None, Texts(), nothing, nothing, (), whole=True)
