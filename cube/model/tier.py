"""Spans of time, tiers (the seven time steps at which metrics are computed), and the metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from cube.model import duration, instant

CHUNK_BUCKETS = 360  # revisions and metrics of so many consecutive buckets share one document

Scalar: TypeAlias = str | int | float | bool

Group: TypeAlias = Scalar | tuple[Scalar, ...]
"""What one group stands for: a value, or with several parts one for each."""

GroupKey: TypeAlias = "tuple[int, Any]"
"""What `group_key` returns, or the key of the rest: a rank, and what tells groups of that rank apart."""

_RANKS = {int: 0, float: 0, str: 1, bool: 2}
_SEVERAL: Final = 3
_REST: Final = 4
_FIRST_MONDAY = 345_600_000  # 1970-01-05T00:00Z


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open interval ``[start, stop)`` of instants (milliseconds since 1970, UTC)."""

    start: int
    stop: int

    def __contains__(self, time: int) -> bool:
        return self.start <= time < self.stop

    def __bool__(self) -> bool:
        return self.start < self.stop

    @property
    def length(self) -> int:
        """Milliseconds in the span; 0 when it is empty."""
        return max(0, self.stop - self.start)

    def intersect(self, other: Span) -> Span:
        """Return the common part; an empty span when there is none."""
        return Span(max(self.start, other.start), min(self.stop, other.stop))


EVER: Final = Span(instant.EARLIEST, instant.LATEST + 1)
"""All instants that there are."""


