"""The plain list that the store and its evaluators are held against.

Every version of an event has a value that is a power of two of its own, so that a sum tells exactly which
versions were counted.
"""

from __future__ import annotations

import itertools
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

    @property
    def kind(self) -> int:
        """What a deletion may select by."""
        return self.value.bit_length() % 2


@dataclass(eq=False)
class Removal:
    """A deletion under way: of one kind of events (None: of all) in ``[start, stop)``.

    ``beside``: the versions whose saves ran at any time beside it.
    """

    kind: int | None
    start: int
    stop: int
    beside: set[Version] = field(default_factory=set)

    def selects(self, version: Version) -> bool:
        """Tell whether it deletes a version that it meets."""
        return self.start <= version.time < self.stop and self.kind in (None, version.kind)


@dataclass
class Model:
    """What may be stored under each id.

    ``certain``: id -> versions of which exactly one is stored; no entry where nobody acknowledged one.
    ``pending``: versions whose save has begun and not returned, or whose writer was killed.
    ``gone``: of each of these exactly one was stored until it was deleted, long after it had expired.
    ``doubtful``: versions that may have been stored and deleted so, or another one of their id is stored.
    ``maybe``: id -> versions of which one is stored or none, as they were saved beside a deletion, or
    somebody died who deleted. ``dead``: those of ``pending`` whose writer was killed. ``unswept``: what
    somebody may have deleted who died: it may be counted until a sweep.
    """

    certain: dict[str, set[Version]] = field(default_factory=dict)
    pending: set[Version] = field(default_factory=set)
    gone: list[frozenset[Version]] = field(default_factory=list)
    doubtful: set[Version] = field(default_factory=set)
    maybe: defaultdict[str, set[Version]] = field(default_factory=lambda: defaultdict(set))
    dead: set[Version] = field(default_factory=set)
    unswept: set[Version] = field(default_factory=set)
    removals: list[Removal] = field(default_factory=list)
    versions: int = 0
    _ran_beside: defaultdict[Version, list[Removal]] = field(default_factory=lambda: defaultdict(list))
    _overtook: defaultdict[Version, set[Version]] = field(default_factory=lambda: defaultdict(set))

    def version(self, id: str, time: int) -> Version:
        """Make the next version of an id."""
        self.versions += 1
        return Version(id, time, 1 << (self.versions - 1))

    def begin(self, versions: Iterable[Version]) -> None:
        """Note that a save has begun."""
        versions = list(versions)
        self.pending.update(versions)
        for removal in self.removals:
            removal.beside.update(versions)

    def acknowledge(self, versions: Iterable[Version]) -> None:
        """Note that a save has returned; what was acknowledged while it ran may have come after it."""
        for version in versions:
            self.pending.discard(version)
            stored = {version} | self._overtook[version]
            self.certain[version.id] = stored
            self.maybe.pop(version.id, None)
            if any(removal.selects(one) for removal in self._ran_beside[version] for one in stored):
                self._doubt(version.id)
            for rival in self.pending:
                if rival.id == version.id:
                    self._overtook[rival].add(version)

    def kill(self, versions: Iterable[Version]) -> None:
        """Note that the writer of some versions was killed: what it has done is done."""
        self.dead.update(versions)

    def begin_removal(self, removal: Removal) -> None:
        """Note that a deletion has begun."""
        self.removals.append(removal)
        removal.beside.update(self.pending - self.dead)

    def end_removal(self, removal: Removal) -> None:
        """Note that a deletion has returned: what it selects is gone, unless it was saved beside it."""
        self._leave(removal)
        self.unswept.clear()
        beside = {version.id for version in removal.beside}
        for id in [*self.certain]:
            if any(map(removal.selects, self.certain[id])):
                self._doubt(id)
        for id, versions in [*self.maybe.items()]:
            if id not in beside:
                self.maybe[id] = {version for version in versions if not removal.selects(version)}
        self.pending -= {one for one in self.dead if removal.selects(one) and one.id not in beside}

    def kill_removal(self, removal: Removal) -> None:
        """Note that somebody died who deleted: what was selected may be gone, and be counted all the same."""
        self._leave(removal)
        for id in [*self.certain]:
            if any(map(removal.selects, self.certain[id])):
                self._doubt(id)
        everything = itertools.chain(self.pending, *self.maybe.values())
        self.unswept.update(filter(removal.selects, everything))

    def sweep(self) -> None:
        """Note that what the dead have left was settled."""
        self.unswept.clear()

    def _leave(self, removal: Removal) -> None:
        self.removals.remove(removal)
        for version in removal.beside & self.pending:
            self._ran_beside[version].append(removal)

    def _doubt(self, id: str) -> None:
        self.maybe[id] |= self.certain.pop(id)

    def delete(self, before: int) -> None:
        """Note that the events before a time were deleted: a later version of such an id is another event."""
        for id, versions in list(self.certain.items()):
            if all(version.time < before for version in versions):
                self.gone.append(frozenset(self.certain.pop(id)))
            else:
                self.doubtful.update(version for version in versions if version.time < before)
        for versions in self.maybe.values():
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
        self.unswept = frozenset(model.unswept)
        self.widen(model.pending)
        for versions in model.maybe.values():
            self.widen(versions)
        for removal in model.removals:
            self.loosen(removal)

    def loosen(self, removal: Removal) -> None:
        """Note that a deletion runs beside the query."""
        for versions in self.certain.values():
            if any(map(removal.selects, versions)):
                self.widen(versions)

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
        for versions in (
            *self.certain.values(),
            *self.possible.values(),
            *self.gone,
            self.doubtful,
            self.unswept,
        ):
            for version in versions:
                allowed[tier.floor(version.time)] |= version.value
        for bucket, total in known.items():
            assert not total & ~allowed[bucket], f"{bucket} counts what cannot be there: {total:b}"
