"""`cube put`: every event once, up to the first bad line, however often it is run."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cube.cli.put import put as command
from cube.cli.upload import InputLine, Progress, Skipped, StoppedAt, Uploader, read_lines
from cube.errors import InvalidEvent, InvalidRequest, Unavailable

TIMED = b'{"type":"a","time":"2020-01-01T00:00:00Z"}\n'
BARE = b'{"type":"a"}\n'


class Collector:
    """Takes requests as a collector does, all or nothing; events with ``bad`` in their data are refused."""

    def __init__(self, away_after: int | None = None) -> None:
        self.stored: dict[str, Mapping[str, Any]] = {}
        self.requests = 0
        self._away_after = away_after

    def send(self, events: Iterable[Mapping[str, Any]]) -> int:
        self.requests += 1
        if self._away_after is not None and self.requests > self._away_after:
            raise Unavailable("It is away.")
        batch = list(events)
        for index, event in enumerate(batch):
            if "bad" in event.get("data", {}):
                raise InvalidEvent("It is bad.").at(index)
        self.stored.update({event["id"]: event for event in batch})
        return len(batch)


def lines(*contents: bytes) -> list[InputLine]:
    return list(read_lines(io.BytesIO(b"".join(contents))))


def numbered(*numbers: int, bad: Iterable[int] = ()) -> bytes:
    data = [{"bad": 1} if number in bad else {"n": number} for number in numbers]
    return b"".join(
        json.dumps({"type": "a", "time": number, "data": value}).encode() + b"\n"
        for number, value in zip(range(10**12, 10**12 + len(data)), data, strict=True)
    )


def put(collector: Collector, content: bytes, skipped: Skipped | None = None) -> Uploader:
    uploader = Uploader(collector.send, skipped, Progress(io.StringIO(), lambda: 0.0))
    uploader.put(read_lines(io.BytesIO(content)))
    return uploader


def ids(file: Path) -> list[str]:
    with file.open("rb") as opened:
        return [line.event["id"] for line in read_lines(opened)]


def test_ids_are_the_same_in_each_reading_and_differ_between_equal_lines(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(TIMED * 3 + BARE * 3)
    assert ids(file) == ids(file)
    assert len(set(ids(file))) == 6
    assert [len(id) for id in ids(file)] == [32] * 6


def test_a_timed_event_has_its_id_whatever_it_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(TIMED)
    assert ids(file) == [line.event["id"] for line in lines(TIMED)]


def test_events_without_a_time_are_others_in_another_file_and_in_each_pipe(tmp_path: Path) -> None:
    """Else `echo '{"type": "deploy"}' | cube put -` would count a day's deploys once."""
    one, two = tmp_path / "one", tmp_path / "two"
    for file in (one, two):
        file.write_bytes(BARE)
    assert ids(one) != ids(two)
    assert lines(BARE)[0].event["id"] != lines(BARE)[0].event["id"]
    assert [line.has_random_id for line in lines(BARE, TIMED)] == [True, False]
    assert put(Collector(), BARE * 2 + TIMED).random_ids == 2


def test_a_line_that_ends_otherwise_or_has_a_mark_before_it_is_the_same_event() -> None:
    first = lines(TIMED)[0].event["id"]
    for same in (TIMED.strip(), TIMED.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + TIMED):
        assert lines(same)[0].event["id"] == first


def test_an_id_of_ones_own_is_kept_and_empty_lines_count_as_lines() -> None:
    found = lines(b"\n", b'{"type":"a","id":7}\n', b"  \n", BARE)
    assert [line.number for line in found] == [2, 4]
    assert found[0].event["id"] == 7


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[1]", "id?, data?}; `cube import` reads files of other forms."),
        (b'{"type":', "was truncated; `cube import` reads files of other forms."),
        (b'{"type":"a","data":"\xff"}', "The line is not JSON"),
        (b'{"type":"A-"}', 'Got the type "A-"'),
        (b'{"type":"a","time":"yesterday"}', "yesterday"),
        (b'{"type":"a","data":"' + b"x" * 2**24 + b'"}', "more than 16777216 bytes"),
    ],
)
def test_a_bad_line_is_found_and_the_next_one_read(content: bytes, reason: str) -> None:
    bad, good = lines(content + b"\n", TIMED)
    assert bad.error is not None
    assert reason in bad.error
    assert (good.number, good.error) == (2, None)