class EvenBuckets:
    """Buckets that are all of one length: what a division of time by it answers.

    ``step``: that length, in milliseconds. ``origin``: where one of them begins.
    """

    __slots__ = ()

    step: int
    origin: int

    @property
    def shortest(self) -> int:
        """No bucket is shorter."""
        return self.step

    def floor(self, time: int) -> int:
        """Return the start of the bucket that holds `time`."""
        return time - (time - self.origin) % self.step

    def ceil(self, time: int) -> int:
        """Return the first bucket start that is not before `time`."""
        return time + (self.origin - time) % self.step

    def after(self, time: int) -> int:
        """Return the first bucket start after `time`."""
        return self.floor(time) + self.step

    def back(self, stop: int, count: int) -> int:
        """Return the start of the bucket so many before the one that begins at `stop`."""
        return stop - count * self.step

    def cover(self, span: Span) -> Span:
        """Return the span ``[floor(start), ceil(stop))``."""
        return Span(self.floor(span.start), self.ceil(span.stop))

    def buckets(self, span: Span) -> range:
        """Return the starts of the buckets of an aligned span."""
        return range(span.start, span.stop, self.step)

    def intervals(self, span: Span) -> list[Span]:
        """Return the buckets of an aligned span as spans."""
        return [Span(start, start + self.step) for start in self.buckets(span)]

    def places(self, part: Span, whole: Span) -> slice:
        """Return where in an array over the buckets of an aligned span those of a part of it are."""
        return slice((part.start - whole.start) // self.step, (part.stop - whole.start) // self.step)


@dataclass(frozen=True, slots=True)
class Tier(EvenBuckets):
    """One time step; its buckets are aligned to UTC, weeks to Monday.

    ``step``: the bucket's length in milliseconds. ``origin``: the start of bucket number 0.
    ``finer``: the tier that this one's metrics are built from; None where they come from events.
    ``cached``: whether metrics and revisions of this tier are kept.
    """

    name: str
    step: int
    origin: int
    finer: Tier | None
    cached: bool

    @property
    def text(self) -> str:
        """What it is as a step: ``5m``."""
        return duration.format(self.step)

    def chunk(self, time: int) -> int:
        """Return the number of the chunk that holds the bucket of `time`."""
        return (time - self.origin) // (self.step * CHUNK_BUCKETS)

    def place(self, time: int) -> tuple[int, int]:
        """Return that number, and the place of the bucket in the chunk."""
        return divmod((time - self.origin) // self.step, CHUNK_BUCKETS)

    def chunk_start(self, chunk: int) -> int:
        """Return the start of a chunk's first bucket."""
        return self.origin + chunk * self.step * CHUNK_BUCKETS


SECOND = Tier("second", 1_000, 0, None, False)
TEN_SECONDS = Tier("10 seconds", 10_000, 0, None, True)
MINUTE = Tier("minute", 60_000, 0, TEN_SECONDS, True)
FIVE_MINUTES = Tier("5 minutes", 300_000, 0, MINUTE, True)
HOUR = Tier("hour", 3_600_000, 0, FIVE_MINUTES, True)
DAY = Tier("day", 86_400_000, 0, HOUR, True)
WEEK = Tier("week", 604_800_000, _FIRST_MONDAY, DAY, True)

TIERS: dict[int, Tier] = {
    tier.step: tier for tier in (SECOND, TEN_SECONDS, MINUTE, FIVE_MINUTES, HOUR, DAY, WEEK)
}
"""Every tier by its step in milliseconds, finest first."""

CACHED_TIERS: tuple[Tier, ...] = tuple(tier for tier in TIERS.values() if tier.cached)
"""The tiers that have revisions and cached metrics, finest first: the order of raising."""

FIRST_STEPS: Final = (10_000, 60_000, 300_000, 3_600_000, 86_400_000, 604_800_000)
"""The steps of the cached tiers that there were when markers did not name theirs yet."""


def cached_steps() -> list[int]:
    """Return what a type's marker vouches for when it is set: the steps of the cached tiers, ascending.

    The marker says that the type's revisions are complete. Where a tier is added, taken away or changed, a
    stored one is about other tiers than there are: then the revisions are built again on first use, which
    raises every bucket of every tier, so nothing is believed that was computed from a tier without revisions.
    All processes on a store must know the same tiers: one that knows fewer raises fewer.
    """
    return sorted(tier.step for tier in CACHED_TIERS)


def are_cached_steps(stored: Collection[int] | None) -> bool:
    """Tell whether a stored marker is about the tiers that there are, neither more nor fewer.

    None: it was stored without them, and is about `FIRST_STEPS`.
    """
    return sorted(FIRST_STEPS if stored is None else stored) == cached_steps()


@dataclass(frozen=True, slots=True)
class Metric:
    """One number for one bucket.

    ``time``: the bucket's start. ``value``: None is "no value". ``group``: None where the
    expression has no group (a group itself is never null). ``other``: whether it is all that a ranking
    leaves out, under a name that no other group of the answer has.
    """

    time: int
    value: float | None
    group: Group | None = None
    other: bool = False


def group_key(group: Group) -> GroupKey:
    """Return the key by which groups are equal and ordered: numbers, strings, booleans; several part by part.

    ``1`` and ``1.0`` are one group; ``1``, ``"1"`` and ``True`` are three.
    """
    if isinstance(group, tuple):
        return several_key(map(group_key, group))
    return (_RANKS[type(group)], group)


def several_key(keys: Iterable[GroupKey]) -> GroupKey:
    """Return the key of a group of several parts, each with a key of its own."""
    return (_SEVERAL, tuple(keys))


def part_keys(key: GroupKey) -> tuple[GroupKey, ...]:
    """Return the keys of the parts of a group, which may be a single one."""
    return key[1] if key[0] == _SEVERAL else (key,)


def rest_key(name: str = "other") -> GroupKey:
    """Return the key of all groups that a ranking leaves out, under some name; it comes after all others."""
    return (_REST, name)


def is_rest(key: GroupKey) -> bool:
    """Tell whether a key is that of the rest, whatever its name."""
    return key[0] == _REST


def group_of_key(key: GroupKey) -> Group:
    """Return the group of a key; of the rest its name."""
    return tuple([part[1] for part in key[1]]) if key[0] == _SEVERAL else key[1]
