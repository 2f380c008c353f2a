"""What Cube keeps on a disk is its owner's alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cube import files
from cube.model.environment import DEFAULT, Environment, Key, digest
from cube.model.event import Event
from cube.process.event_loop import tell_ready
from cube.spool import Spool
from cube.store.factory import opened


def modes(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*")
    }


def expected(directory: Path) -> dict[str, int]:
    return {
        str(path.relative_to(directory)): 0o700 if path.is_dir() else 0o600 for path in directory.rglob("*")
    }


async def fill(directory: Path) -> None:
    """Make all the files that there are: events, metrics, keys, their logs, a spool and a ready file."""
    async with opened(f"sqlite:{directory / 'a' / 'b'}", [Environment(DEFAULT, "cube")], "cube") as databases:
        await databases.stores[DEFAULT].events.save("a", [Event("a", 0, "id", {})])
        await databases.stores[DEFAULT].metrics.delete(0)
        await databases.keys.add(Key("k", digest("secret"), DEFAULT))
        spool = await Spool.open(
            directory / "c" / "spool",
            "cube",
            "mark",
            limit_bytes=2**30,
            clock=lambda: 0,
            on_damage=lambda _: None,
        )
        await spool.append([Event("a", 0, "id", {})])
        tell_ready(str(directory / "ready.json"), {})
        found = modes(directory)
        assert {
            f"a/b/cube.{name}" for name in ("events.db", "events.db-wal", "metrics.db", "keys.db")
        } <= found.keys()
        assert [name for name in found if name.startswith("c/spool/")]
        assert found == expected(directory)
        await spool.close()


async def test_files_and_directories_are_their_owners_alone(tmp_path: Path) -> None:
    await fill(tmp_path)
    assert modes(tmp_path) == expected(tmp_path)


async def test_files_that_others_could_read_are_closed_to_them_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = f"sqlite:{tmp_path / 'data'}"
    async with opened(store, [Environment(DEFAULT, "cube")], "cube"):
        pass
    file = tmp_path / "data" / "cube.events.db"
    file.chmod(0o644)
    async with opened(store, [Environment(DEFAULT, "cube")], "cube"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"others had rights to the file {file} (644); they are taken away" in caplog.text


def test_a_directory_that_is_there_stays_as_it_is_and_it_is_said_where_others_may_write(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for mode, said in ((0o755, False), (0o1777, False), (0o770, True)):
        tmp_path.chmod(mode)
        caplog.clear()
        files.make_directory(tmp_path)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == mode
        assert ("others can put files into the directory" in caplog.text) is said
    tmp_path.chmod(0o700)


def test_a_ready_file_that_is_a_device_is_written_to_and_stays() -> None:
    master, slave = os.openpty()
    terminal = Path(os.ttyname(slave))
    try:
        tell_ready(str(terminal), {"http": "here"})
        assert b'"here"' in os.read(master, 100)
        assert terminal.is_char_device()
    finally:
        os.close(master)
        os.close(slave)


def test_a_pipe_stays_one_and_takes_what_is_written(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.remove(pipe)
        files.write(pipe, b"ready")
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert os.read(reader, 100) == b"ready"
    finally:
        os.close(reader)
    with pytest.raises(OSError, match="No such device"):  # nobody reads: not waited for
        files.write(pipe, b"again")


def test_what_the_system_links_to_is_neither_replaced_nor_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as log:
        log.write(b"a line\n")
        log.flush()
        link = Path(f"/dev/fd/{log.fileno()}")
        files.remove(link)
        files.write(link, b"ready\n")
        assert link.is_symlink()
    assert file.read_bytes() == b"a line\nready\n"


def test_a_link_of_ones_own_gives_way_to_a_file(tmp_path: Path) -> None:
    link, old = tmp_path / "link", tmp_path / "old"
    old.write_text("old")
    link.symlink_to(old)
    files.write(link, b"new")
    assert (link.read_text(), old.read_text(), link.is_symlink()) == ("new", "old", False)
    files.remove(link)
    assert not link.exists()
