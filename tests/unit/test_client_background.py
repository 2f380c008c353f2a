"""The background emitter takes events at once, loses none that could be sent, and disturbs nobody."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cube.backoff import Backoff
from cube.client import BackgroundEmitter, Counts, Drop
from cube.client.delivery import FAULTS, Delivery
from cube.client.disk_buffer import PAGE_BYTES, DiskBuffer
from cube.client.drops import Drops
from cube.client.waiting import Batching
from cube.errors import CubeError, InvalidEvent, InvalidSettings, NotFound, Overloaded, TooLarge, Unavailable
from tests.daemon import CHECKOUT
from tests.scripted_server import Script, ok, served

PATIENCE = 30.0
NOBODY = "http://127.0.0.1:9"
"""Where nothing listens: the port of discard."""


def ids(script: Script) -> list[Any]:
    return [event["id"] for _, body in script.asked for event in body]


def answers(count: int) -> Script:
    return Script(*(ok({}) for _ in range(count)))


class Refusing:
    """A transport that raises what its rule says of a batch, and keeps what it stores."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.stored: list[bytes] = []

    def send_texts(self, texts: Sequence[bytes]) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.stored += texts

    def close(self) -> None:
        """Have nothing to close."""


def delivered(texts: Sequence[bytes], *errors: Exception) -> tuple[list[bytes], list[Drop]]:
    """Return what is stored and what is dropped of texts where sending meets errors."""
    drops: list[Drop] = []
    transport = Refusing(*errors)
    delivery = Delivery(lambda: transport, Backoff(0.0), Drops(drops.append))
    assert delivery.deliver(texts) == []
    assert delivery.stored == len(transport.stored)
    return transport.stored, drops


def test_a_batch_is_complete_by_number_or_by_time() -> None:
    script = answers(2)
    with served(script) as url, BackgroundEmitter(url, batch_events=3, batch_seconds=PATIENCE) as emitter:
        assert all(emitter.emit("a", id=i) for i in range(3))
        until(lambda: emitter.counts.stored == 3)
        emitter.emit("a", id=3)
    assert [len(body) for _, body in script.asked] == [3, 1]  # the end does not wait for the rest of a batch
    script = answers(1)
    with served(script) as url, BackgroundEmitter(url, batch_seconds=0.01) as emitter:
        emitter.emit("a")
        until(lambda: emitter.counts.stored == 1)


def test_an_event_is_written_as_it_is_when_it_is_emitted() -> None:
    script, data = answers(1), {"ms": 1}
    before = time.time_ns() // 1_000_000
    with served(script) as url, BackgroundEmitter(url) as emitter:
        emitter.emit("a", data, id=1)
        data["ms"] = 2
        emitter.emit("a", time="2011-09-12", id=2)
    (first, second) = script.asked[0][1]
    assert before <= first.pop("time") <= time.time_ns() // 1_000_000
    assert first == {"type": "a", "id": 1, "data": {"ms": 1}}
    assert second == {"type": "a", "id": 2, "time": "2011-09-12"}


def test_what_is_not_answered_is_sent_again_with_the_same_ids() -> None:
    script = Script(None, (502, b"<html>", {}), ok({}))
    with served(script) as url, BackgroundEmitter(url, batch_seconds=0) as emitter:
        emitter.emit("a")
        assert emitter.flush(PATIENCE)
        assert emitter.counts == Counts(stored=1, waiting=0, buffered=0, dropped={})
    assert len(ids(script)) == 3
    assert len(set(ids(script))) == 1


def test_the_collector_refuses_one_event_and_the_others_are_stored() -> None:
    wrong = InvalidEvent("Bad.", index=1)
    stored, drops = delivered([b"0", b"1", b"2"], wrong)
    assert stored == [b"0", b"2"]
    assert drops == [Drop("refused", "Bad.", (b"1",), 1)]
    assert delivered([b"0"], InvalidEvent("Bad.", index=0))[0] == []


