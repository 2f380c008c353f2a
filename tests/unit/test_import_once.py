"""`cube import` stores each record once, whatever happens to the file, the collector or the command."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from cube.errors import Unavailable
from cube.importing import batch_filler
from cube.importing.event_maker import EventMaker
from cube.importing.identity import HEAD_RECORDS, RecordIds
from cube.importing.record import SourceRecord
from tests.importing import Imports

DAY = 1577836800000


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imports:
    return Imports(tmp_path, monkeypatch, batch=100)


def lines(count: int, first: int = 0) -> str:
    return "".join(f'{{"time":{DAY + n},"n":{n}}}\n' for n in range(first, first + count))


def records(contents: list[bytes]) -> list[SourceRecord]:
    return [SourceRecord(number, content) for number, content in enumerate(contents, 1)]


def ids(contents: list[bytes], known: tuple[str, ...] = ()) -> list[bytes]:
    return RecordIds(known).of(records(contents))


def test_the_same_file_is_stored_once_under_any_name_in_any_compression_and_through_a_pipe(
    imports: Imports,
) -> None:
    content = lines(300)
    imports.imported("one.jsonl", content, "--type", "x")
    imports.imported("one.jsonl", content, "--type", "x")
    imports.imported("two.jsonl", content.replace("\n", "\r\n"), "--type", "x")
    imports.imported("three.gz", gzip.compress(content.encode()), "--type", "x")
    assert imports.run("-", "--type", "x", stdin=content.encode()).exit_code == 0
    assert len(imports.collector.stored) == 300
    assert imports.collector.received == 1500


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 1000, 1500])
def test_what_is_appended_is_stored_and_nothing_before_it_again(imports: Imports, count: int) -> None:
    imports.imported("x.jsonl", lines(count))
    imports.imported("x.jsonl", lines(count + 10))
    assert len(imports.collector.stored) == count + 10


def test_equal_records_are_several_events_and_so_are_those_of_two_files(imports: Imports) -> None:
    imports.imported("a.csv", "time,n\n2020-01-01,0\n2020-01-01,0\n", "--type", "x")
    assert len(imports.collector.stored) == 2
    imports.imported("b.csv", "time,n\n2020-01-02,1\n2020-01-01,0\n", "--type", "x")
    assert len(imports.collector.stored) == 4


def test_equal_cells_under_other_names_are_other_events(imports: Imports) -> None:
    rows = "".join(f"2020-01-01T00:{minute:02},0\n" for minute in range(10))
    for name in ("cpu", "memory"):
        imports.imported(f"{name}.csv", f"time,{name}\n{rows}", "--type", "host")
    assert len(imports.collector.stored) == 20


def test_equal_records_of_two_arrays_in_a_file_are_several_events(imports: Imports) -> None:
    content = json.dumps({name: [{"time": DAY, "n": 1}] for name in ("a", "b", "c" * 80)})
    imports.write("x.json", content)
    for path in ("a", "b", "c" * 80, "a"):
        assert imports.run("x.json", "--records", path).exit_code == 0
    assert len(imports.collector.stored) == 3


def test_no_record_takes_the_place_of_another(imports: Imports) -> None:
    """Monday's dump and Tuesday's: the same beginning, then a record is gone, and all others move up."""
    monday = lines(2000).splitlines(keepends=True)
    imports.imported("monday.jsonl", "".join(monday), "--type", "x")
    imports.imported("tuesday.jsonl", "".join(monday[:1500] + monday[1501:]), "--type", "x")
    assert {data["n"] for data in imports.collector.data()} == set(range(2000))


def test_a_wrong_time_is_put_right_by_another_import(imports: Imports) -> None:
    imports.imported("x.csv", "time,n\n1577836800,1\n", "--unit", "ms")
    imports.imported("x.csv", "time,n\n1577836800,1\n")
    assert imports.collector.times() == [DAY]


def test_mending_a_record_in_place_changes_no_other(imports: Imports) -> None:
    broken = lines(150).replace('{"time":1577836800005,', '{"time":"never",')
    imports.write("x.jsonl", broken)
    assert imports.run("x.jsonl").exit_code == 2
    assert len(imports.collector.stored) == 149
    imports.imported("x.jsonl", lines(150))
    assert len(imports.collector.stored) == 150
    assert not (imports.folder / "x.jsonl.cube-import").exists()


def test_ids_ascend_and_those_of_other_beginnings_are_not_taken_for_known_ones() -> None:
    contents = [b"%d" % n for n in range(3000)]
    made = ids(contents)
    assert sorted(made[HEAD_RECORDS:]) == made[HEAD_RECORDS:]
    assert len(set(made)) == 3000
    first = RecordIds()
    first.of(records(contents))
    mended = [*contents[:5], b"mended", *contents[6:]]
    assert sum(a != b for a, b in zip(ids(mended, tuple(first.keys)), made, strict=True)) == 1
    assert not set(ids([b"other", *contents[1:]], tuple(first.keys))) & set(made)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Unavailable("It is away.")])
@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.json"])
def test_an_interrupted_import_goes_on_where_it_was(
    imports: Imports, name: str, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = lines(1000).encode()
    if name.endswith("csv"):
        content = b"time,n\n" + b"".join(b"%d,%d\n" % (DAY + n, n) for n in range(1000))
    elif name.endswith("json"):
        content = json.dumps([json.loads(line) for line in content.splitlines()]).encode()
    imports.write(name, gzip.compress(content) if name.endswith("gz") else content)
    imports.collector.fails_after, imports.collector.error = 5, error
    result = imports.run(name)
    assert result.exit_code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert "500 events are stored; run the same command again" in result.stderr
    imports.collector.fails_after = None
    assert imports.run(name).stdout == "500 events stored.\n"
    assert sorted(data["n"] for data in imports.collector.data()) == list(range(1000))
    assert imports.collector.received == 1000
    assert list(imports.folder.iterdir()) == [imports.folder / name]


def test_rejects_of_an_interrupted_import_are_gone_on_with(imports: Imports) -> None:
    bad = '{"time":"never"}\n'
    imports.write("x.jsonl", lines(200) + bad + lines(200, 200) + bad)
    imports.collector.fails_after = 3
    imports.run("x.jsonl")
    imports.collector.fails_after = None
    imports.run("x.jsonl")
    assert [each["line"] for each in imports.rejects("x.jsonl.rejects.jsonl")] == [201, 402]
    assert len(imports.collector.stored) == 400


def test_what_is_kept_counts_for_the_same_file_options_and_collector_alone(imports: Imports) -> None:
    imports.write("x.jsonl", lines(1000))
    imports.collector.fails_after = 5
    imports.run("x.jsonl")
    state = (imports.folder / "x.jsonl.cube-import").read_bytes()
    imports.collector.fails_after = None
    for words in (("--type", "other"), ("--collector", "http://127.0.0.1:9")):
        (imports.folder / "x.jsonl.cube-import").write_bytes(state)
        assert imports.run("x.jsonl", *words).stdout == "1000 events stored.\n"
    (imports.folder / "x.jsonl.cube-import").write_bytes(state)
    os.utime(imports.folder / "x.jsonl", ns=(0, 0))
    assert imports.run("x.jsonl").stdout == "1000 events stored.\n"
    (imports.folder / "x.jsonl.cube-import").write_bytes(b"{")
    assert imports.run("x.jsonl").stdout == "1000 events stored.\n"
    assert len(imports.collector.stored) == 2000


def test_events_at_their_arrival_keep_the_time_of_the_first(imports: Imports) -> None:
    imports.imported("x.jsonl", '{"n":1}\n', "--now")
    (event,) = imports.collector.stored.values()
    assert not event.timed


def test_what_the_collector_alone_refuses_is_rejected_and_the_rest_is_stored(imports: Imports) -> None:
    """Data are looked at by the collector, once the first records were seen to fit."""
    bad = '{"time":1577836800000,"deep":' + "[" * 60 + "]" * 60 + "}\n"
    imports.write("x.jsonl", lines(batch_filler.LOOKED_AT + 50) + bad + lines(100, 1000) + bad)
    assert imports.run("x.jsonl").exit_code == 2
    assert len(imports.collector.stored) == batch_filler.LOOKED_AT + 150
    assert [each["line"] for each in imports.rejects("x.jsonl.rejects.jsonl")] == [151, 252]


@pytest.mark.parametrize("line", ['{"time":%d,"n":1}', '{"type":"x","time":%d,"data":{"n":1}}', "%d,1"])
def test_only_the_first_records_are_looked_at_whole(
    line: str, imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an import takes three times as long: what is wrong with the rest is the collector's to say."""
    calls = []
    whole = EventMaker.event
    monkeypatch.setattr(EventMaker, "event", lambda *given: calls.append(1) or whole(*given))
    head = "time,n\n" if line[0] == "%" else ""
    found = imports.imported("x.data", head + "".join(f"{line % (DAY + n)}\n" for n in range(500)))
    assert [data["n"] for data in found] == [1] * 500
    assert len(calls) == batch_filler.LOOKED_AT


