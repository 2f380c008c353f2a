"""`cube serve` keeps both daemons running, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cube.cli.spans import OPEN_LEFT_OUT
from cube.client import Emitter, Evaluator
from cube.errors import CubeError
from tests.end_to_end.serving import (
    ANY_PORTS,
    PATIENCE_SECONDS,
    ROOT,
    Serving,
    alive,
    cube,
    serving,
    wait_until,
)
from tests.mongo_server import MongoServer

START = "2011-07-17T23:47Z"
STOP = "2011-07-18T00:50Z"


def store_one(running: Serving, id: int) -> None:
    with Emitter(running.collector) as emitter:
        emitter.send([{"type": "test", "time": START, "id": id}])


def count(running: Serving) -> float | None:
    with Evaluator(running.evaluator) as evaluator:
        rows = evaluator.metrics("count(test)", step=86_400_000, start=START, stop=STOP)
    return rows[0].value


def answered_count(running: Serving) -> float | None:
    try:
        return count(running)
    except CubeError:  # the evaluator may not have found its store again
        return None


def listens(url: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", urlsplit(url).port)) == 0


def test_an_event_that_goes_in_is_counted(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        store_one(running, 1)
        assert count(running) == 1
        assert running.store == "sqlite:data"
        assert (tmp_path / "data").is_dir()


def test_events_wait_in_a_spool_while_a_mongodb_is_away(tmp_path: Path) -> None:
    with MongoServer() as server:
        url = f"{server.url}/?serverSelectionTimeoutMS=1000"
        with serving(tmp_path, "--store", url) as running:
            server.kill()
            store_one(running, 1)
            assert list((tmp_path / "data" / "spool").iterdir())
            server.start()
            wait_until(lambda: answered_count(running) == 1, "the spool to be drained")


def test_a_daemon_that_is_killed_comes_back_on_its_port(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        store_one(running, 1)
        before = running.children()
        assert set(before) == {"collector", "evaluator"}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: len(running.children().keys() - {n for n, p in before.items() if alive(p)}) == 2,
            "both to be started again",
        )
        for url in (running.collector, running.evaluator):
            wait_until(lambda url=url: listens(url), "both to listen")
        store_one(running, 2)
        assert count(running) == 2
        assert "The collector ended (SIGKILL); it is started again in 0.1 s." in running.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_everything_with_status_0(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path) as running:
        children = running.children()
        running.process.send_signal(number)
        assert running.process.wait(PATIENCE_SECONDS) == 0
        assert not any(alive(pid) for pid in children.values())
        assert "Traceback" not in running.log.read_text()


def test_the_daemons_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        children = running.children()
        assert len(children) == 2
        running.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in children.values()), "the daemons to end")


def test_it_takes_a_settings_file_of_both_daemons_and_flags_win(tmp_path: Path) -> None:
    file = tmp_path / "cube.toml"
    file.write_text(
        f"store = 'sqlite:{tmp_path / 'there'}'\nport = 1\nhost = '127.0.0.2'\nlog_format = 'text'\n"
        "[limits]\nbatch_events = 1\nrows = 2\n"
    )
    with serving(tmp_path, "--config", str(file), "--host", "127.0.0.1") as running:
        assert running.store == f"sqlite:{tmp_path / 'there'}"
        assert urlsplit(running.collector).hostname == "127.0.0.1"
        for id in range(3):
            store_one(running, id)
        with Emitter(running.collector) as emitter, pytest.raises(CubeError, match="accepted are 1"):
            emitter.send([{"type": "test"}] * 2)
        with Evaluator(running.evaluator) as evaluator:
            assert len(list(evaluator.events("test"))) == 2
    assert not (tmp_path / "data").exists()


def test_it_takes_its_own_advice_to_be_insecure_and_runs_beside_kubernetes(tmp_path: Path) -> None:
    """The variables are those of a pod beside a Service that is named cube, and one that nobody knows."""
    environ = {"CUBE_PORT": "tcp://10.0.0.1:1080", "CUBE_SERVICE_HOST": "10.0.0.1", "CUBE_PROT": "1"}
    refused = cube("serve", *ANY_PORTS, "--host", "0.0.0.0", cwd=tmp_path)
    assert "--insecure to be open to everybody" in refused.stderr
    with serving(tmp_path, "--host", "0.0.0.0", "--insecure", environ=environ) as running:
        store_one(running, 1)
        assert count(running) == 1
        said = running.log.read_text()
    assert "Got the environment variable CUBE_PROT, which is not a setting (did you mean CUBE_PORT?)" in said
    assert "CUBE_SERVICE_HOST" not in said


def test_it_says_where_it_listens_in_a_few_lines(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        said = running.log.read_text()
    assert f"Collector  {running.collector}  and UDP {running.udp}\n" in said
    assert f"Evaluator  {running.evaluator}\n" in said
    assert "Store      sqlite:data\n" in said
    assert len(said.splitlines()) < 12


def test_it_announces_itself_only_when_both_are_ready(tmp_path: Path) -> None:
    with serving(tmp_path):
        pass
    (tmp_path / "ready.json").unlink()
    log = tmp_path / "serve.log"
    held = sqlite3.connect(
        tmp_path / "data" / "cube_development.events.db", isolation_level=None, check_same_thread=False
    )
    held.execute("BEGIN IMMEDIATE")  # nobody else can write
    said: list[str] = []

    def let_go() -> None:
        wait_until(
            lambda: log.exists() and "is not ready" in log.read_text(), "it to say that it is not ready"
        )
        said.append(log.read_text())
        assert not (tmp_path / "ready.json").exists()
        held.execute("ROLLBACK")

    with ThreadPoolExecutor(1) as aside:
        letting_go = aside.submit(let_go)
        with serving(tmp_path) as running:
            letting_go.result()
            assert "The collector is not ready: The store did not confirm a write within 5 s." in said[0]
            assert "Ctrl-C stops both." not in said[0]
            wait_until(lambda: "Ctrl-C stops both." in running.log.read_text(), "it to say where it listens")
    held.close()


@pytest.mark.parametrize(
    ("flags", "environ", "sentence"),
    [
        (["--store", "postgres://x"], {}, 'Got the store "postgres://x"; accepted are mongodb://HOST:PORT'),
        (["--database", "../x"], {}, 'Got database = "../x" from --database; accepted is text that matches'),
        ([], {"CUBE_LIMITS_EVENT_BYTES": "1"}, "Got limits.event_bytes = 1 from CUBE_LIMITS_EVENT_BYTES"),
        (["--store", "sqlite:/proc/no/such"], {}, "/proc/no/such"),
    ],
)
def test_refused_settings_end_it_with_a_sentence(
    tmp_path: Path, flags: list[str], environ: dict[str, str], sentence: str
) -> None:
    ended = subprocess.run(
        [ROOT / "bin" / "cube", "serve", *ANY_PORTS, *flags],
        cwd=tmp_path,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode not in (0, None)
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = cube("serve", *ANY_PORTS, "--evaluator-port", str(port), cwd=tmp_path)
    assert ended.returncode not in (0, None)
    assert f"evaluator: Cannot listen on 127.0.0.1:{port}: " in ended.stderr
    assert "in use" in ended.stderr


@pytest.mark.parametrize("daemon", ["collector", "evaluator"])
def test_a_store_that_does_not_answer_is_refused_with_what_to_do(tmp_path: Path, daemon: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, not listening: every connection is refused
        url = f"mongodb://127.0.0.1:{silent.getsockname()[1]}"
        ended = subprocess.run(
            [ROOT / "bin" / daemon, "--store", url, "--port", "0"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert "--store sqlite:DIRECTORY" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("daemon", ["collector", "evaluator"])
def test_a_daemon_refuses_an_unknown_key_with_a_sentence(tmp_path: Path, daemon: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("prt = 1\n")
    ended = subprocess.run(
        [ROOT / "bin" / daemon, "--config", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        f"{daemon}: Got the key prt in {file}, which is not a setting (did you mean port?);"
        " --help lists what is accepted.\n"
    )


def test_the_commands_work_through_a_link_and_beside_strange_packages(tmp_path: Path) -> None:
    (tmp_path / "cube").mkdir()
    (tmp_path / "cube" / "__init__.py").write_text("raise SystemExit('the wrong cube')")
    link = tmp_path / "linked"
    link.symlink_to(ROOT / "bin" / "cube")
    shown = subprocess.run([link, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "serve" in shown.stdout


def test_without_an_installation_the_commands_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("collector", "evaluator", "cube"):
        copy = tmp_path / "bin" / name
        copy.write_bytes((ROOT / "bin" / name).read_bytes())
        copy.chmod(0o755)
        ended = subprocess.run([copy], capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "run `make setup` there first" in ended.stderr


def test_events_go_in_and_come_out_through_the_command(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({"type": "test", "time": 1_310_946_420_000 + 1000 * i, "id": i, "data": {"i": i}}) + "\n"
        for i in range(3)
    )
    with serving(tmp_path) as running:
        to, of = ("--collector", running.collector), ("--evaluator", running.evaluator)
        assert cube("put", *to, "-", cwd=tmp_path, text=lines).stdout == "3 events stored.\n"
        (type,) = map(json.loads, cube("types", "--total", *of, cwd=tmp_path).stdout.splitlines())
        assert (type["type"], type["total"], type["last_hour"]) == ("test", 3, 0)
        (field,) = map(json.loads, cube("fields", "test", *of, cwd=tmp_path).stdout.splitlines())
        assert (field["field"], field["kinds"], field["share"]) == ("i", ["number"], 1)
        mistyped = cube("fields", "tset", *of, cwd=tmp_path)
        told = "cube: There are no events of the type tset; the nearest is test.\n"
        assert (mistyped.returncode, mistyped.stderr) == (2, told)
        silent = cube("metric", *of, "sum(tset)", "--start", "-2h", "--step", "1h", cwd=tmp_path)
        told += f"{OPEN_LEFT_OUT}\n"
        assert (silent.returncode, silent.stderr, len(silent.stdout.splitlines())) == (0, told, 2)
        followed = cube("tail", *of, "test(i).ge(i, 1)", "--count", "2", "--delay", "0", cwd=tmp_path)
        assert followed.stdout.splitlines()[0] == (
            '{"type":"test","id":1,"time":"2011-07-17T23:47:01.000Z","data":{"i":1}}'
        )
        assert (followed.returncode, followed.stderr) == (0, "")
        assert cube("tail", *of, "sum(test)", cwd=tmp_path).returncode == 2
        metric = cube(
            "metric", *of, "sum(test(i)) / 2", "--step", "60000", "--start", START,
            "--limit", "1", "--stop", "2011-07-17T23:48Z", cwd=tmp_path,
        )  # fmt: skip
        assert metric.stdout == '{"time":"2011-07-17T23:47:00.000Z","value":1.5}\n'
        event = cube("event", *of, "test(i).ge(i, 1)", "--limit", "1", cwd=tmp_path)
        assert event.stdout == '{"id":2,"time":"2011-07-17T23:47:02.000Z","data":{"i":2}}\n'

        bad = cube("put", *to, "-", cwd=tmp_path, text='{"type":"test"}\n\n{"type":"Test"}\n')
        assert (bad.returncode, bad.stdout) == (2, "")
        assert bad.stderr.startswith('cube: Line 3: Got the type "Test"; accepted is')
        cut = cube("put", *to, "-", cwd=tmp_path, text='{"type":"test"}\n{"type":\n')
        assert cut.returncode == 2
        assert cut.stderr.startswith("cube: Line 2: The line is not JSON: ")
        assert cut.stderr.endswith(
            "1 event before it is stored, and none after it: mend the line, or leave it empty, and run"
            " the same command again; 1 event that had neither id nor time and came through a pipe would be"
            " stored again, all others not.\n"
        )
        wrong = cube("metric", *of, "sum(test", cwd=tmp_path)
        assert wrong.returncode == 2
        assert "line 1, column 9" in wrong.stderr


def test_put_again_stores_nothing_twice_and_bad_lines_can_be_skipped_or_looked_for(tmp_path: Path) -> None:
    file = tmp_path / "events"
    good = [json.dumps({"type": "test", "time": START, "data": {"i": i % 2}}) for i in range(2500)]
    file.write_text("\n".join([*good[:2000], '{"type":"Test"}', *good[2000:]]) + "\n")
    bad = ("put", "--collector")
    with serving(tmp_path) as running:
        looked = cube("put", "--check", "--collector", "http://127.0.0.1:1", str(file), cwd=tmp_path)
        assert looked.returncode == 2
        assert looked.stdout.endswith("2500 events could be stored, 1 line could not.\n")
        for _ in range(2):
            stopped = cube(*bad, running.collector, str(file), cwd=tmp_path)
            assert stopped.returncode == 2
            assert stopped.stderr.startswith('cube: Line 2001: Got the type "Test"')
            assert "2000 events before it are stored" in stopped.stderr
            assert count(running) == 2000
        skipping = cube(*bad, running.collector, "--skip-bad", "rest", str(file), cwd=tmp_path)
        assert (skipping.returncode, skipping.stdout) == (2, "2500 events stored.\n")
        assert "1 line could not be stored; rest has them." in skipping.stderr
        assert count(running) == 2500
        assert (tmp_path / "rest").read_text() == '{"type":"Test"}\n'
        assert (tmp_path / "rest").stat().st_mode & 0o777 == 0o600
        same = cube(*bad, running.collector, "--skip-bad", "rest", "rest", cwd=tmp_path)
        assert "accepted are two files" in same.stderr
        assert (tmp_path / "rest").read_text() == '{"type":"Test"}\n'


def test_an_interrupted_put_says_how_far_it_came_and_goes_on_the_next_time(tmp_path: Path) -> None:
    line = json.dumps({"type": "test", "time": START}).encode() + b"\n"
    with serving(tmp_path) as running:
        putting = subprocess.Popen(
            [ROOT / "bin" / "cube", "put", "--collector", running.collector, "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            # Whoever runs the tests in the background may have them ignore it, and so their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert putting.stdin is not None
        putting.stdin.write(line * 1500)
        putting.stdin.flush()
        wait_until(lambda: count(running) == 1000, "the first batch")
        putting.send_signal(signal.SIGINT)
        _, said = putting.communicate(timeout=PATIENCE_SECONDS)
        assert putting.returncode == 130
        assert (
            b"cube: Interrupted. 1000 events are stored, up to line 1000; run the same command again" in said
        )
        again = cube("put", "--collector", running.collector, "-", cwd=tmp_path, text=(line * 1500).decode())
        assert again.stdout == "1500 events stored.\n"
        assert count(running) == 1500


def test_an_absent_daemon_is_told_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ended = cube("types", "--evaluator", url, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"cube: Nothing answers at {url} (connection refused); `cube serve` starts both daemons.\n"
    )


def test_the_tests_run_on_the_python_of_the_checkout() -> None:
    """The commands above use `.venv`; a suite run on another Python would test something else."""
    assert Path(sys.prefix).resolve() == (ROOT / ".venv").resolve()
