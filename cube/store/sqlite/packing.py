"""What of a save is packed: events of one second, with made ids, of which there are enough."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from operator import is_
from typing import Final, cast

import msgspec
import numpy as np

from cube.model.event import ABSENT, Event
from cube.model.event_run import EventRun
from cube.model.made_id import MADE_ID_BYTES
from cube.store.sqlite import packs
from cube.store.sqlite.packs import PACK_MS, Pack, StoredRow, prefix_of

LONG_RUN: Final = 256
"""A run of so many events is a pack of its own; shorter ones of one second are put in order together."""

_encode = msgspec.json.Encoder().encode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Packed:
    """What of a save is packed, and what is not."""

    packs: Sequence[Pack]
    rest: Sequence[Event]

    @classmethod
    def of(cls, events: Sequence[Event]) -> Packed:
        """Pack events whose ids all differ."""
        if len(events) < packs.MIN_EVENTS:
            return cls((), events)
        made: list[Pack] = []
        rest: list[Event] = []
        for second, some in _by_second(events):
            if len(some) < packs.MIN_EVENTS or not _are_packable(some):
                rest += some
                continue
            for together in _by_prefix(some):
                _pack(second, together, made, rest)
        return cls(made, rest)

    @classmethod
    def of_runs(cls, runs: Iterable[EventRun]) -> Packed:
        """Pack runs, whose text is stored as it is."""
        made: list[Pack] = []
        rest: list[Event] = []
        together: dict[tuple[int, bytes], list[EventRun]] = {}
        for run in runs:
            if len(run) >= LONG_RUN:
                _pack_runs([run], made, rest)
            else:
                together.setdefault((run.second, run.prefix), []).append(run)
        for some in together.values():
            _pack_runs(some, made, rest)
        return cls(made, rest)


def _pack_runs(runs: Sequence[EventRun], made: list[Pack], rest: list[Event]) -> None:
    """Add runs of a second, whose ids have one prefix, to packs that are short enough, or to the rest."""
    count, size = sum(map(len, runs)), sum(len(run.data) for run in runs)
    if count < packs.MIN_EVENTS or size > packs.MAX_EVENT_BYTES * count:
        rest += chain.from_iterable(runs)
    elif size <= packs.MAX_BYTES:
        made.append(Pack.of_run(runs[0]) if len(runs) == 1 else _merged(runs))
    elif len(runs) == 1:
        _pack_rows(runs[0].second, Pack.of_run(runs[0]).rows(), made)
    else:
        half = len(runs) // 2
        for part in (runs[:half], runs[half:]):
            _pack_runs(part, made, rest)


def _merged(runs: Sequence[EventRun]) -> Pack:
    """Make a pack of runs of a second, whose ids have one prefix, in the order of (time, id)."""
    times = np.array([time for run in runs for time in run.times])
    numbers = np.concatenate([np.array(run.numbers) for run in runs])
    texts = [text for run in runs for text in _raws(run.data)]
    order = np.lexsort((numbers, times))
    times, numbers = times[order] - runs[0].second, numbers[order]
    is_consecutive = bool((np.diff(numbers) == 1).all())
    return Pack(
        runs[0].second,
        len(texts),
        max(run.last_id for run in runs),
        None if is_consecutive else numbers.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(),
        _encode(times.tolist()).decode(),
        f"[{b','.join([texts[place] for place in order.tolist()]).decode()}]",
    )


def _pack_rows(second: int, rows: Sequence[StoredRow], made: list[Pack]) -> None:
    if sum(len(text) for _, _, text in rows) <= packs.MAX_BYTES:
        made.append(Pack.of_rows(second, rows))
        return
    half = len(rows) // 2
    for part in (rows[:half], rows[half:]):
        _pack_rows(second, part, made)


def _pack(second: int, events: Sequence[Event], made: list[Pack], rest: list[Event]) -> None:
    """Add events of a second to packs that are short enough, or to the rest."""
    if len(events) < packs.MIN_EVENTS:
        rest += events
        return
    pack = Pack.of(second, events)
    if len(pack.data) > packs.MAX_EVENT_BYTES * len(events):
        rest += events
        return
    if len(pack.data) <= packs.MAX_BYTES:
        made.append(pack)
        return
    half = len(events) // 2
    for part in (events[:half], events[half:]):
        _pack(second, part, made, rest)


def _are_packable(events: Sequence[Event]) -> bool:
    ids = [event.id for event in events]
    if any(map(is_, [event.data for event in events], repeat(ABSENT))) or set(map(type, ids)) != {bytes}:
        return False
    return set(map(len, cast("list[bytes]", ids))) == {MADE_ID_BYTES}


def _by_second(events: Sequence[Event]) -> Iterable[tuple[int, Sequence[Event]]]:
    times = [event.time for event in events]
    first = min(times) // PACK_MS
    if max(times) // PACK_MS == first:
        return [(first * PACK_MS, events)]
    found: dict[int, list[Event]] = {}
    for event in events:
        found.setdefault(event.time // PACK_MS, []).append(event)
    return [(number * PACK_MS, some) for number, some in found.items()]


def _by_prefix(events: Sequence[Event]) -> Iterable[Sequence[Event]]:
    ids = cast("list[bytes]", [event.id for event in events])
    if prefix_of(min(ids)) == prefix_of(max(ids)):
        return [events]
    found: dict[bytes, list[Event]] = {}
    for id, event in zip(ids, events, strict=True):
        found.setdefault(prefix_of(id), []).append(event)
    return found.values()
