"""Events that came at the same time, each alone in a body of its own, as few batches as can be.

A batch costs the event loop about as much as checking ten events does, so events that nothing is unusual
about are checked and offered together. Whatever is unusual stays alone, which says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from collector.ingest.batch import Batch, BatchLimits, UnknownKeys
from collector.ingest.plain import decode_each, plain_events

LEAST: Final = 4
"""Fewer are checked sooner one by one."""


def batches_together(
    bodies: Sequence[bytes], limits: BatchLimits, now: int
) -> Iterator[tuple[Sequence[int], Batch]]:
    """Yield batches of the lone events in some bodies, each of one type, with the bodies' places.

    The events of a batch all have ids that Cube made, or all ids of their clients': of the latter some may
    have to wait where others are stored. Bodies of which no place is told are to be read one by one.
    """
    places, found = decode_each(bodies, limits.event_bytes)
    events = plain_events(found, now)
    if events is None:  # an odd one keeps no other from this way
        plain = [number for number, raw in enumerate(found) if plain_events([raw], now) is not None]
        places, found = [places[number] for number in plain], [found[number] for number in plain]
        events = plain_events(found, now) or []
    kinds: dict[tuple[str, bool], list[int]] = {}
    for number, event in enumerate(events):
        kinds.setdefault((event.type, event.id.__class__ is bytes), []).append(number)
    for numbers in kinds.values():
        if len(numbers) > 1:
            some = [places[number] for number in numbers]
            size = sum([len(bodies[place]) for place in some])
            yield some, Batch([events[number] for number in numbers], size, UnknownKeys())
