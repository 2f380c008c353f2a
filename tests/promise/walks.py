"""Random walks through a world: short, cheap, and for each seed always the same.

They are what a broken rule is held against (`tests.promise.mutations`); hypothesis explores further, and
shrinks what it finds, but what it tries changes with its version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import pairwise
from random import Random
from unittest import mock

from cube.model.tier import TEN_SECONDS
from cube.store.sqlite import packs
from tests.promise.asked import GRIDS, IDS, STEPS, TIMES, Asked
from tests.promise.places import ClusterPlace, Place
from tests.promise.under_way import Save
from tests.promise.world import COLLECTORS, World

STEPS_OF_A_WALK = 120


def walk(
    make: Callable[[], Place],
    seed: int,
    steps: int = STEPS_OF_A_WALK,
    *,
    files: bool = False,
    windows: bool = False,
    grids: bool = False,
    deletions: bool = False,
    ahead: bool = False,
    charts: bool = False,
) -> None:
    """Take one walk of so many steps; raises AssertionError where an answer breaks the promise.

    ``files``: whether an evaluator keeps column files, and is restarted now and then. ``windows``: whether
    functions of series are asked for. ``grids``: whether buckets are of grids that are not tiers.
    ``deletions``: whether events are deleted by expressions, beside column files. ``ahead``: whether buckets
    are read ahead, and events are stored in packs, however few. ``charts``: the same, and questions that are
    alike are asked of a bucket that has just closed.
    """
    ahead = ahead or charts
    kinds = {
        _ChartsWalker: charts,
        _AheadWalker: ahead,
        _DeletionsWalker: deletions,
        _GridsWalker: grids,
        _WindowsWalker: windows,
        _FilesWalker: files,
    }
    kind = next((kind for kind, is_asked in kinds.items() if is_asked), _Walker)
    with mock.patch.object(packs, "MIN_EVENTS", 1) if ahead else nullcontext():
        _walk(kind, World(make, files=files or deletions, made_ids=ahead), seed, steps)


def _walk(kind: type[_Walker], world: World, seed: int, steps: int) -> None:
    try:
        walker = kind(world, Random(seed))
        for _ in range(steps):
            walker.step()
        walker.rest()
        world.settle()
        world.compare(TIMES[-1:])
    finally:
        world.close()


class _Walker:
    """Chooses what happens next: saves and questions about one neighbourhood of time, mostly, at two tiers.

    Most questions are of one evaluator, so that they meet each other's flights.
    """

    def __init__(self, world: World, random: Random) -> None:
        self._world = world
        self._random = random
        self._near = random.randrange(len(TIMES) - 2)
        self._near_times = TIMES[self._near : self._near + 3]
        self._steps = [random.choice(_telling(self._near_times)), random.choice(STEPS)]
        once = [self._save, self._write_on, self._ask, self._overtake, self._cancel, world.flush]
        self._actions = [*once, self._ask, *[self._read_on] * 4]
        if isinstance(world.place, ClusterPlace):
            self._actions.append(world.place.split)

    def step(self) -> None:
        """Do one thing."""
        if self._random.random() < 0.1 and self._world.is_quiet:
            self._expire()
        elif self._random.random() < 0.04:
            self.rest()
        else:
            self._random.choice(self._actions)()

    def rest(self) -> None:
        """Let all who are at work finish."""
        for save in list(self._world.saves):
            self._world.drive(save)
        while self._world.readers:
            self._world.let_on(self._random.choice(self._world.readers))

    def _time(self) -> int:
        return self._random.choice(self._near_times if self._random.random() < 0.85 else TIMES)

    def _save(self, most: int = 2) -> Save | None:
        ids = self._random.sample(IDS, self._random.randint(1, most))
        return self._world.begin_save(self._random.randrange(COLLECTORS), [(id, self._time()) for id in ids])

    def _write_on(self) -> None:
        if self._world.saves:
            self._world.drive(self._random.choice(self._world.saves), self._random.choice((1, 3, 10_000)))

    def _ask(self) -> None:
        step = self._steps[self._random.random() < 0.25]
        asked = self._asked(step, self._time(), self._random.randint(0, 1), self._random.randint(1, 3))
        self._world.begin_question(int(self._random.random() < 0.2), asked)

    def _overtake(self) -> None:
        """Save while a question reads revisions, or is computed, and ask it again."""
        asked = self._asked(self._steps[0], self._near_times[1], 2, 3)
        first = self._world.begin_question(0, asked)
        if first is None:
            return
        self._world.let_on(first.actor, self._random.choice((2, 10, 10)))
        for flight in list(self._world.flights[0].actors):
            self._world.let_on(flight, self._random.randint(2, 7))
        save = self._save(1)
        if save is not None:
            self._world.drive(save)
        second = self._world.begin_question(0, asked)
        if second is not None:
            self._world.let_on(second.actor, 10)

    def _asked(self, *asked: int) -> Asked:
        return Asked(*asked)

    def _read_on(self) -> None:
        if self._world.readers:
            self._world.let_on(self._random.choice(self._world.readers), self._random.randint(1, 4))

    def _cancel(self) -> None:
        if self._world.questions and self._random.random() < 0.3:
            self._world.cancel(self._random.choice(self._world.questions))

    def _expire(self) -> None:
        before = self._random.choice(TIMES[: self._near + 3])
        self._world.expire(before)
        if self._random.random() < 0.7:
            self._world.delete_events(before)
        if self._random.random() < 0.6:
            self._world.forget(before, with_metrics=self._random.random() < 0.5)


class _FilesWalker(_Walker):
    """The same with column files: what is in them is asked for after restarts."""

    def __init__(self, world: World, random: Random) -> None:
        super().__init__(world, random)
        self._actions += [self._shred, self._shred, self._restart]

    def _shred(self) -> None:
        self._world.shred(self._time())

    def _restart(self) -> None:
        self._world.restart(self._random.choice((10**7, 2_000)))


class _WindowsWalker(_Walker):
    """The same about intervals that functions of series have moved."""

    def _asked(self, *asked: int) -> Asked:
        return Asked(*asked, function=self._random.choice(("shift", "rolling", "top", "")))


class _DeletionsWalker(_FilesWalker):
    """The same with deletions, and with writers and deleters that die."""

    def __init__(self, world: World, random: Random) -> None:
        super().__init__(world, random)
        self._actions += [self._delete, self._delete, self._delete_between, self._kill]

    def _delete(self) -> None:
        kind = self._random.choice((0, 1, None))
        start, stop = sorted(self._random.sample((TIMES[0] - 1, *TIMES, TIMES[-1] + 1), 2))
        self._world.begin_removal(self._random.randrange(COLLECTORS), kind, start, stop)

    def _delete_between(self) -> None:
        """Ask before, beside and after a deletion, and replace what it has found by something else."""
        asked = self._asked(self._steps[0], self._near_times[1], 2, 3)
        kind = self._random.choice((0, 1, None))
        self._world.ask(0, asked)
        removal = self._world.begin_removal(self._random.randrange(COLLECTORS), kind, TIMES[0], TIMES[-1] + 1)
        if removal is None:
            return
        self._world.drive(removal, self._random.choice((1, 2, 2, 10_000)))
        stored = [one for versions in self._world.model.certain.values() for one in versions]
        if stored and self._random.random() < 0.5:
            again = self._random.choice(stored)
            save = self._world.begin_save(self._random.randrange(COLLECTORS), [(again.id, again.time)])
            if save is not None:
                self._world.drive(save)
        self._world.ask(0, asked)
        if removal in self._world.saves:
            self._world.drive(removal)
        self._world.ask(0, asked)

    def _kill(self) -> None:
        if self._world.saves and self._random.random() < 0.3:
            self._world.kill(self._random.choice(self._world.saves))
            if self._random.random() < 0.5:
                self._world.sweep()


class _AheadWalker(_DeletionsWalker):
    """The same with buckets that are read ahead, whose events are stored in packs; nobody dies."""

    def __init__(self, world: World, random: Random) -> None:
        super().__init__(world, random)
        gone = (self._kill, self._shred, self._restart)
        self._actions = [each for each in self._actions if each not in gone]
        self._actions += [self._read_ahead, *[self._close] * 6]

    def _read_ahead(self) -> None:
        self._world.read_ahead(self._time())

    def _close(self) -> None:
        """Read a bucket ahead, let more come in, be replaced or be deleted, and ask."""
        time = self._near_times[1]
        asked = self._asked(self._steps[0], time, 2, 3)
        for _ in range(2):
            self._world.ask(0, asked)
            self._world.read_ahead(time)
            for reader in list(self._world.shredding):
                self._world.let_on(reader, self._random.choice((3, 10_000, 10_000)))
            for _ in range(self._random.randint(1, 3)):
                is_removed = self._random.random() < 0.3
                writer = self._removal(time) if is_removed else self._save_at(time)
                if writer is not None:
                    self._world.drive(writer)
        self._world.ask(0, asked)

    def _save_at(self, time: int) -> Save | None:
        ids = self._random.sample(IDS, self._random.randint(1, 2))
        return self._world.begin_save(self._random.randrange(COLLECTORS), [(id, time) for id in ids])

    def _removal(self, time: int) -> Save | None:
        kind = self._random.choice((0, 1, None))
        return self._world.begin_removal(self._random.randrange(COLLECTORS), kind, time - 4_000, time + 1)


class _ChartsWalker(_AheadWalker):
    """The same with questions about buckets whose columns are in memory, which share scans."""

    def __init__(self, world: World, random: Random) -> None:
        super().__init__(world, random)
        self._actions += [self._share] * 6

    def _share(self) -> None:
        """Ask while others wait for the scan of the same buckets to begin, before and after more came in."""
        time, step = self._near_times[1], TEN_SECONDS.step
        self._world.ask(0, Asked(step, time, 0, 1))
        self._world.read_ahead(time)
        for reader in list(self._world.shredding):
            self._world.let_on(reader, 10_000)
        for after in self._random.sample((1, 2, 2, 3), self._random.randint(2, 4)):
            question = self._world.begin_question(0, Asked(step, time, 0, after))
            if question is not None:
                self._world.let_on(question.actor, self._random.choice((3, 10, 10)))
            if self._random.random() < 0.5:
                save = self._save_at(time)
                if save is not None:
                    self._world.drive(save)


class _GridsWalker(_Walker):
    """The same about buckets of two grids, mostly of one."""

    def __init__(self, world: World, random: Random) -> None:
        super().__init__(world, random)
        self._grids = random.sample(GRIDS, 2)

    def _asked(self, *asked: int) -> Asked:
        return Asked(*asked, grid=self._grids[self._random.random() < 0.25])


def _telling(times: Sequence[int]) -> list[int]:
    """Return the steps of tiers at which some times are in buckets that one question may ask for."""
    return [
        step
        for step in STEPS
        if any(0 < later // step - time // step <= 2 for time, later in pairwise(times))
    ]