def test_rows_that_are_not_unicode_are_rejected_wherever_they_stand(imports: Imports) -> None:
    rows = "".join(f"{DAY + n},a\n" for n in range(150)).encode()
    imports.write("x.csv", b"time,s\n" + rows + b"1577836800000,\xff\n" + rows)
    assert imports.run("x.csv").exit_code == 2
    assert len(imports.collector.stored) == 300
    (reject,) = imports.rejects("x.csv.rejects.jsonl")
    assert (reject["line"], "not UTF-8" in reject["reason"]) == (152, True)
    imports.imported("x.csv", b"time,s\n" + rows + b"1577836800000,\xff\n", "--encoding", "latin-1")
    assert imports.collector.data()[0]["s"] in ("a", "\xff")


def test_values_that_json_does_not_have_are_mended_in_every_record(imports: Imports) -> None:
    """DuckDB and Python write NaN; ClickHouse and PostgreSQL integers of more than 64 bits."""
    odd = '{"time":1577836800999,"a":NaN,"b":-Infinity,"c":18446744073709551615,"d":1e999,"e":[Infinity]}\n'
    found = imports.imported("x.jsonl", odd + lines(300) + odd)
    mended = {"a": None, "b": None, "c": "18446744073709551615", "d": "1e999", "e": [None]}
    assert [data for data in found if "a" in data] == [{"time": 1577836800999, **mended}] * 2


