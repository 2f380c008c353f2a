"""Ids for events that came without one, as nobody else makes them."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from itertools import count, islice
from typing import Final

MADE_ID_BYTES: Final = 12
COUNTER_BYTES: Final = 3
"""The last ones of a made id, in which those of one process and second differ."""

_MAX_COUNTER: Final = 2 ** (8 * COUNTER_BYTES) - 1


def make_id() -> bytes:
    """Make an id that no other event has: 12 bytes, made up as MongoDB's ObjectId.

    Seconds since 1970, 5 random bytes of this process, and a counter that begins anywhere: ids
    ascend, so that an index of them grows at its right edge (three times the inserts/s of random
    ones on SQLite).
    """
    process, numbers = _id_source()
    number = (next(numbers) & _MAX_COUNTER).to_bytes(COUNTER_BYTES, "big")
    return int(time.time()).to_bytes(4, "big") + process + number


def make_ids(count: int) -> list[bytes]:
    """Make so many ids that no other event has, ascending; see `make_id`."""
    process, numbers = _id_source()
    head = int(time.time()).to_bytes(4, "big") + process
    size = COUNTER_BYTES
    return [head + (number & _MAX_COUNTER).to_bytes(size, "big") for number in islice(numbers, count)]


def make_consecutive_ids(count: int) -> bytes:
    """Make so many ids that no other event has, each the next one of the one before; return the last.

    ``count``: from 1 on, and less than what the counter of `make_id` has.
    """
    process, numbers = _id_source()
    while True:
        (last,) = deque(islice(numbers, count), maxlen=1)  # in C: no other thread takes one of these
        number = last & _MAX_COUNTER
        if number >= count - 1:  # else the counter began anew among them
            head = int(time.time()).to_bytes(4, "big") + process
            return head + number.to_bytes(COUNTER_BYTES, "big")


@lru_cache(maxsize=1)
def _id_source() -> tuple[bytes, Iterator[int]]:
    """Return what the ids of this process are made of."""
    return os.urandom(5), count(int.from_bytes(os.urandom(3), "big"))


os.register_at_fork(after_in_child=_id_source.cache_clear)  # a fork is another process
