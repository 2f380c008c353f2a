"""Messages that have come in part: counted, and cut where they are too much together."""

from __future__ import annotations

from cube.web.memory_budget import MemoryBudget


class Holder:
    """A connection that only knows whether it was cut."""

    def __init__(self) -> None:
        self.is_cut = False

    def cut(self) -> bool:
        self.is_cut = True
        return True


def test_what_is_held_is_what_all_hold_now() -> None:
    unfinished = MemoryBudget(100, lambda: None)
    one, other = Holder(), Holder()
    unfinished.hold(one, 40)
    unfinished.hold(other, 40)
    unfinished.hold(one, 50)
    assert unfinished.held == 90
    unfinished.hold(one, 0)
    assert unfinished.held == 40
    assert not one.is_cut
    assert not other.is_cut


def test_over_the_limit_the_largest_is_cut() -> None:
    cuts: list[None] = []
    unfinished = MemoryBudget(100, lambda: cuts.append(None))
    holders = small, large, last = Holder(), Holder(), Holder()
    for holder, size in zip(holders, (20, 60, 30), strict=True):
        unfinished.hold(holder, size)
    assert [holder.is_cut for holder in (small, large, last)] == [False, True, False]
    assert unfinished.held == 50
    assert len(cuts) == 1


def test_as_many_are_cut_as_must_be() -> None:
    unfinished = MemoryBudget(100, lambda: None)
    holders = [Holder() for _ in range(4)]
    for holder in holders[:3]:
        unfinished.hold(holder, 30)
    unfinished.hold(holders[3], 130)
    assert [holder.is_cut for holder in holders] == [False, False, False, True]
    assert unfinished.held == 90