@pytest.mark.parametrize(
    ("broken", "count"),
    [
        (['{"time":1577836800000}},{"n":1}'], 1),
        (['{"a":1},{"b":2}', '{"t":[1}', "2]}"], 3),
        (['{"a":"x}', '{"b":"}'], 2),
    ],
)
def test_lines_that_are_values_together_alone_are_rejected(
    imports: Imports, broken: list[str], count: int
) -> None:
    """Lines are read many at once: what is no value must not be mended by its neighbours."""
    imports.write("x.jsonl", lines(150) + "".join(f"{line}\n" for line in broken) + lines(150, 150))
    assert imports.run("x.jsonl").exit_code == 2
    assert [data["n"] for data in imports.collector.data()] == list(range(300))
    assert len(imports.rejects("x.jsonl.rejects.jsonl")) == count


def test_a_path_may_be_a_name_in_some_records_and_lead_through_objects_in_others(imports: Imports) -> None:
    records = [{"at": {"time": DAY + n}, "n": n} for n in range(300)]
    records[200]["at.time"] = records[200].pop("at")["time"]
    content = "".join(json.dumps(record) + "\n" for record in records)
    found = imports.imported("x.jsonl", content, "--time", "at.time")
    assert [data["n"] for data in found] == list(range(300))
    assert imports.collector.times() == [DAY + n for n in range(300)]


def test_a_state_or_rejects_file_that_cannot_be_written_costs_no_event(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    imports.write("x.jsonl", lines(300) + "{}\n")
    monkeypatch.setattr("cube.files.write", refuse)
    monkeypatch.setattr("cube.files.make_file", refuse)
    result = imports.run("x.jsonl")
    assert result.exit_code == 2
    assert "x.jsonl.rejects.jsonl cannot be written: No space left on device" in result.stderr
    assert len(imports.collector.stored) == 300