def test_a_batch_that_is_too_large_is_divided_until_one_event_is() -> None:
    large = TooLarge("Large.")
    stored, drops = delivered([b"0", b"1", b"2", b"3"], large, large, large)
    assert stored == [b"1", b"2", b"3"]
    assert [drop.events for drop in drops] == [(b"0",)]


@pytest.mark.parametrize(
    "error", [Unavailable("Away."), Overloaded("Full."), NotFound("Nothing."), OSError(), ValueError()]
)
def test_what_may_end_is_waited_out(error: Exception) -> None:
    stored, drops = delivered([b"0", b"1"], *[error] * (FAULTS + 2))
    assert stored == [b"0", b"1"]
    assert drops == []


def test_a_batch_at_which_the_collector_fails_again_and_again_is_given_up() -> None:
    fault = CubeError("A fault.", request="7")
    assert delivered([b"0"], *[fault] * (FAULTS - 1))[0] == [b"0"]
    stored, (drop,) = delivered([b"0"], *[fault] * FAULTS)
    assert (stored, drop.reason, drop.events) == ([], "refused", (b"0",))
    proxy = CubeError("The server answered 502.")
    assert delivered([b"0"], *[proxy] * (FAULTS + 2))[0] == [b"0"]


def test_a_full_queue_drops_what_comes_and_says_so() -> None:
    drops: list[Drop] = []
    emitter = BackgroundEmitter(NOBODY, most_events=2, on_drop=drops.append)
    assert [emitter.emit("a", id=i) for i in range(4)] == [True, True, False, False]
    assert emitter.counts == Counts(stored=0, waiting=2, buffered=0, dropped={"full": 2})
    assert [json.loads(drop.events[0])["id"] for drop in drops] == [2, 3]
    began = time.monotonic()
    emitter.close(0.1)
    assert time.monotonic() - began < PATIENCE
    assert emitter.counts.dropped == {"full": 2, "closed": 2}
    assert not emitter.emit("a")
    assert emitter.counts.dropped == {"full": 2, "closed": 3}


def test_the_bytes_that_wait_are_bounded_as_well() -> None:
    emitter = BackgroundEmitter(NOBODY, most_bytes=1_000, on_drop=lambda drop: None)
    assert emitter.emit("a", "x" * 800)
    assert not emitter.emit("a", "x" * 200)
    emitter.close(0)


def test_an_event_that_cannot_be_written_is_dropped_without_an_error() -> None:
    drops: list[Drop] = []
    with BackgroundEmitter(NOBODY, on_drop=drops.append) as emitter:
        assert not emitter.emit("a", object())
        assert not emitter.emit("a", {"x": float("nan")})
    assert [(drop.reason, drop.events) for drop in drops] == [("invalid", ())] * 2


def test_errors_are_raised_where_they_are_asked_for() -> None:
    emitter = BackgroundEmitter(NOBODY, most_events=1, raises=True, on_drop=lambda drop: None)
    with pytest.raises(InvalidEvent, match="cannot be written as JSON"):
        emitter.emit("a", object())
    emitter.emit("a")
    with pytest.raises(Overloaded, match="Got an event while 1 events or"):
        emitter.emit("a")
    emitter.close(0)
    with pytest.raises(Overloaded, match="after the emitter was closed"):
        emitter.emit("a")


def test_who_may_wait_gets_room_when_there_is_some() -> None:
    script = answers(3)
    with (
        served(script) as url,
        BackgroundEmitter(url, most_events=1, batch_seconds=0, wait_seconds=PATIENCE) as emitter,
    ):
        assert [emitter.emit("a", id=i) for i in range(3)] == [True] * 3
    assert ids(script) == [0, 1, 2]


def test_a_callback_that_fails_or_emits_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def again(drop: Drop) -> None:
        emitter.emit("b", object())
        raise ValueError

    with BackgroundEmitter(NOBODY, on_drop=again) as emitter, caplog.at_level(logging.ERROR):
        assert not emitter.emit("a", object())
    assert emitter.counts.dropped == {"invalid": 2}
    assert "on_drop failed" in caplog.text


