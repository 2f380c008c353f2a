"""The copy of the keys beside the spool: used while the store is away, and never in the way of anything."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.ingest.known_keys import KnownKeys, RememberedKeys
from cube.errors import Unavailable
from cube.model.environment import DEFAULT, Key, Scope, digest


class Stored:
    """The keys of a store."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.away = False

    async def all(self) -> list[Key]:
        if self.away:
            raise Unavailable("The store is away.")
        return list(self.keys)

    async def add(self, key: Key) -> None:
        self.keys.append(key)

    async def revoke(self, environment: str, id: str) -> bool:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""


@contextmanager
def full_disk() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def key(id: str) -> Key:
    return Key(id, digest(id), DEFAULT, frozenset(Scope), None, "")


async def test_a_copy_that_cannot_be_written_is_logged_once_and_the_revoked_key_is_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.json"
    stored = Stored(key("one"), key("two"))
    remembered = RememberedKeys(stored, KnownKeys(path))
    assert await remembered.all() == stored.keys
    stored.keys.pop()
    with full_disk():
        for _ in range(3):
            assert await remembered.all() == [key("one")]
    assert caplog.text.count("cannot be written") == 1
    assert left_in(tmp_path) == ["keys.json"]
    assert await remembered.all() == [key("one")]
    assert KnownKeys(path).read() == [key("one")]


async def test_a_start_needs_no_room_for_the_copy(tmp_path: Path) -> None:
    with full_disk():
        assert await RememberedKeys(Stored(key("one")), KnownKeys(tmp_path / "keys.json")).all() == [
            key("one")
        ]
    assert left_in(tmp_path) == []


async def test_the_copy_counts_until_the_store_has_answered_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    KnownKeys(path).write([key("old")])
    stored = Stored(key("new"))
    stored.away = True
    remembered = RememberedKeys(stored, KnownKeys(path))
    assert await remembered.all() == [key("old")]
    stored.away = False
    assert await remembered.all() == [key("new")]
    stored.away = True
    with pytest.raises(Unavailable):
        await remembered.all()


async def test_a_copy_that_is_deleted_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    remembered = RememberedKeys(Stored(key("one")), KnownKeys(path))
    await remembered.all()
    path.unlink()
    await remembered.all()
    assert KnownKeys(path).read() == [key("one")]
