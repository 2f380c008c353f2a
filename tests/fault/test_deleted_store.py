"""The data directory of running daemons deleted or replaced: 503 and a sentence, not 200 and a loss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest

from cube.store.sqlite import open_store
from tests.contract.builders import rows
from tests.daemon import Daemon, daemon
from tests.fault.sending import exchange, put

NOW = 1_311_033_600_000
EVENT = {"type": "test", "time": NOW, "id": 1}
QUESTION = {"expression": "sum(test)", "start": NOW, "stop": NOW + 60_000, "step": 60_000}


def delete(directory: Path) -> None:
    shutil.rmtree(directory)


def replace(directory: Path) -> None:
    shutil.move(directory, directory.with_name("old"))
    shutil.copytree(directory.with_name("old"), directory)


def ask(evaluator: Daemon) -> tuple[int, bytes]:
    status, _, answer = exchange(evaluator, "GET", f"/1.0/metric?{urlencode(QUESTION)}")
    return status, answer


@pytest.mark.parametrize("lose", [delete, replace])
async def test_it_is_noticed_by_both_daemons_and_a_restart_begins_again(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    directory = tmp_path / "data"
    url = f"sqlite:{directory}"
    with daemon("collector", url, tmp_path) as collector, daemon("evaluator", url, tmp_path) as evaluator:
        assert put(collector, [EVENT])[0] == 200
        assert (ask(evaluator)[0], exchange(evaluator, "GET", "/readyz")[0]) == (200, 200)
        lose(directory)
        answers = [put(collector, [{**EVENT, "id": 2}])[1]["error"], json.loads(ask(evaluator)[1])["error"]]
        for one in (collector, evaluator):
            status, _, answer = exchange(one, "GET", "/readyz")
            assert status == 503
            answers.append(json.loads(answer)["error"])
        assert all("deleted or replaced while the daemon runs" in answer for answer in answers)
        assert not any(str(directory) in answer for answer in answers)
    for name in ("collector", "evaluator"):
        assert f"{directory}/test.events.db was deleted or replaced" in (tmp_path / f"{name}.log").read_text()
    with daemon("collector", url, tmp_path) as collector:
        assert put(collector, [{**EVENT, "id": 3}])[0] == 200
        assert exchange(collector, "GET", "/readyz")[0] == 200
    store = await open_store(directory, "test")
    assert {id for _, id, _ in await rows(store, "test")} == ({3} if lose is delete else {1, 3})
    await store.close()


@pytest.mark.parametrize("name", ["collector", "evaluator"])
def test_a_damaged_file_is_not_ready(tmp_path: Path, name: str) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as collector:
        assert put(collector, [EVENT])[0] == 200
    with daemon(name, f"sqlite:{tmp_path}", tmp_path) as running:
        assert exchange(running, "GET", "/readyz")[0] == 200
    path = tmp_path / "test.events.db"
    with daemon(name, f"sqlite:{tmp_path}", tmp_path) as running:
        with path.open("r+b") as file:
            file.write(b"x" * path.stat().st_size)
        status, _, answer = exchange(running, "GET", "/readyz")
        assert status == 503
        assert "test.events.db does not answer" in json.loads(answer)["error"]
        assert str(tmp_path) not in json.loads(answer)["error"]