def test_drops_are_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    with BackgroundEmitter(NOBODY) as emitter, caplog.at_level(logging.WARNING):
        for _ in range(3):
            emitter.emit("a", object())
    assert [record.getMessage()[:20] for record in caplog.records] == ["1 events are lost: T"]


def test_threads_may_emit_at_once_and_signal_handlers_in_between() -> None:
    script = answers(10_000)
    with served(script) as url, BackgroundEmitter(url, most_events=100_000, batch_events=10_000) as emitter:
        taken: list[str] = []
        previous = signal.signal(signal.SIGALRM, lambda *_: emit("signal", len(taken)))

        def emit(name: str, number: int) -> None:
            if emitter.emit("a", id=f"{name}-{number}"):
                taken.append(f"{name}-{number}")

        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            threads = [
                threading.Thread(target=lambda n=n: [emit(f"t{n}", i) for i in range(300)]) for n in range(4)
            ]
            for thread in threads:
                thread.start()
            for number in range(1_000):
                emit("main", number)
            for thread in threads:
                thread.join()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert emitter.flush(PATIENCE)
    assert sorted(ids(script)) == sorted(taken)
    assert len(taken) >= 2_200


def test_the_end_of_programs_and_of_their_children_loses_nothing() -> None:
    code = """
import multiprocessing, os, sys
from cube.client import BackgroundEmitter
emitter = BackgroundEmitter(sys.argv[1], batch_seconds=60)
emitter.emit("a", id="before")
child = os.fork()
if child == 0:
    emitter.emit("a", id="forked")
    sys.exit()
os.waitpid(child, 0)
process = multiprocessing.get_context("fork").Process(target=lambda: emitter.emit("a", id="pool"))
process.start()
process.join()
emitter.emit("a", id="after")
"""
    script = answers(10)
    with served(script) as url:
        run(code, url)
    assert sorted(ids(script)) == ["after", "before", "forked", "pool"]
    assert sorted(map(len, (body for _, body in script.asked))) == [1, 1, 2]


@pytest.mark.parametrize("url", ["", "ftp://a", "udp://a", "ws:///", "127.0.0.1:1080"])
def test_an_address_says_how_events_are_sent(url: str) -> None:
    with pytest.raises(InvalidSettings, match="accepted is http://HOST:PORT"):
        BackgroundEmitter(url)


# With a buffer on disk.


