"""SQL over HTTP, by a real evaluator and the processes that it runs statements in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from tornado.httputil import HTTPHeaders

from cube.cli.main import main
from cube.client import Evaluator
from cube.errors import NotFound
from cube.settings import SqlSettings
from cube.store.sqlite import open_store
from cube.web import Request
from evaluator.api.sql import SqlRoute
from evaluator.sql.process import StatementProcesses
from tests.daemon import CHECKOUT, Daemon, daemon
from tests.evaluator_running import DAY, event
from tests.tools import SLOW
from tests.web_client import Answer, connection

LONG = "SELECT sum(hash(a.range, b.range)) FROM range(10000000) a, range(10000000) b"
ENDLESS = "SELECT range AS i FROM range(100000000000)"


@pytest.fixture(scope="module")
def evaluator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("sql")
    store = f"sqlite:{directory}"
    asyncio.run(save(directory))
    switched = ("--sql-enabled", "true", "--sql-seconds", "30", "--sql-statements", "1")
    with daemon("evaluator", store, directory, *switched) as running:
        yield running


async def save(directory: Path) -> None:
    store = await open_store(directory, "test")
    await store.events.save("request", [event(DAY + i, {"ms": i}, type="request") for i in range(9)])
    await store.close()


def run(running: Daemon, statement: str, **headers: str) -> Answer:
    """Run a statement; a process for it may take long to start on a machine that is busy."""
    body = json.dumps({"statement": statement}).encode()

    async def asked() -> Answer:
        async with connection(running.port) as client:
            return await client.ask("POST", "/1.0/sql", body, headers, seconds=90)

    return asyncio.run(asked())


def children(running: Daemon) -> set[str]:
    """Return the processes of statements that an evaluator has."""
    pid = running.process.pid
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return set(text.split())


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)


def test_rows_come_in_chunks_with_their_columns(evaluator: Daemon) -> None:
    answer = run(evaluator, "SELECT ms FROM events_default.request WHERE ms > 6 ORDER BY time")
    assert (answer.status, answer.json) == (200, [{"ms": 7}, {"ms": 8}])
    assert json.loads(answer.headers["cube-columns"]) == [{"name": "ms", "type": "BIGINT"}]
    assert answer.headers["transfer-encoding"] == "chunked"
    csv = run(evaluator, "SELECT count(*) AS n FROM request", Accept="text/csv;q=0.5, image/png")
    assert (csv.headers["content-type"], csv.body) == ("text/csv", b"n\r\n9\r\n")
    refused = run(evaluator, "SELECT 1", Accept="image/png")
    assert (refused.status, "image/png" in refused.json["error"]) == (400, True)


@SLOW
def test_what_takes_too_long_is_ended(tmp_path: Path) -> None:
    switched = ("--sql-enabled", "true", "--sql-seconds", "8")
    with daemon("evaluator", f"sqlite:{tmp_path}", tmp_path, *switched) as evaluator:
        answer = run(evaluator, LONG)
        assert (answer.status, "8 s" in answer.json["error"]) == (503, True)
        assert run(evaluator, "SELECT 1 AS a").json == [{"a": 1}]
        asyncio.run(is_cut(evaluator))


def command(*words: str, standard_input: str | None = None) -> tuple[int, str, str]:
    """Run ``cube sql``; returns its status and what it printed to standard output and error."""
    done = CliRunner().invoke(main, ["sql", *words], input=standard_input, prog_name="cube")
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_rows_and_tells_what_is_wrong(evaluator: Daemon) -> None:
    to = ("--evaluator", evaluator.http)
    printed = command(*to, "--format", "csv", standard_input="SELECT max(ms)\nAS most\nFROM request;\n")
    assert printed[1].split() == ["most", "8"]
    status, _, told = command(*to, "SELECT * FROM requests")
    assert (status, "the types are request" in told) == (2, True)
    with Evaluator(evaluator.http) as client, client.sql("SELECT ms FROM request ORDER BY ms") as answer:
        assert answer.columns == [("ms", "BIGINT")]
        assert [row["ms"] for row in answer.rows()] == list(range(9))


@SLOW
def test_the_command_opens_a_store_without_an_evaluator(tmp_path: Path) -> None:
    asyncio.run(save(tmp_path))
    given = ("--store", f"sqlite:{tmp_path}", "--database", "test", "--format", "table")
    status, printed, _ = command(*given, "SELECT count(*) AS events FROM request")
    assert (status, printed.split()) == (0, ["events", "9"])


async def test_a_client_that_goes_away_ends_its_statement(evaluator: Daemon) -> None:
    await until(lambda: len(children(evaluator)) == 1)
    body = json.dumps({"statement": ENDLESS, "format": "csv"}).encode()
    before = children(evaluator)
    async with connection(evaluator.port) as client:
        head = f"POST /1.0/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        client.send(head + body)
        assert await client.reader.readexactly(2_000_000)
        assert evaluator.resident_bytes() < 2**30
    await until(lambda: len(children(evaluator)) == 1 and not children(evaluator) & before)


async def test_a_process_that_ends_while_it_waits_costs_no_statement(evaluator: Daemon) -> None:
    await until(lambda: len(children(evaluator)) == 1)
    (waiting,) = children(evaluator)
    os.kill(int(waiting), signal.SIGKILL)
    await until(lambda: waiting not in children(evaluator))
    answer = await asyncio.to_thread(run, evaluator, "SELECT count(*) AS n FROM request")
    assert (answer.status, answer.json) == (200, [{"n": 9}])


async def is_cut(evaluator: Daemon) -> None:
    """Assert that an answer which cannot be finished has no end."""
    body = json.dumps({"statement": ENDLESS, "format": "csv"}).encode()
    async with connection(evaluator.port) as client:
        head = f"POST /1.0/sql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        client.send(head + body)
        last = b""
        while part := await client.reader.read(2**20):
            last = (last + part)[-10:]
    assert not last.endswith(b"0\r\n\r\n")


async def test_who_has_not_switched_it_on_has_no_sql() -> None:
    with pytest.raises(NotFound, match="sql.enabled"):
        await SqlRoute(None).post(Request("POST", "/1.0/sql", HTTPHeaders(), "127.0.0.1"))


class Waiting(StatementProcesses):
    """Processes that are ready when the gate opens; ``started``: how many."""

    def __init__(self) -> None:
        super().__init__(SqlSettings())
        self.gate = asyncio.Event()
        self.started = 0

    async def start(self) -> Any:
        self.started += 1
        await self.gate.wait()
        return SimpleNamespace(has_ended=False)


async def test_a_process_that_nobody_waits_for_any_more_is_the_next_ones() -> None:
    processes = Waiting()
    gone = asyncio.create_task(processes.take())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    processes.gate.set()
    assert await processes.take()
    await asyncio.sleep(0)
    assert processes.started == 2  # and one for whoever comes next


SANDBOXED = """
import os, socket, sys
from evaluator.sql import sandbox
import subprocess, threading, signal
held = sandbox.enter(2**28, 10)
found = {"held": held}
def outcome(name, act):
    try:
        act()
        found[name] = "done"
    except OSError as error:
        found[name] = error.strerror
