"""``--processes N``: several collectors on one port, as one."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cube.process.metrics import merged
from cube.store.sqlite import open_store
from tests.contract.builders import rows
from tests.daemon import Daemon, daemon
from tests.web_client import ask

COUNT = 3


def collector_in(directory: Path) -> AbstractContextManager[Daemon]:
    return daemon("collector", f"sqlite:{directory}", directory, "--processes", str(COUNT))


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Daemon]:
    with collector_in(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A collector that lives on: what a test of it does ends none of its processes."""
    with collector_in(tmp_path_factory.mktemp("collector")) as running:
        yield running


def workers(collector: Daemon) -> list[int]:
    """Return the processes that the collector has now."""
    path = Path(f"/proc/{collector.process.pid}/task/{collector.process.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def store(port: int, number: int) -> int:
    return (await ask(port, "POST", "/1.0/event", json.dumps({"type": "a", "id": number}).encode())).status


async def figures(port: int) -> dict[tuple[str, str], float]:
    """Return the samples without labels of their own, by name and process."""
    text = (await ask(port, "GET", "/metrics")).body.decode()
    return {
        (sample.name, sample.labels["process"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if set(sample.labels) == {"process"}
    }


async def test_all_take_part_and_any_tells_the_figures_of_all(shared: Daemon) -> None:
    for number in range(60):
        assert await store(shared.port, number) == 200
    first, second = await figures(shared.port), await figures(shared.port)
    stored = {process: first["cube_events_stored_total", process] for process in map(str, range(COUNT))}
    assert sum(stored.values()) == 60
    assert all(stored.values()), "a process took no connection of 60"
    assert stored == {process: second["cube_events_stored_total", process] for process in stored}
    assert {first["cube_process_up", process] for process in stored} == {1}


async def test_datagrams_go_to_all_on_one_port_too(shared: Daemon) -> None:
    host, _, port = (shared.udp or "").rpartition(":")
    for number in range(60):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(json.dumps({"type": "a", "id": number}).encode(), (host, int(port)))
    async with asyncio.timeout(10):
        while sum(await received(shared)) < 60:  # noqa: ASYNC110 - nothing tells of a datagram
            await asyncio.sleep(0.05)
    assert all(await received(shared))


async def received(collector: Daemon) -> list[float]:
    found = await figures(collector.port)
    return [found["cube_udp_datagrams_total", str(process)] for process in range(COUNT)]


async def test_a_process_that_is_killed_comes_back_on_the_port(collector: Daemon, tmp_path: Path) -> None:
    before = workers(collector)
    assert len(before) == COUNT
    os.kill(before[0], signal.SIGKILL)
    async with asyncio.timeout(20):
        while len(set(workers(collector)) - set(before)) < 1 or not await all_up(collector):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert len(workers(collector)) == COUNT
    for number in range(20):
        assert await store(collector.port, number) == 200
    log = (tmp_path / "collector.log").read_text()
    assert "ended (SIGKILL); it is started again" in log
    assert all(json.loads(line)["daemon"] == "collector" for line in log.splitlines())


async def all_up(collector: Daemon) -> bool:
    found = await figures(collector.port)
    return all(found["cube_process_up", str(process)] for process in range(COUNT))


async def test_sigterm_under_load_stops_all_in_time_and_loses_nothing(
    collector: Daemon, tmp_path: Path
) -> None:
    children = workers(collector)
    stored: set[int] = set()

    async def client(numbers: Iterator[int]) -> None:
        try:
            for number in numbers:
                if await store(collector.port, number) == 200:
                    stored.add(number)
        except (OSError, asyncio.IncompleteReadError):
            return

    clients = [asyncio.create_task(client(iter(range(n * 10_000, (n + 1) * 10_000)))) for n in range(6)]
    async with asyncio.timeout(20):
        while len(stored) < 200:  # noqa: ASYNC110 - the clients count
            await asyncio.sleep(0.01)
    began = time.monotonic()
    collector.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(collector.process.wait, 20) == 0
    assert time.monotonic() - began < 10
    await asyncio.gather(*clients)
    assert not any(map(runs, children))
    opened = await open_store(tmp_path, "test")
    try:
        assert stored <= {row[1] for row in await rows(opened, "a")}
    finally:
        await opened.close()


async def test_the_processes_end_when_their_parent_is_killed(collector: Daemon) -> None:
    children = workers(collector)
    collector.process.kill()
    async with asyncio.timeout(20):
        while any(map(runs, children)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


def test_a_refused_start_is_told_once_and_ends_with_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = pytest.raises(AssertionError, match="did not start")
    with refused:
        daemon("collector", f"sqlite:{tmp_path / 'file'}", tmp_path, "--processes", "2").__enter__()
    log = (tmp_path / "collector.log").read_text()
    assert len(re.findall(r"^collector: .*$", log, re.MULTILINE)) == 1
    assert "Traceback" not in log


def test_figures_are_merged_by_family_with_a_label_for_the_process() -> None:
    one = (
        '# HELP a_total A.\n# TYPE a_total counter\na_total{b="{"} 1.0\n# HELP c C.\n# TYPE c gauge\nc 2.0\n'
    )
    assert merged([one, None, one]).split("# HELP cube_process_up")[0] == (
        '# HELP a_total A.\n# TYPE a_total counter\na_total{process="0",b="{"} 1.0\n'
        'a_total{process="2",b="{"} 1.0\n'
        '# HELP c C.\n# TYPE c gauge\nc{process="0"} 2.0\nc{process="2"} 2.0\n'
    )
    assert 'cube_process_up{process="1"} 0' in merged([one, None, one])
