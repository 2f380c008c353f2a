"""What a spool's disk may do to it: full, deleted, damaged."""

from __future__ import annotations

import resource
import shutil

from tests.fault.sending import exchange, figure, put
from tests.fault.stage import Stage, event, stage, until_drained, until_stored
from tests.fault.test_full_disk import limit_files

__all__ = ["stage"]


def test_at_the_limit_of_the_spool_it_is_a_503_until_it_is_drained(stage: Stage) -> None:
    with stage.collector("--spool-bytes", str(2**20)) as collector:
        until_stored(collector, event(0))
        stage.refuse()
        kept = {0}
        for id in range(1, 100):
            status, answer = put(collector, [event(id, "x" * 30_000)])
            if status == 202:
                kept.add(id)
        assert status == 503
        assert answer["error"].startswith("The spool holds")
        assert 20 < len(kept) < 40
        stage.well()
        until_drained(collector)
        until_stored(collector, event(200, "x" * 30_000))
    assert set(stage.stored()) == {*kept, 200}


def test_on_a_full_disk_the_spool_is_a_503_and_keeps_what_it_has(stage: Stage) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(0))
        stage.refuse()
        assert put(collector, [event(1)])[0] == 202
        limit_files(collector, 300_000)
        statuses = [put(collector, [event(id, "x" * 30_000)])[0] for id in range(2, 32)]
        assert {202, 503} == set(statuses)
        assert statuses[-1] == 503
        limit_files(collector, resource.RLIM_INFINITY)
        assert put(collector, [event(99)])[0] == 202
        stage.well()
        until_drained(collector)
    kept = {id for id, status in zip(range(2, 32), statuses, strict=True) if status == 202}
    assert set(stage.stored()) == {0, 1, 99, *kept}


def test_a_full_disk_drains_and_is_free_again_though_nobody_makes_room(stage: Stage) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(0))
        stage.refuse()
        assert put(collector, [event(1)])[0] == 202
        limit_files(collector, 300_000)
        statuses = [put(collector, [event(id, "x" * 30_000)])[0] for id in range(2, 32)]
        assert statuses[-1] == 503
        stage.well()
        until_drained(collector)
        until_stored(collector, event(1, "after"), event(99))
        assert list((stage.directory / "spool").glob("*.db-wal")) == []
    kept = {id for id, status in zip(range(2, 32), statuses, strict=True) if status == 202}
    assert stage.stored() == {0: None, 1: "after", 99: None, **dict.fromkeys(kept, "x" * 30_000)}


def test_a_spool_directory_that_is_deleted_is_a_503_and_not_ready(stage: Stage) -> None:
    with stage.collector() as collector:
        until_stored(collector, event(0))
        assert exchange(collector, "GET", "/readyz")[0] == 200
        shutil.rmtree(stage.directory / "spool")
        status, _, told = exchange(collector, "GET", "/readyz")
        assert (status, b"The spool's directory was deleted" in told) == (503, True)
        stage.refuse()
        status, answer = put(collector, [event(1)])
        assert (status, str(stage.directory) in answer["error"]) == (503, False)
    assert (
        f"the spool directory {stage.directory / 'spool'} was deleted"
        in (stage.directory / "collector.log").read_text()
    )


def test_a_collector_starts_whatever_lies_in_its_spool(stage: Stage) -> None:
    spool = stage.directory / "spool"
    with stage.collector() as collector:
        until_stored(collector, event(0))
        stage.refuse()
        for first in range(0, 1_000, 100):
            assert put(collector, [event(id, "x" * 50) for id in range(first, first + 100)])[0] == 202
    (path,) = spool.glob("*.spool.db")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    (spool / path.name.replace(path.name.split(".")[2], "0-garbage")).write_bytes(b"no database" * 999)
    (spool / "notes.txt").write_text("left alone")
    stage.well()
    with stage.collector() as collector:
        until_drained(collector)
        assert figure(collector, "cube_spool_damaged_total") >= 1
        until_stored(collector, event(2_000))
    assert len(stage.stored()) > 900
    assert sorted(path.suffix for path in spool.iterdir() if ".lock" not in path.name)[-1] == ".txt"
