"""Column files: after a restart nothing that was quiet is read again, and nothing stale is ever believed."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import pytest_asyncio

from cube.client import Emitter
from cube.model.event import Event
from cube.model.tier import Span
from cube.store import mongo
from cube.store.ports import Store
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from evaluator.engine.column_files import ColumnFiles
from evaluator.engine.file_bound import FileBound, size_on_disk
from evaluator.engine.idle import IdleWork
from evaluator.scheduling.scheduler import IDLE_SECONDS
from tests.daemon import CHECKOUT, daemon
from tests.evaluator_running import DAY, Bench, event
from tests.mongo_server import MongoServer, mongo_server
from tests.tools import LONG

__all__ = ["mongo_server"]

TEN, MINUTE, HOUR = 10_000, 60_000, 3_600_000
ROWS = 720

Evaluators = Callable[..., "Evaluator"]


class Evaluator(Bench):
    """An evaluator that keeps files in a folder, and does its idle work when it is told to."""

    def __init__(
        self,
        store: Store,
        executor: ThreadPoolExecutor,
        folder: Path,
        *,
        most: int = 10**9,
        memory: int = 10**7,
        **kept: Any,
    ) -> None:
        self.files = ColumnFiles(folder, store.identity)
        super().__init__(store, executor, kept=BlockCache(memory), files=self.files)
        assert self.blocks is not None
        self.bound = FileBound((folder,), most)
        options = {"least_rows": 1, "quiet_seconds": 0.0, "share": 0.0, "read_seconds": 1e6, **kept}
        self.idle = IdleWork(self.context, self.blocks, self.files, self.bound, **options)

    async def asked(self, expression: str, step: int = MINUTE, hours: int = 2) -> list[float | None]:
        return await self.values(expression, step, DAY, DAY + hours * HOUR)

    def paths(self) -> list[Path]:
        return sorted(self.files.folder.rglob("*.arrow"))


@pytest_asyncio.fixture
async def started(tmp_path: Path) -> AsyncIterator[Evaluators]:
    """Starts evaluators, each as if it were a process of its own, on 2 h of events and one folder."""
    store = await open_store(tmp_path, "files")
    made: list[Evaluator] = []
    with ThreadPoolExecutor(2) as executor:

        def start(folder: str = "blocks", **options: Any) -> Evaluator:
            made.append(Evaluator(store, executor, tmp_path / folder, **options))
            return made[-1]

        await store.events.save("test", [_event(number) for number in range(ROWS)])
        yield start
        for evaluator in made:
            await evaluator.pyramid.close()
    await store.close()


def _event(number: int, value: int | None = None) -> Event:
    data = {"v": number if value is None else value, "w": {"x": str(number % 3)}, "y": number % 2 == 0}
    return event(DAY + number * TEN, data, id=f"e{number}")


SUMS = [sum(range(6 * minute, 6 * minute + 6)) for minute in range(120)]


async def test_a_question_after_a_restart_reads_no_event(started: Evaluators) -> None:
    assert await started().idle.look()

    again = started()
    assert await again.asked("sum(test(v))") == SUMS
    assert await again.asked('count(test.eq(w.x, "1"))', HOUR) == [120, 120]
    assert await again.asked("distinct(test(y))", HOUR) == [2, 2]
    assert again.seen.scans == []


async def test_fields_that_nobody_asked_for_are_in_the_files_too(started: Evaluators) -> None:
    first = started()
    await first.asked("sum(test(v))")
    assert await first.idle.look()
    first.seen.clear()

    assert await first.asked("count(test(v).eq(y, true))", HOUR) == [180, 180]
    assert first.seen.scans == []


async def test_what_has_changed_since_is_read_again_and_nothing_else(started: Evaluators) -> None:
    """A late event, one in the place of another, and one that moves to another hour."""
    assert await started().idle.look()
    changed = started()
    moved = event(DAY + 90 * MINUTE, {"v": 5000}, id="e30")
    await changed.save(_event(60, 1000), event(DAY + 3, {"v": 7}), moved)

    expected = SUMS.copy()
    expected[0] += 7
    expected[10] += 1000 - 60
    expected[5] -= 30
    expected[90] += 5000
    assert await changed.asked("sum(test(v))") == expected
    assert {span.start for span in changed.seen.scans} == {
        *(DAY, DAY + 5 * MINUTE, DAY + 10 * MINUTE, DAY + 90 * MINUTE)
    }
    assert all(span.length == TEN for span in changed.seen.scans)


async def test_stale_files_are_made_anew(started: Evaluators) -> None:
    first = started()
    assert await first.idle.look()
    old = first.paths()
    await first.save(_event(3, 9))
    assert await started().idle.look()

    new = first.paths()
    assert len(new) == len(old) == 2
    assert len(set(new) & set(old)) == 1
    again = started()
    assert (await again.asked("sum(test(v))"))[0] == SUMS[0] + 6
    assert again.seen.scans == []


async def test_a_busy_hour_waits_and_makes_no_files(started: Evaluators) -> None:
    made = started(quiet_seconds=1000.0)
    for number in range(3):
        assert not await made.idle.look()
        await made.save(_event(number, 1))
    assert made.paths() == []


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-9], lambda text: b"", lambda text: text[:999] + b"\0" * 999]
)
async def test_a_damaged_file_is_removed_and_its_hour_read_anew(
    started: Evaluators, damage: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    first = started()
    assert await first.idle.look()
    for path in first.paths():
        path.write_bytes(damage(path.read_bytes()))

    again = started()
    assert await again.asked("sum(test(v))") == SUMS
    assert again.paths() == []
    assert len(again.seen.scans) == 2
    assert "made anew" in caplog.text
    assert await first.idle.look()
    assert len(first.paths()) == 2


async def test_files_of_another_database_are_not_believed(started: Evaluators, tmp_path: Path) -> None:
    """Even at equal revisions: somebody put another database in the place of the first."""
    first = started()
    assert await first.idle.look()
    other = started()
    other.files._identity = "another"

    assert await other.asked("sum(test(v))") == SUMS
    assert len(other.seen.scans) == 2


async def test_a_file_under_another_name_is_not_believed(started: Evaluators) -> None:
    first = started()
    assert await first.idle.look()
    early, late = first.paths()
    shutil.copy(early, late)

    again = started()
    assert await again.asked("sum(test(v))") == SUMS
    assert len(again.seen.scans) == 1


async def test_files_of_what_has_expired_go(started: Evaluators) -> None:
    first = started()
    assert await first.idle.look()
    await first.store.events.expire("test", DAY + HOUR + MINUTE)
    again = started()
    assert (await again.asked("sum(test(v))"))[:61] == [None] * 61
    assert await again.idle.look()

    assert all(
        Span(*map(int, path.name.partition(".")[0].split("-"))).start > DAY + HOUR for path in again.paths()
    )
    await first.store.events.delete_events("test", DAY + HOUR + MINUTE)
    assert (await started().asked("sum(test(v))"))[61:] == SUMS[61:]


async def test_the_disk_bound_is_kept_and_the_oldest_hours_go_first(started: Evaluators) -> None:
    whole = started()
    assert await whole.idle.look()
    _, late = whole.paths()
    size = size_on_disk(late.stat())

    bounded = started(most=int(1.5 * size))
    assert await bounded.idle.look()
    assert bounded.paths() == [late]
    assert bounded.bound.keep().bytes <= 1.5 * size
    assert await bounded.idle.look()
    assert bounded.paths() == [late]
    assert await started().asked("sum(test(v))") == SUMS


async def test_without_room_for_one_file_there_is_none(started: Evaluators) -> None:
    made = started(most=100)
    for _ in range(3):
        await made.idle.look()
    assert made.paths() == []


async def test_while_the_disk_is_nearly_full_no_files_are_made(started: Evaluators) -> None:
    made = started()
    made.idle._bound = FileBound(made.bound.folders, made.bound.bytes, free_share=1.1)
    await made.idle.look()
    assert made.paths() == []


async def test_deleted_files_are_made_again(started: Evaluators) -> None:
    made = started()
    assert await made.idle.look()
    for path in made.paths():
        path.unlink()
    assert await made.idle.look()
    assert len(made.paths()) == 2


async def test_two_evaluators_share_a_folder(started: Evaluators) -> None:
    first, second = started(), started()
    assert all(await asyncio.gather(first.idle.look(), second.idle.look()))
    for number in range(4):
        await first.save(_event(number, 100))
        await asyncio.gather(
            first.idle.look(), second.idle.look(), first.asked(f"sum(test(v)) * {number + 2}")
        )
    assert await first.idle.look()
    assert await second.idle.look()

    assert len(first.paths()) == 2
    assert list(first.files.folder.rglob("*.part")) == []
    again = started()
    assert await again.asked("sum(test(v))") == [400 + 4 + 5, *SUMS[1:]]
    assert again.seen.scans == []


async def test_a_folder_that_cannot_be_written_to_costs_nothing_but_the_files(
    started: Evaluators, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("not a folder")
    made = started("taken")
    with pytest.raises(OSError, match="taken"):
        await made.idle.look()
    assert await made.asked("sum(test(v))") == SUMS


async def test_files_are_their_owners_alone(started: Evaluators) -> None:
    made = started()
    assert await made.idle.look()
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.paths()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.files.folder.rglob("*") if path.is_dir()} == {
        0o700
    }


async def test_what_is_being_written_is_left_to_its_writer(started: Evaluators) -> None:
    made = started()
    made.files.folder.mkdir()
    part = made.files.folder / "0-1.1.1.arrow.00.part"
    part.touch()
    made.bound.keep()
    assert part.exists()


async def test_no_idle_work_is_done_while_somebody_asks(started: Evaluators) -> None:
    made = started()
    with made.scheduler.asking():
        look = asyncio.create_task(made.idle.look())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(look), 3 * IDLE_SECONDS)
        assert made.paths() == []
    assert await asyncio.wait_for(look, 60)
    assert len(made.paths()) == 2


async def test_it_ends_when_it_is_cancelled(started: Evaluators) -> None:
    made = started()
    running = asyncio.create_task(made.idle.run())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert made.paths() == []


async def test_seconds_and_tens_of_seconds_come_from_files_too(started: Evaluators) -> None:
    assert await started().idle.look()
    again = started()
    assert await again.values("sum(test(v))", TEN, DAY, DAY + HOUR) == list(range(360))
    assert await again.values("sum(test(v))", 1_000, DAY, DAY + TEN) == [0] * 10
    assert again.seen.scans == []


async def test_an_hour_of_more_events_than_a_segment_has_several_files(
    started: Evaluators, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluator.engine.shredding.MOST_CELLS", 300)
    first = started()
    assert await first.idle.look()
    assert len(first.paths()) == 4

    again = started()
    assert await again.asked("sum(test(v))") == SUMS
    assert again.seen.scans == []


async def test_a_mongodb_has_files_too(tmp_path: Path, mongo_server: MongoServer) -> None:
    name = mongo_server.database()
    store = await mongo.open_store(mongo_server.url, name)
    await store.events.save("test", [_event(number) for number in range(ROWS)])
    with ThreadPoolExecutor(2) as executor:
        first, again = (Evaluator(store, executor, tmp_path / "blocks") for _ in range(2))
        assert await first.idle.look()
        await store.events.save("test", [_event(60, 1000)])
        expected = [*SUMS[:10], SUMS[10] + 940, *SUMS[11:]]
        assert await again.asked("sum(test(v))") == expected
        assert again.seen.scans == [Span(DAY + 10 * MINUTE, DAY + 10 * MINUTE + TEN)]
        for evaluator in (first, again):
            await evaluator.pyramid.close()
    await store.close()
    mongo_server.forget(name)


def test_an_evaluator_that_keeps_no_files_never_imports_pyarrow() -> None:
    """Which takes 27 MB, and some tens of milliseconds."""
    text = "import sys, evaluator.main; sys.exit('pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", text], cwd=CHECKOUT, check=True)


@pytest.mark.skipif(not LONG, reason="takes seconds: an hour has to be quiet first")
def test_a_daemon_that_is_restarted_answers_from_files(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}"
    flags = ("--blocks-disk-bytes", "1000000000")
    with daemon("collector", url, tmp_path) as collector, Emitter(collector.http) as emitter:
        emitter.send({"type": "test", "time": DAY + number, "data": {"v": number}} for number in range(600))
    with daemon("evaluator", url, tmp_path, *flags):
        deadline = time.monotonic() + 100
        while not list(tmp_path.rglob("*.arrow")):
            assert time.monotonic() < deadline, "no file was made"
            time.sleep(0.1)
    with daemon("evaluator", url, tmp_path, *flags) as evaluator:
        question = urlencode({"expression": "sum(test(v))", "start": DAY, "stop": DAY + HOUR, "step": HOUR})
        with urlopen(f"{evaluator.http}/1.0/metric?{question}") as answer:
            assert [row["value"] for row in json.load(answer)] == [sum(range(600))]
        with urlopen(f"{evaluator.http}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        assert {"cube_scanned_events_total 0.0", "cube_filed_events_total 600.0"} <= set(lines)
