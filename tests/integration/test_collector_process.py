"""The collector as a process: how it starts, says where it is, and ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cube.store.sqlite import open_store
from tests.contract.builders import rows
from tests.daemon import CHECKOUT, Daemon, daemon
from tests.web_client import ask, connection, head


def refused(*flags: str) -> subprocess.CompletedProcess[str]:
    """Run a collector that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "collector.main", "--port", "0", "--udp-port", "0", *flags],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def feed(process: Daemon, name: str, stored: set[str]) -> None:
    """Post one event after another on one connection until it ends, noting what was acknowledged."""
    number = 0
    async with connection(process.port) as own:
        try:
            while True:
                number += 1
                event = {"type": "a", "id": f"{name}-{number}"}
                answer = await own.ask("POST", "/1.0/event", json.dumps(event).encode())
                if answer.status != 200:
                    return
                stored.add(str(event["id"]))
        except (ConnectionError, asyncio.IncompleteReadError):
            return


def test_a_ready_file_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "missing" / "ready.json"
    ended = refused("--store", f"sqlite:{tmp_path}", "--ready-file", str(file))
    assert ended.returncode == 1
    sentence = f"collector: The ready file {file} cannot be written: No such file or directory."
    assert ended.stderr.splitlines()[-1] == sentence
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_under_load_ends_it_cleanly_and_loses_nothing_acknowledged(
    tmp_path: Path, number: signal.Signals
) -> None:
    stored: set[str] = set()
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as process:
        clients = [asyncio.create_task(feed(process, str(name), stored)) for name in range(8)]
        async with asyncio.timeout(20):
            while len(stored) < 100:  # noqa: ASYNC110 - the clients count
                await asyncio.sleep(0.01)
        process.process.send_signal(number)
        await asyncio.gather(*clients)
        assert await asyncio.to_thread(process.process.wait, 20) == 0
    store = await open_store(tmp_path, "test")
    try:
        assert stored <= {row[1] for row in await rows(store, "a")}
    finally:
        await store.close()


async def test_what_was_sent_before_a_signal_is_answered(tmp_path: Path) -> None:
    body = json.dumps([{"type": "a", "id": number} for number in range(5_000)]).encode()
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as process:
        async with connection(process.port) as own:
            assert (await own.ask("GET", "/healthz")).status == 200
            own.send(head("POST", "/1.0/event", {"Content-Length": str(len(body) + 1)}) + body)
            await own.writer.drain()
            assert (await ask(process.port, "GET", "/readyz")).status == 200
            process.process.send_signal(signal.SIGTERM)
            own.send(b" ")
            assert (await own.answer()).status == 200
        assert await asyncio.to_thread(process.process.wait, 20) == 0


async def test_it_tells_where_it_listens(tmp_path: Path) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as process:
        assert (await ask(process.port, "GET", "/readyz")).status == 200
        log = (tmp_path / "collector.log").read_text()
        assert process.http in log
        assert str(process.udp) in log
        assert "process_cpu_seconds_total" in (await ask(process.port, "GET", "/metrics")).body.decode()


def test_a_bad_setting_is_refused_with_a_sentence() -> None:
    ended = refused("--nonsense", "5")
    assert ended.returncode == 1
    assert ended.stderr.startswith("collector: ")
    assert "Traceback" not in ended.stderr


def test_a_store_that_does_not_answer_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = refused("--store", f"sqlite:{tmp_path / 'file'}")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = refused("--store", f"sqlite:{tmp_path}", "--port", str(taken.getsockname()[1]))
    assert ended.returncode == 1
    assert "Cannot listen on" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("flags", [(), ("--processes", "2")])
def test_systemd_is_told_when_it_listens_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with daemon("collector", f"sqlite:{tmp_path}", tmp_path, *flags):
            assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"STOPPING=1"
