"""``cube export``: every event once, in files that other tools read, however often it is interrupted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result
from pyarrow import parquet

from cube.cli.main import main
from cube.client.connection import Fetched
from cube.client.evaluator import Evaluator
from cube.errors import Unavailable
from cube.exporting import download
from cube.expression import parse_event
from cube.json_text import decode_leniently
from cube.model.event import ABSENT, Event
from cube.model.tier import Span
from cube.process.threads import run_in_thread
from cube.store.find import find
from cube.store.ports import Store
from cube.store.sqlite import open_store
from tests.evaluator_running import DAY, Running, event, running

DATA: list[Any] = [
    {"i": 1, "f": 1.5, "t": 'é, "x"\n', "b": True, "n": None, "o": {"a": {"b": 1}, "x y": 2}, "l": [1, "a"]},
    {"i": 2**63 - 1, "f": 1, "t": "", "b": False, "o": {}, "time": "5", "mixed": "1"},
    {"i": -(2**63), "f": 1e300, "mixed": 1, "l": []},
    None,
    ABSENT,
    [1, {"a": 2}],
    "text",
]


@pytest_asyncio.fixture
async def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(download, "FIRST_PAGE", 3)
    monkeypatch.setattr(download, "PAGE_BYTES", 300)
    async with running(tmp_path / "store") as made:
        yield made


async def run(made: Running, *words: object) -> Result:
    command = [*map(str, words), "--evaluator", f"http://127.0.0.1:{made.port}"]
    return await run_in_thread(CliRunner().invoke, main, command)


async def export(made: Running, *words: object, command: str = "export") -> bytes:
    result = await run(made, command, *words)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


async def _save(made: Running) -> list[Event]:
    ids: list[Any] = ["a", 1, 2.5, None, None, "1", "é"]
    events = [event(DAY + number // 2, data, ids[number]) for number, data in enumerate(DATA)]
    await made.save(*events)
    return events


async def _all(store: Store) -> list[tuple[int, Any, Any]]:
    async with store.events.read() as session:
        parts = find(session, parse_event("test(*)"), Span(0, 2 * DAY), limit=None)
        return [(one.time, one.id, one.data) async for part in parts for one in part]


async def test_json_lines_are_the_events_that_collectors_take_again(made: Running, tmp_path: Path) -> None:
    await _save(made)
    lines = (await export(made, "test")).splitlines()
    assert len(lines) == len(DATA)
    again = [Event.parse(decode_leniently(line), now=0) for line in lines]
    copy = await open_store(tmp_path / "copy", "test")
    try:
        await copy.events.save("test", again)
        ours, theirs = await _all(made.store), await _all(copy)
    finally:
        await copy.close()

    assert sorted(map(repr, ours)) == sorted(map(repr, theirs))  # ids that were made, and whole floats, too


async def test_exports_show_the_ids_that_were_made(made: Running) -> None:
    await made.save(event(DAY, {"i": 1}, "a"), event(DAY + 1, {"i": 2}, None))
    rows = [json.loads(line) for line in (await export(made, "test")).splitlines()]
    assert [row["id"] if row["data"]["i"] == 1 else set(row["id"]) for row in rows] == ["a", {"$oid"}]


async def test_more_events_than_an_answer_has_are_exported_in_order(made: Running, tmp_path: Path) -> None:
    await made.save(*(event(DAY + i // 50, {"i": i}, i) for i in range(200)))
    rows = [json.loads(line) for line in (await export(made, "test(i).lt(i, 150)")).splitlines()]
    assert [row["id"] for row in rows] == list(range(150))
    assert rows[0] == {"type": "test", "id": 0, "time": "2011-07-18T00:00:00.000Z", "data": {"i": 0}}
    out = tmp_path / "out.jsonl"
    assert await export(made, "test", "--start", DAY + 1, "--stop", DAY + 3, "-o", out) == b""
    assert [json.loads(line)["id"] for line in out.read_bytes().splitlines()] == list(range(50, 150))
    assert not list(tmp_path.glob("*.part*"))  # noqa: ASYNC240 - a few names


async def test_csv_has_a_column_for_each_field(made: Running, tmp_path: Path) -> None:
    await _save(made)
    out = tmp_path / "out.csv"
    await export(made, "test", "-o", out)
    rows = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
    assert len(rows) == len(DATA)
    first = next(row for row in rows if row["id"] == "a")
    assert {name: value for name, value in first.items() if name != "made_id"} == {
        "type": "test",
        "time": "2011-07-18T00:00:00.000Z",
        "id": "a",
        "i": "1",
        "f": "1.5",
        "t": 'é, "x"\n',
        "b": "true",
        "n": "",
        "o.a.b": "1",
        'o["x y"]': "2",
        "l": '[1,"a"]',
        "o": "",
        "time_": "",
        "mixed": "",
        "data": "",
    }
    assert {row["data"] for row in rows} == {"", '[1,{"a":2}]', "text"}
    assert {row["time_"] for row in rows} == {"", "5"}
    assert ',"",' in out.read_text()  # empty text is not no value


async def test_parquet_has_typed_columns(made: Running, tmp_path: Path) -> None:
    await _save(made)
    out = tmp_path / "out.parquet"
    await export(made, "test", "-o", out)
    table = parquet.read_table(out)
    assert {field.name: str(field.type) for field in table.schema} == {
        "type": "string",
        "time": "timestamp[ms, tz=UTC]",
        "id": "string",
        "made_id": "string",
        "i": "int64",
        "f": "double",
        "t": "string",
        "b": "bool",
        "n": "string",
        "o.a.b": "int64",
        'o["x y"]': "int64",
        "l": "string",
        "o": "string",
        "time_": "string",
        "mixed": "string",
        "data": "string",
    }
    rows = {row["id"]: row for row in table.to_pylist()}
    assert rows['"a"']["time"].isoformat() == "2011-07-18T00:00:00+00:00"
    assert [rows[id]["i"] for id in ('"a"', "1", "2.5")] == [1, 2**63 - 1, -(2**63)]
    assert [rows[id]["mixed"] for id in ('"a"', "1", "2.5")] == [None, '"1"', "1"]
    assert [rows[id]["t"] for id in ('"a"', "1", "2.5")] == [DATA[0]["t"], "", None]
    json_columns = {field.name for field in table.schema if field.metadata == {b"cube": b"json"}}
    assert json_columns == {"id", "l", "o", "mixed", "data"}


async def test_an_export_of_nothing_is_a_whole_file(made: Running, tmp_path: Path) -> None:
    for name, rows in (("a.jsonl", b""), ("a.csv", b"type,time\n")):
        await export(made, "nothing", "-o", tmp_path / name)
        assert (tmp_path / name).read_bytes() == rows
    await export(made, "nothing", "-o", tmp_path / "a.parquet")
    assert parquet.read_table(tmp_path / "a.parquet").num_rows == 0


class Failing:
    """An evaluator that goes away after so many pages."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages = 0
        real = Evaluator._fetch

        def fetch(evaluator: Evaluator, path: str) -> Fetched:
            self.pages -= 1
            if self.pages < 0:
                raise Unavailable("The evaluator is gone.")
            return real(evaluator, path)

        monkeypatch.setattr(Evaluator, "_fetch", fetch)


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
async def test_an_interrupted_export_goes_on_where_it_was(
    made: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await made.save(*(event(DAY + i // 30, {"i": i}, i) for i in range(90)))
    failing, out = Failing(monkeypatch), tmp_path / name
    out.write_bytes(b"old")
    for pages in (1, 2, 2):
        failing.pages = pages
        result = await run(made, "export", "test(i)", "-o", out)
        assert result.exit_code == 1
        assert "events are in" in result.stderr
        assert out.read_bytes() == b"old"
    part = tmp_path / f"{name}.part"
    part.write_bytes(part.read_bytes() + b'{"type":"te')  # a page that was written and not noted
    failing.pages = 1_000
    result = await run(made, "export", "test(i)", "-o", out)
    assert result.exit_code == 0, result.output
    assert "Going on behind" in result.stderr
    assert "90 events are in" in result.stderr
    if name.endswith("jsonl"):
        assert [json.loads(line)["id"] for line in out.read_bytes().splitlines()] == list(range(90))
    elif name.endswith("csv"):
        assert [row["id"] for row in csv.DictReader(io.StringIO(out.read_text()))] == list(
            map(str, range(90))
        )
    else:
        assert parquet.read_table(out)["i"].to_pylist() == list(range(90))
    assert not part.exists()
    assert not (tmp_path / f"{name}.part.json").exists()


async def test_another_question_does_not_go_on_with_what_was_begun(
    made: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await made.save(*(event(DAY + i, {"i": i}, i) for i in range(20)))
    failing, out = Failing(monkeypatch), tmp_path / "out.jsonl"
    failing.pages = 1
    assert (await run(made, "export", "test(i)", "-o", out)).exit_code == 1
    failing.pages = 1_000
    result = await run(made, "export", "test(i).gt(i, 9)", "-o", out)
    assert result.exit_code == 2
    assert "--restart" in result.stderr
    result = await run(made, "export", "test(i).gt(i, 9)", "-o", out, "--restart")
    assert result.exit_code == 0
    assert [json.loads(line)["id"] for line in out.read_bytes().splitlines()] == list(range(10, 20))


async def test_standard_output_tells_how_to_go_on(made: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await made.save(*(event(DAY + i // 20, {"i": i}, i) for i in range(40)))
    failing = Failing(monkeypatch)
    failing.pages = 2
    result = await run(made, "export", "test(i)")
    assert result.exit_code == 1
    options = result.stderr.partition("; ")[2].partition(" goes on")[0].split()
    failing.pages = 1_000
    rest = await export(made, "test(i)", *options)
    lines = [*result.stdout_bytes.splitlines(), *rest.splitlines()]
    assert [json.loads(line)["id"] for line in lines] == list(range(40))


async def test_data_whose_names_are_values_are_no_table(made: Running, tmp_path: Path) -> None:
    await made.save(event(DAY, {f"k{i}": i for i in range(1_001)}, 1))
    result = await run(made, "export", "test", "-o", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert "more than 1000 different fields" in result.stderr
    assert json.loads(await export(made, "test"))["data"]["k1000"] == 1_000


REFUSED = (
    (["test(", "--format", "csv"], "Expected"),
    (["test", "--start", "x"], "Got the time"),
    (["test", "--after", "x"], "Got the cursor"),
    (["test", "--after", "", "-o", "missing/out.csv"], "The file missing/out.csv cannot be written"),
)


async def test_what_cannot_be_exported_is_told(made: Running) -> None:
    for words, part in REFUSED:
        result = await run(made, "export", *words)
        assert result.exit_code in (1, 2)
        assert part in result.stderr


ASKED = ("--step", "1m", "--start", DAY, "--stop", DAY + 600_000)


async def test_a_metric_is_exported_in_order_of_time_whatever_pages_it_takes(tmp_path: Path) -> None:
    async with running(tmp_path / "store", rows=3) as made:
        await made.save(*(event(DAY + i * 1_000, {"i": i, "host": f"h{i % 2}"}) for i in range(600)))
        expected = [
            {"time": f"2011-07-18T00:{minute:02}:00.000Z", "value": value}
            for minute, value in enumerate(range(60 * 59 // 2, 60 * 59 // 2 + 36_000, 3_600))
        ]
        expression = "sum(test(i))"
        lines = (await export(made, expression, "--format", "json", *ASKED, command="metric")).splitlines()
        assert [json.loads(line) for line in lines] == expected
        await export(made, expression, "-o", tmp_path / "out.csv", *ASKED, command="metric")
        text = (tmp_path / "out.csv").read_text()
        assert text.startswith("time,value\n2011-07-18T00:00:00.000Z,1770\n")
        assert text.count("\n") == 11
        await export(made, expression, "-o", tmp_path / "out.parquet", *ASKED, command="metric")
        table = parquet.read_table(tmp_path / "out.parquet")
        assert [str(field.type) for field in table.schema] == ["timestamp[ms, tz=UTC]", "double"]
        assert table["value"].to_pylist() == [row["value"] for row in expected]
        latest = await export(made, expression, "--format", "json", "--limit", 2, *ASKED, command="metric")
        assert [json.loads(line) for line in latest.splitlines()] == expected[-2:]


async def test_groups_are_columns(made: Running) -> None:
    await made.save(*(event(DAY, {"a": a, "b": b}) for a, b in (("x", 1), ("y", 2), ("y", 2), ("z", 3))))
    asked = ("--step", "1m", "--start", DAY, "--stop", DAY + 60_000, "--format", "csv")
    rows = (await export(made, "sum(test).group(a, b)", *asked, command="metric")).decode().splitlines()
    assert rows[:2] == ["time,value,group_1,group_2", "2011-07-18T00:00:00.000Z,1,x,1"]
    rows = (
        (await export(made, "sum(test).group(a, b).top(1)", *asked, command="metric")).decode().splitlines()
    )
    assert rows[0] == "time,value,group_1,group_2,other"
    assert sorted(row.partition(",")[2] for row in rows[1:]) == ["2,other,,true", "2,y,2,"]
    rows = (await export(made, "sum(test).group(a).top(1)", *asked, command="metric")).decode().splitlines()
    assert rows[0] == "time,value,group,other"
    assert sorted(row.partition(",")[2] for row in rows[1:]) == ["2,other,true", "2,y,"]


async def test_groups_too_many_for_a_long_answer_take_more_pages(tmp_path: Path) -> None:
    async with running(tmp_path / "store", cells=2_000) as made:
        await made.save(*(event(DAY + i * 1_000, {"g": i % 4}) for i in range(800)))
        asked = ("--step", "1s", "--start", DAY, "--stop", DAY + 800_000, "--format", "json")
        lines = (await export(made, "sum(test).group(g)", *asked, command="metric")).splitlines()
        rows = [json.loads(line) for line in lines]
        assert len(rows) == 3_200
        assert sum(row["value"] for row in rows) == 800
        assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


@pytest.mark.parametrize("expression", ["cumulative(sum(test))", "sum(test).group(i).top(1)"])
async def test_values_of_one_answer_are_not_put_together(tmp_path: Path, expression: str) -> None:
    async with running(tmp_path / "store", rows=3) as made:
        await made.save(*(event(DAY + i * 1_000, {"i": i}) for i in range(60)))
        result = await run(made, "metric", expression, *ASKED, "-o", tmp_path / "out.csv")
        assert result.exit_code == 2
        assert "more buckets than one answer has" in result.stderr
        assert not (tmp_path / "out.csv").exists()