@pytest.mark.parametrize("first", [0, 3, 2998])
def test_of_two_bad_lines_the_first_is_told_and_all_before_it_are_stored(first: int) -> None:
    """The second is one that this process finds itself, before the collector has seen the first."""
    content = numbered(*range(3000), bad=[first]) + b"no JSON\n"
    collector = Collector()
    with pytest.raises(StoppedAt) as stopped:
        put(collector, content)
    assert (stopped.value.line.number, stopped.value.reason) == (first + 1, "It is bad.")
    assert [event["data"]["n"] for event in collector.stored.values()] == list(range(first))


def test_a_repeated_run_stores_nothing_twice_and_goes_on() -> None:
    content = numbered(*range(3500))
    collector = Collector(away_after=2)
    uploader = Uploader(collector.send, None, Progress(io.StringIO(), lambda: 0.0))
    with pytest.raises(Unavailable):
        uploader.put(read_lines(io.BytesIO(content)))
    assert (uploader.stored, uploader.line) == (2000, 2000)
    again = Collector()
    again.stored = collector.stored
    assert put(again, content).stored == 3500
    assert len(again.stored) == 3500


def test_bad_lines_are_skipped_into_a_file_and_the_others_stored() -> None:
    bad = [0, 5, 6, 999, 1000, 2500]
    content = numbered(*range(2501), bad=bad) + b"no JSON\n" + TIMED
    collector, file = Collector(), io.BytesIO()
    told: list[tuple[int, int, str]] = []
    uploader = put(
        collector,
        content,
        Skipped(file, lambda number, line, reason: told.append((number, line.number, reason))),
    )
    assert uploader.stored == len(collector.stored) == 2501 - len(bad) + 1
    assert uploader.line == 2503
    assert sorted(line for _, line, _ in told) == [*(place + 1 for place in bad), 2502]
    kept = file.getvalue().splitlines()
    assert len(kept) == len(bad) + 1
    assert set(kept) <= set(content.splitlines())


def test_progress_is_told_now_and_then() -> None:
    now = [0.0]
    told = io.StringIO()
    progress = Progress(told, lambda: now[0])
    for seconds in (1, 9.9, 10, 11, 20.5):
        now[0] = seconds
        progress.tell(int(seconds), 7)
    assert told.getvalue() == "10 events stored, up to line 7 …\n20 events stored, up to line 7 …\n"


@pytest.mark.parametrize("check", [True, False])
def test_a_key_that_is_not_stored_is_told_once_where_it_is_nearly_one_of_an_events(
    tmp_path: Path, check: bool
) -> None:
    file = tmp_path / "events"
    file.write_bytes(
        b'{"type":"a","data":1,"host":"h"}\n' + 3 * b'{"type":"a","data":1,"timestamp":"2020-01-01"}\n'
    )
    away = ["--collector", "http://127.0.0.1:1"]
    said = CliRunner().invoke(command, [str(file), *(["--check"] if check else away)]).stderr
    sentence = 'Got the unknown key "timestamp", which is not stored; did you mean "time"?'
    assert said.count(f"cube: Line 2: {sentence}") == said.count("unknown key") == 1


def test_what_bad_lines_are_written_to_keeps_its_place_and_its_errors_are_told(tmp_path: Path) -> None:
    file, linked, target = tmp_path / "events", tmp_path / "bad", tmp_path / "target"
    file.write_bytes(b'{"type":"A"}\n')
    target.write_bytes(b"old")
    linked.symlink_to(target)
    assert CliRunner().invoke(command, [str(file), "--skip-bad", str(linked)]).exit_code
    assert linked.is_symlink()
    assert target.read_bytes() == b'{"type":"A"}\n'
    linked.unlink()
    linked.symlink_to("/dev/full")
    refused = CliRunner().invoke(command, [str(file), "--skip-bad", str(linked)]).exception
    assert isinstance(refused, InvalidRequest)
    assert refused.message.startswith(f"The file {linked} cannot be written: No space left on device.")
    assert linked.is_symlink()