outcome("read", lambda: open("/etc/hostname"))
outcome("write", lambda: os.open("never", os.O_CREAT | os.O_WRONLY))
outcome("connect", lambda: socket.socket())
outcome("fork", os.fork)
outcome("exec", lambda: os.execv("/bin/true", ["true"]))
outcome("kill", lambda: os.kill(os.getppid(), 0))
outcome("tgkill", lambda: signal.pthread_kill(threading.get_ident(), 0))
outcome("unlink", lambda: os.unlink("/never"))
outcome("thread", lambda: threading.Thread(target=int).start())
sys.stdout.write(repr(found))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
def test_a_sandboxed_process_opens_and_starts_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", SANDBOXED], cwd=CHECKOUT, capture_output=True, check=True)
    found = eval(done.stdout)
    assert found.pop("held") == ["limits", "seccomp"]
    assert found.pop("thread") == "done"
    assert set(found.values()) <= {"Permission denied", "No such file or directory"}
    assert found["connect"] == found["fork"] == "Permission denied"


def test_a_process_does_not_load_pandas() -> None:
    """Which pyarrow imports where it is there, and which would double the time that a start takes."""
    pytest.importorskip("pandas")
    if not Path("/proc/self/maps").exists():
        pytest.skip("the system does not tell what a process has loaded")

    async def loaded() -> str:
        process = await StatementProcesses(SqlSettings(enabled=True)).start()
        try:
            return await asyncio.to_thread(Path(f"/proc/{process.pid}/maps").read_text)
        finally:
            await process.close()

    told = asyncio.run(loaded())
    assert "duckdb" in told
    assert "pandas" not in told
