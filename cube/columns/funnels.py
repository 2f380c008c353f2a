"""Funnels: how far each key gets, step by step, within a window after its first step.

An *entry* is an event of the first step. From it the key goes on to the first event of the next step that
follows, and so on, while that is at most the window after the entry. An event follows another where it is
later; or where it is at the same time and passes none of the steps that were taken at that time: so no event
counts for two steps, and the answer does not depend on how equal times are ordered. To go on as early as
possible is best: whatever can be reached from a later event of a step can be reached from the earlier one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cube.columns.key_events import Codes, KeyEvents, Marks, labelled

Counts = npt.NDArray[np.float64]


def funnel_counts(events: KeyEvents, steps: int, window: int, edges: Codes) -> Counts:
    """Return how many keys reach each step from an entry in each bucket, shape (buckets, steps).

    A key counts once in a bucket, with the entry from which it gets farthest. ``edges``: the starts of the
    buckets, ascending, and the end of the last one. ``events``: all that pass a step, from the first edge to
    the last one and ``window`` beyond; the marks are the steps.
    """
    buckets = len(edges) - 1
    counts = np.zeros((buckets, steps))
    if not len(events.keys):
        return counts
    first, stop = int(events.times.min()), int(events.times.max()) + 1
    labels = labelled(events.keys, events.times, first, stop)
    order = np.argsort(labels)
    labels, marks = labels[order], events.marks[order]
    times = events.times[order]
    is_entry = (marks & np.uint32(1) == 1) & (times >= edges[0]) & (times < edges[-1])
    entries = np.unique(labels[is_entry])
    if not len(entries):
        return counts
    levels = _levels(labels, marks, entries, steps, window, stop - first)
    keys, entry_times = np.divmod(entries, np.int64(stop - first))
    places = np.searchsorted(edges, entry_times + first, side="right") - 1
    # Of each key and bucket the farthest: entries are in order of key and time, so these lie side by side.
    begins = np.concatenate(([True], (keys[1:] != keys[:-1]) | (places[1:] != places[:-1])))
    farthest = np.maximum.reduceat(levels, np.flatnonzero(begins))
    cells = places[begins] * steps + (farthest - 1)
    ended: Counts = np.bincount(cells, minlength=buckets * steps).reshape(buckets, steps).astype(np.float64)
    reached: Counts = ended[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.ascontiguousarray(reached)


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
