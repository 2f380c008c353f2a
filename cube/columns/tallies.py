"""Tallies as arrays: the partial of medians and quantiles without an object for each value.

They mean what the plain ones of `cube.model.reduce` do, value -> count, and are written as those are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from cube.columns.values import Floats

Counts = npt.NDArray[np.int64]

_FLOAT, _UINT32, _UINT64 = 0xCB, 0xCE, 0xCF  # how MessagePack begins such numbers
_PAIR = [("float", "u1"), ("value", ">f8")]
_FORMS = (
    (np.dtype([*_PAIR, ("count", "u1")]), None, 2**7),
    (np.dtype([*_PAIR, ("uint", "u1"), ("count", ">u4")]), _UINT32, 2**32),
    (np.dtype([*_PAIR, ("uint", "u1"), ("count", ">u8")]), _UINT64, 2**63),
)
"""Entries of a map in MessagePack, all as wide as each other: their form, how counts begin, their bound."""

_MOST_UNSORTED = 2**17
"""Of more values a tally is made at once: where many are alike, it takes less memory than they do."""

_NOTHING, _NO_COUNTS = np.zeros(0), np.zeros(0, dtype=np.int64)

_decode_any = msgspec.msgpack.Decoder(dict[float, int]).decode


class Tally(Mapping[float, int]):
    """How often each value is there: ``numbers``, float64, ascending and different, and their ``counts``.

    Both have shape (n,), and never change.
    """

    __slots__ = ("_sorted", "loose")

    def __init__(self, numbers: Floats, counts: Counts) -> None:
        self._sorted = numbers, counts
        self.loose: Floats | None = None
        """The values in any order, as long as nobody needed them in order; then None."""

    @classmethod
    def unsorted(cls, values: Floats) -> Tally:
        """Return the tally of values in any order, -0.0 not among them.

        They are put in order where somebody needs that. Quantiles do not: to find some ranks takes a fifth.
        """
        if len(values) > _MOST_UNSORTED:
            return cls(*_counted(values))
        tally = cls(_NOTHING, _NO_COUNTS)
        tally.loose = values
        return tally

    @property
    def numbers(self) -> Floats:
        """The different values."""
        return self._settled()[0]

    @property
    def counts(self) -> Counts:
        """How often each of them is there."""
        return self._settled()[1]

    @classmethod
    def of(cls, tally: Mapping[float, int]) -> Tally:
        """Return a tally as arrays."""
        if isinstance(tally, Tally):
            return tally
        numbers = np.fromiter(tally.keys(), np.float64, len(tally))
        counts = np.fromiter(tally.values(), np.int64, len(tally))
        order = np.argsort(numbers)
        return cls(numbers[order], counts[order])

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[float]:
        return iter(self.numbers.tolist())

    def __getitem__(self, value: float) -> int:
        place = int(self.numbers.searchsorted(value))
        if place == len(self) or self.numbers[place] != value:
            raise KeyError(value)
        return int(self.counts[place])

    @property
    def nbytes(self) -> int:
        """What it takes in memory, about."""
        values = self.loose
        return sum(each.nbytes for each in self._sorted) if values is None else values.nbytes

    def merged(self, tallies: Sequence[Mapping[float, int]]) -> Tally:
        """Return the tally of all that some tallies, of which this is one, have counted."""
        parts = list(map(Tally.of, tallies))
        loose = [values for part in parts if (values := part.loose) is not None]
        if len(loose) == len(parts) and sum(map(len, loose)) <= _MOST_UNSORTED:
            return Tally.unsorted(np.concatenate(loose))
        numbers = np.concatenate([part.numbers for part in parts])
        order = np.argsort(numbers, kind="stable")  # which merges what is in order already
        numbers = numbers[order]
        edges = np.concatenate(([0], np.flatnonzero(numbers[1:] != numbers[:-1]) + 1))
        counts = np.concatenate([part.counts for part in parts])[order]
        return Tally(numbers[edges], np.add.reduceat(counts, edges))

    def quantile(self, q: float) -> float:
        """Interpolate as `cube.model.reduce.quantile` does."""
        values = self.loose
        if values is None:
            passed = np.cumsum(self.counts)
            count = int(passed[-1])
        else:
            count = len(values)
        position = (count - 1) * q
        below = math.floor(position)
        ranks = [below, min(below + 1, count - 1)]
        if values is None:
            found = self.numbers[passed.searchsorted(ranks, "right")]
        else:
            found = np.partition(values, ranks)[ranks]
        low, high = found.tolist()
        if position == below:
            return float(low)
        share = position - below
        return float(low * (1 - share) + high * share)

    def _settled(self) -> tuple[Floats, Counts]:
        values = self.loose
        if values is not None:
            self._sorted = _counted(values)
            self.loose = None
        return self._sorted

    def packed(self) -> bytes:
        """Return it as a map of MessagePack."""
        most = int(self.counts.max(initial=0))
        form, begin, _ = next(each for each in _FORMS if most < each[2])
        entries = np.empty(len(self), dtype=form)
        entries["float"], entries["value"], entries["count"] = _FLOAT, self.numbers, self.counts
        if begin is not None:
            entries["uint"] = begin
        return _head(len(self)) + entries.tobytes()

    @classmethod
    def unpacked(cls, content: Any) -> Tally:
        """Read a map of MessagePack, bytes or the like; raises `msgspec.ValidationError`."""
        content = bytes(content)
        for form, begin, most in _FORMS:
            size = len(content) - len(content) % form.itemsize
            count = size // form.itemsize
            head = _head(count)
            if len(head) + size != len(content) or not content.startswith(head):
                continue
            entries = np.frombuffer(content, form, count, len(head))
            counts = entries["count"].astype(np.int64)
            if (entries["float"] == _FLOAT).all() and (
                (counts < most).all() if begin is None else (entries["uint"] == begin).all()
            ):
                numbers = entries["value"].astype(np.float64)
                if (numbers[1:] > numbers[:-1]).all():
                    return cls(numbers, counts)
        return cls.of(_decode_any(content))


def _counted(values: Floats) -> tuple[Floats, Counts]:
    """Return some values, at least one, in order and each once, and how often each is there."""
    values = np.sort(values)
    edges = np.concatenate(([0], np.flatnonzero(values[1:] != values[:-1]) + 1))
    return values[edges], np.diff(edges, append=len(values))


def _head(count: int) -> bytes:
    """Return how a map of so many entries begins in MessagePack."""
    if count < 2**4:
        return bytes((0x80 | count,))
    if count < 2**16:
        return b"\xde" + count.to_bytes(2, "big")
    return b"\xdf" + count.to_bytes(4, "big")
