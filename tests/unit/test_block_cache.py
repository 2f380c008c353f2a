"""What a bounded cache of segments keeps, and what it lets go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from evaluator.engine.block_cache import BlockCache


@dataclass(eq=False)
class Piece:
    """A segment as the cache sees it."""

    name: int
    bytes: int


@dataclass
class Reader:
    """Reads pieces through a cache, as a map of segments does."""

    bound: int
    size: int = 10
    held: dict[int, Piece] = field(default_factory=dict)
    read: int = 0

    def __post_init__(self) -> None:
        self.cache = BlockCache(self.bound)

    def ask(self, names: Iterable[int]) -> int:
        """Return how many of the pieces had to be read."""
        before = self.read
        for name in names:
            if name in self.held:
                self.cache.use(self.held[name])
            else:
                self.read += 1
                self.held[name] = Piece(name, self.size)
                self.cache.add(self.held[name], self.evict)
            assert self.cache.bytes == sum(piece.bytes for piece in self.held.values()) <= self.bound
        return self.read - before

    def evict(self, piece: Piece) -> None:
        del self.held[piece.name]
        self.cache.drop(piece)


def test_what_fits_is_never_read_again() -> None:
    reader = Reader(1_000)
    assert reader.ask(range(100)) == 100
    assert reader.ask(range(100)) == 0


@pytest.mark.parametrize("many", [101, 150, 300])
def test_a_scan_of_more_than_fits_finds_three_quarters_of_the_cache_again(many: int) -> None:
    reader = Reader(1_000)
    reader.ask(range(many))
    for _ in range(5):
        assert reader.ask(range(many)) <= many - 75


def test_one_long_scan_leaves_what_is_used_again_and_again() -> None:
    reader = Reader(1_000)
    for _ in range(3):
        reader.ask(range(50))
    reader.ask(range(1_000, 2_000))
    assert reader.ask(range(50)) == 0


def test_what_is_asked_for_anew_takes_the_place_of_what_was() -> None:
    reader = Reader(1_000)
    for _ in range(3):
        reader.ask(range(75))
    for _ in range(6):
        reader.ask(range(1_000, 1_020))
    assert reader.ask(range(1_000, 1_020)) == 0
    for _ in range(4):
        reader.ask(range(2_000, 2_024))
    assert reader.ask([*range(2_000, 2_024), *range(1_000, 1_020)]) == 0


def test_a_piece_of_any_size_is_taken_while_it_fits_alone() -> None:
    reader = Reader(100, size=20)
    for _ in range(2):
        reader.ask(range(5))
    reader.size = 60
    assert reader.ask([7]) == 1
    assert reader.ask([7]) == 0
    reader.size = 101
    assert reader.ask([8]) == 1
    assert 8 not in reader.held


def test_a_segment_that_never_fits_evicts_no_other() -> None:
    reader = Reader(100)
    reader.ask([*range(9), *range(9)])
    reader.size = 101
    assert reader.ask([9]) == 1
    assert sorted(reader.held) == [*range(9)]