def test_what_a_killed_program_emitted_is_sent_by_the_next_one(tmp_path: Path) -> None:
    code = """
import os, signal, sys, time
from cube.client import BackgroundEmitter
emitter = BackgroundEmitter(sys.argv[1], buffer=sys.argv[2], batch_seconds=0)
for number in range(5):
    emitter.emit("a", id=number)
while emitter.counts.waiting:
    time.sleep(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""
    buffer = tmp_path / "events"
    assert run(code, NOBODY, str(buffer)) == -signal.SIGKILL
    script = answers(10)
    with served(script) as url, BackgroundEmitter(url, buffer=buffer, batch_seconds=0) as emitter:
        emitter.emit("a", id=5)
        assert emitter.flush(PATIENCE)
        assert emitter.counts.buffered == 0
    assert ids(script) == [0, 1, 2, 3, 4, 5]


def test_what_is_not_sent_stays_in_the_buffer(tmp_path: Path) -> None:
    for number in range(2):
        emitter = BackgroundEmitter(NOBODY, buffer=tmp_path / "new" / "events")
        emitter.emit("a", id=number)
        emitter.close(0)
        assert emitter.counts.dropped == {}
    script = answers(1)
    with served(script) as url, BackgroundEmitter(url, buffer=tmp_path / "new" / "events") as emitter:
        assert emitter.flush(PATIENCE)
    assert ids(script) == [0, 1]


def test_the_end_waits_for_what_is_being_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append, begun = DiskBuffer.append, threading.Event()

    def slow(buffer: DiskBuffer, texts: Sequence[bytes]) -> None:
        begun.set()
        time.sleep(0.4)
        append(buffer, texts)

    monkeypatch.setattr(DiskBuffer, "append", slow)
    emitter = BackgroundEmitter(NOBODY, buffer=tmp_path / "events", batch_seconds=0)
    emitter.emit("a")
    assert begun.wait(PATIENCE)
    emitter.close(0)
    assert len(DiskBuffer(tmp_path / "events", 2**20, Batching())) == 1


@pytest.mark.parametrize("is_replaced", [False, True])
def test_what_was_taken_of_a_file_settles_nothing_in_another(tmp_path: Path, is_replaced: bool) -> None:
    path = tmp_path / "events"
    buffer = DiskBuffer(path, 2**20, Batching())
    buffer.append([b"1", b"2"])
    taken = buffer.take()
    assert taken is not None
    buffer.before_fork()  # closes it; it is opened again with the next use
    buffer.after_fork()
    if is_replaced:
        for file in tmp_path.glob("events*"):
            file.unlink()
        other = DiskBuffer(path, 2**20, Batching())
        other.append([b"3"])
        other.close()
    buffer.settle(taken)
    assert len(buffer) == is_replaced
    buffer.close()


def test_of_all_on_one_buffer_one_sends_and_the_next_when_it_ends(tmp_path: Path) -> None:
    script = answers(100)
    buffer = tmp_path / "events"
    with served(script) as url:
        emitters = [BackgroundEmitter(url, buffer=buffer, batch_seconds=0) for _ in range(3)]
        for number in range(30):
            emitters[number % 3].emit("a", id=number)
        for emitter in emitters:
            assert emitter.flush(PATIENCE)
        assert [emitter.counts.stored for emitter in emitters].count(0) == 2
        for number, emitter in enumerate(emitters):
            emitter.emit("a", id=100 + number)
            emitter.close(PATIENCE)
    assert sorted(ids(script)) == [*range(30), 100, 101, 102]


def test_a_buffer_that_is_full_drops_and_goes_on(tmp_path: Path) -> None:
    drops: list[Drop] = []
    buffer = tmp_path / "events"
    emitter = BackgroundEmitter(
        NOBODY, buffer=buffer, buffer_bytes=65_536, batch_seconds=0, on_drop=drops.append
    )
    for number in range(40):
        emitter.emit("a", "x" * 4_000, id=number)
        until(lambda: emitter.counts.waiting == 0)
    emitter.close(0)
    assert {drop.reason for drop in drops} == {"full"}
    kept = 40 - len(drops)
    assert 1 < kept < 16
    script = answers(100)
    with served(script) as url, BackgroundEmitter(url, buffer=buffer) as emitter:
        assert emitter.flush(PATIENCE)
    assert ids(script) == list(range(kept))


@pytest.mark.parametrize("is_opened", [False, True], ids=["no database", "pages within"])
def test_a_damaged_buffer_is_set_aside(
    is_opened: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = tmp_path / "events"
    if is_opened:
        kept = DiskBuffer(buffer, 2**20, Batching())
        kept.append([b"x" * 9_000])
        kept.close()
        whole = buffer.read_bytes()
        buffer.write_bytes(whole[:PAGE_BYTES] + b"\xff" * (len(whole) - PAGE_BYTES))
    else:
        buffer.write_bytes(b"nothing of SQLite's" * 400)
    script = answers(1)
    with served(script) as url, BackgroundEmitter(url, buffer=buffer, batch_seconds=0) as emitter:
        emitter.emit("a", id=1)
        assert emitter.flush(PATIENCE)
    assert ids(script) == [1]
    assert len(list(tmp_path.glob("events.damaged-*"))) == 1
    assert "is damaged" in caplog.text


def run(code: str, *arguments: str) -> int:
    """Run a program to its end, and return its status."""
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.run([sys.executable, "-c", code, *arguments], timeout=60, env=environ).returncode


def until(claim: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.002)
