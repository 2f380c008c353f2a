"""The plain list that the store and its evaluators are held against.

Every version of an event has a value that is a power of two of its own, so that a sum tells exactly which
versions were counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

MAX_VERSIONS = 50  # their values sum to less than 2**53: floats hold every such sum


@dataclass(frozen=True, slots=True)
class Version:
    """One event as it was once sent."""

    id: str
    time: int
    value: int


@dataclass
class Model:
    """What may be stored under each id.

    ``certain``: id -> versions of which exactly one is stored; no entry where nobody acknowledged one.
    ``pending``: versions whose save has begun and not returned, or whose writer was killed.
    ``gone``: of each of these exactly one was stored until it was deleted, long after it had expired.
    ``doubtful``: versions that may have been stored and deleted so, or another one of their id is stored.
    """

    certain: dict[str, set[Version]] = field(default_factory=dict)
    pending: set[Version] = field(default_factory=set)
    gone: list[frozenset[Version]] = field(default_factory=list)
    doubtful: set[Version] = field(default_factory=set)
    versions: int = 0
    _overtook: defaultdict[Version, set[Version]] = field(default_factory=lambda: defaultdict(set))

    def version(self, id: str, time: int) -> Version:
        """Make the next version of an id."""
        self.versions += 1
        return Version(id, time, 1 << (self.versions - 1))

    def begin(self, versions: Iterable[Version]) -> None:
        """Note that a save has begun."""
        self.pending.update(versions)

    def acknowledge(self, versions: Iterable[Version]) -> None:
        """Note that a save has returned; what was acknowledged while it ran may have come after it."""
        for version in versions:
            self.pending.discard(version)
            self.certain[version.id] = {version} | self._overtook[version]
            for rival in self.pending:
                if rival.id == version.id:
                    self._overtook[rival].add(version)

    def delete(self, before: int) -> None:
        """Note that the events before a time were deleted: a later version of such an id is another event."""
        for id, versions in list(self.certain.items()):
            if all(version.time < before for version in versions):
                self.gone.append(frozenset(self.certain.pop(id)))
            else:
                self.doubtful.update(version for version in versions if version.time < before)


class Buckets(Protocol):
    """A tier, or whatever else has buckets."""

    def floor(self, time: int) -> int: ...


class Window:
    """What one query may see: fixed when it begins, widened by the saves that run beside it."""

    def __init__(self, model: Model) -> None:
        self.certain = {id: frozenset(versions) for id, versions in model.certain.items()}
        self.gone = tuple(model.gone)
        self.doubtful = frozenset(model.doubtful)
        self.possible: defaultdict[str, set[Version]] = defaultdict(set)
        self.widen(model.pending)

    def widen(self, versions: Iterable[Version]) -> None:
        """Note that a save began while the query runs."""
        for version in versions:
            self.possible[version.id].add(version)

    def check(self, sums: Mapping[int, float | None], tier: Buckets, expired_before: int | None) -> None:
        """Raise AssertionError unless the sums by bucket are what the promise allows.

        Of an id that nobody is writing, exactly the acknowledged version is counted. Beside a write it
        may be the old one, the new one, or none. A bucket that starts before the expiry may have no value;
        if it has one, that is right, and counts what has been deleted.
        """
        known = {bucket: int(total) for bucket, total in sums.items() if total is not None}
        lost = sums.keys() - known.keys()
        assert all(expired_before is not None and bucket < expired_before for bucket in lost), lost
        for versions in (*self.certain.values(), *self.gone):
            inside = [version for version in versions if tier.floor(version.time) in known]
            counted = [version for version in inside if known[tier.floor(version.time)] & version.value]
            (id,) = {version.id for version in versions}
            if not self.possible[id] and len(inside) == len(versions):
                assert len(counted) == 1, f"of {id}'s acknowledged {set(versions)}, {counted} are counted"
        self._check_nothing_else(known, tier)

    def _check_nothing_else(self, known: Mapping[int, int], tier: Buckets) -> None:
        allowed: defaultdict[int, int] = defaultdict(int)
        for versions in (*self.certain.values(), *self.possible.values(), *self.gone, self.doubtful):
            for version in versions:
                allowed[tier.floor(version.time)] |= version.value
        for bucket, total in known.items():
            assert not total & ~allowed[bucket], f"{bucket} counts what cannot be there: {total:b}"
