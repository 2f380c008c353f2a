"""`cube demo` fills a running collector, or starts one; what it sends again is stored once."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cube.client import Evaluator
from tests.end_to_end.serving import PATIENCE_SECONDS, ROOT, cube, serving, wait_until


def counted(evaluator: str) -> int:
    """Count what is stored; at some times of a day there is a deploy among it."""
    with Evaluator(evaluator) as asked:
        return sum(len(asked.events(type)) for type in asked.types() if type in ("request", "deploy"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def demo(directory: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run ``cube demo``; gives the process, and the file of what it says."""
    said = directory / "demo.log"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [ROOT / "bin" / "cube", "demo", *flags],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "TMPDIR": str(directory)},
            start_new_session=True,
        )
    try:
        yield process, said
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


def test_the_past_is_stored_once_however_often_it_is_sent(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        flags = ("--url", running.collector, "--evaluator", running.evaluator, "--hours", "0.1", "--no-live")
        first = cube("demo", *flags, cwd=tmp_path)
        assert f"Page       {running.evaluator}/" in first.stdout
        sent = int(re.search(r"(\d+) events of 0.1 hours", first.stdout)[1])  # type: ignore[index]
        stored = counted(running.evaluator)
        assert stored == sent > 50
        cube("demo", *flags, cwd=tmp_path)
        # The second run began later, and adds what happened since.
        assert stored <= counted(running.evaluator) < 1.5 * stored


def test_it_goes_on_live_until_it_is_interrupted(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        flags = ("--url", running.collector, "--evaluator", running.evaluator, "--hours", "0", "--rate", "50")
        with demo(tmp_path, *flags) as (process, said):
            wait_until(lambda: counted(running.evaluator) > 20, "live events")
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 0
            assert "Stopping." in said.read_text()


def test_without_a_collector_it_starts_one_on_a_store_that_goes_with_it(tmp_path: Path) -> None:
    url, evaluator = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with demo(tmp_path, "--url", url, "--evaluator", evaluator, "--hours", "0.1", "--no-live") as (
        process,
        said,
    ):
        wait_until(lambda: "until Ctrl-C" in said.read_text() or process.poll() is not None, "the past")
        assert f"Page       {evaluator}/" in said.read_text()
        assert counted(evaluator) > 50
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert not list(tmp_path.glob("cube-*"))


def test_a_collector_elsewhere_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    refused = cube("demo", "--url", "http://collector.invalid:1080", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("cube: No collector answers at http://collector.invalid:1080")
    mistaken = cube("demo", "--url", "collector", cwd=tmp_path)
    assert mistaken.returncode == 2
