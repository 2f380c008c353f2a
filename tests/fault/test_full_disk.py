"""A SQLite store on a full disk: a 503, and nothing that was acknowledged is lost."""

from __future__ import annotations

import resource
from pathlib import Path

from cube.store.sqlite import open_store
from tests.contract.builders import rows
from tests.daemon import Daemon, daemon
from tests.fault.sending import exchange, put


def limit_files(collector: Daemon, limit_bytes: int) -> None:
    """No file of the process can grow beyond this: its writes fail as on a full disk."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (limit_bytes, hard))


async def test_a_full_disk_is_a_503_until_there_is_room_again(tmp_path: Path) -> None:
    spool = ("--spool-directory", str(tmp_path / "spool"))  # passed over on SQLite
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *spool) as collector:
        acknowledged = set()
        limit_files(collector, 400_000)
        statuses = []
        for id in range(40):
            event = {"type": "test", "time": 1_311_033_600_000, "id": id, "data": "x" * 30_000}
            status, answer = put(collector, [event])
            statuses.append(status)
            if status == 200:
                acknowledged.add(id)
        assert set(statuses) == {200, 503}
        assert statuses[-1] == 503
        assert "The database test.events.db does not answer" in answer["error"]
        assert str(tmp_path) not in answer["error"]  # nobody is told where it is
        status, _, told = exchange(collector, "GET", "/readyz")
        assert (status, b"does not answer" in told) == (503, True)
        limit_files(collector, resource.RLIM_INFINITY)
        assert put(collector, [{"type": "test", "time": 1_311_033_600_000, "id": 99}])[0] == 200
        assert exchange(collector, "GET", "/readyz")[0] == 200
    assert not (tmp_path / "spool").exists()
    store = await open_store(tmp_path, "test")
    try:
        assert acknowledged | {99} <= {id for _, id, _ in await rows(store, "test")}
    finally:
        await store.close()
