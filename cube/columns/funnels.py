"""Funnels: how far each key gets, step by step, within a window after its first step.

An *entry* is an event of the first step. From it the key goes on to the first event of the next step that
follows, and so on, while that is at most the window after the entry. An event follows another where it is
later; or where it is at the same time and passes none of the steps that were taken at that time: so no event
counts for two steps, and the answer does not depend on how equal times are ordered. To go on as early as
possible is best: whatever can be reached from a later event of a step can be reached from the earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cube.columns.key_events import Codes, KeyEvents, Marks, labelled
from cube.model.tier import Span

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a funnel, in order of key and time: how many steps each gets, at least one."""

    keys: Codes
    times: Codes
    levels: Codes

    @classmethod
    def of(cls, events: KeyEvents, steps: int, window: int, span: Span) -> Entries:
        """Return the entries in a span; ``events``: all that pass a step, up to ``window`` beyond it."""
        nothing = np.zeros(0, dtype=np.int64)
        if not len(events.keys):
            return cls(nothing, nothing, nothing)
        first, stop = int(events.times.min()), int(events.times.max()) + 1
        labels = labelled(events.keys, events.times, first, stop)
        order = np.argsort(labels)
        labels, marks = labels[order], events.marks[order]
        times = events.times[order]
        is_entry = (marks & np.uint32(1) == 1) & (times >= span.start) & (times < span.stop)
        entries = np.unique(labels[is_entry])
        if not len(entries):
            return cls(nothing, nothing, nothing)
        levels = _levels(labels, marks, entries, steps, window, stop - first)
        keys, times = np.divmod(entries, np.int64(stop - first))
        return cls(keys, times + first, levels)


def funnel_counts(events: KeyEvents, steps: int, window: int, edges: Codes) -> Counts:
    """Return how many keys reach each step from an entry in each bucket, shape (buckets, steps).

    A key counts once in a bucket, with the entry from which it gets farthest. ``edges``: the starts of the
    buckets, ascending, and the end of the last one. ``events``: all that pass a step, from the first edge to
    the last one and ``window`` beyond; the marks are the steps.
    """
    buckets = len(edges) - 1
    entries = Entries.of(events, steps, window, Span(int(edges[0]), int(edges[-1])))
    if not len(entries.keys):
        return np.zeros((buckets, steps))
    keys = entries.keys
    places = np.searchsorted(edges, entries.times, side="right") - 1
    # Of each key and bucket the farthest: entries are in order of key and time, so these lie side by side.
    begins = np.concatenate(([True], (keys[1:] != keys[:-1]) | (places[1:] != places[:-1])))
    farthest = np.maximum.reduceat(entries.levels, np.flatnonzero(begins))
    cells = places[begins] * steps + (farthest - 1)
    ended: Counts = np.bincount(cells, minlength=buckets * steps).reshape(buckets, steps).astype(np.float64)
    reached: Counts = ended[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.ascontiguousarray(reached)


def funnel_windows(events: KeyEvents, steps: int, window: int, starts: Codes, stops: Codes) -> Counts:
    """Return what `funnel_counts` does, of intervals that may overlap, and whose ends both ascend."""
    counts = np.zeros((len(starts), steps))
    entries = Entries.of(events, steps, window, Span(int(starts[0]), int(stops[-1])))
    # An entry is in the windows from the first one that ends after it to the last one that begins by then.
    begins = np.searchsorted(stops, entries.times, side="right")
    ends = np.searchsorted(starts, entries.times, side="right")
    for step in range(steps):
        some = np.flatnonzero(entries.levels > step)
        keys, begin, end = entries.keys[some], begins[some], ends[some]
        again = np.flatnonzero(keys[1:] == keys[:-1])
        begin[again + 1] = np.maximum(begin[again + 1], end[again])  # where the key counts already
        end = np.maximum(begin, end)
        size = len(starts) + 1
        changes = np.bincount(begin, minlength=size) - np.bincount(end, minlength=size)
        counts[:, step] = np.cumsum(changes)[:-1]
    return counts


def _levels(labels: Codes, marks: Marks, entries: Codes, steps: int, window: int, stride: int) -> Codes:
    """Return how many steps each entry gets; all labels are ascending, and ``stride`` apart between keys."""
    levels = np.ones(len(entries), dtype=np.int64)
    deadlines = np.minimum(entries + window, entries - entries % stride + stride - 1)
    going = np.arange(len(entries))  # the entries that have come as far as the step before
    at, since = entries.copy(), np.zeros(len(entries), dtype=np.int64)
    for step in range(1, steps):
        passing = labels[_passes(marks, step)]
        at, since, goes_on = _next(labels, marks, passing, at, since, deadlines[going], step)
        going, at, since = going[goes_on], at[goes_on], since[goes_on]
        levels[going] += 1
        if not len(going):
            break
    return levels


def _next(
    labels: Codes, marks: Marks, passing: Codes, at: Codes, since: Codes, deadlines: Codes, step: int
) -> tuple[Codes, Codes, npt.NDArray[np.bool_]]:
    """Return where the next step is taken, since which step that time is it, and whether it is at all.

    ``at``: where the last step was taken; ``since``: the first step that was taken at that same time.
    """
    beyond = np.iinfo(np.int64).max
    places = np.searchsorted(passing, at, side="right")
    later = np.append(passing, beyond)[places]
    stays = np.zeros(len(at), dtype=np.bool_)
    for taken in np.unique(since).tolist():
        others = np.uint32((1 << step) - (1 << taken))
        candidates = labels[_passes(marks, step) & (marks & others == 0)]
        if len(candidates):
            some = np.flatnonzero(since == taken)
            places = np.searchsorted(candidates, at[some])
            stays[some] = np.append(candidates, beyond)[places] == at[some]
    goes_on = stays | (later <= deadlines)
    return np.where(stays, at, later), np.where(stays, since, step), goes_on


def _passes(marks: Marks, step: int) -> npt.NDArray[np.bool_]:
    passed: npt.NDArray[np.bool_] = (marks >> np.uint32(step)) & np.uint32(1) == 1
    return passed
