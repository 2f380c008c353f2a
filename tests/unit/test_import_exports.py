"""What `cube export` writes is imported as it was, with no options: types, times, ids and data."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, Final

import pytest

from cube.cli.export import write_table
from cube.importing.own_exports import is_export
from cube.model.event import Event, shown_id
from tests.importing import Imports

DAY: Final = 1577836800000
MADE: Final = {"$oid": "65a1b2c3d4e5f60718293a4b"}
OTHER: Final = {"$oid": "65a1b2c3d4e5f60718293a4c"}
TIME: Final = "2020-01-01T00:00:00.000Z"


def event(id: Any, data: Any, type: str = "order") -> dict[str, Any]:
    return {"type": type, "id": id, "time": TIME, "data": data}


EVENTS: Final = [
    event("a", {"n": 1, "s": "text", "user": {"name": "x", "a b": {"c": True}}}),
    event(7, {"n": 2.5, "type": "own", "time": 5, "id": "mine", "made_id": "x", "data_": "y"}),
    event("7", {"n": 3, "list": [1, "a", {"b": None}], "empty": {}}),
    event('"quoted"', {"n": 4, "s": "a,b\nc"}),
    event(MADE, {"n": 5}),
    event(OTHER, {"n": 6, "s": "é"}),
]


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imports:
    return Imports(tmp_path, monkeypatch)


def exported(imports: Imports, name: str, events: list[Any]) -> str:
    lines = "".join(f"{json.dumps(each, separators=(',', ':'))}\n" for each in events).encode()
    if not name.endswith("jsonl"):
        table = io.BytesIO()
        write_table(name.rpartition(".")[2], io.BytesIO(lines), table)
        lines = table.getvalue()
    imports.write(name, lines)
    return name


def stored(imports: Imports) -> list[Any]:
    found = imports.collector.stored.values()
    rows = [{"type": e.type, "id": shown_id(e.id), "time": TIME, "data": e.data} for e in found]
    assert all(each.time == DAY for each in found)
    return sorted(rows, key=lambda row: row["data"]["n"])


@pytest.mark.parametrize("name", ["whatever.jsonl", "whatever.csv", "whatever.parquet"])
def test_an_export_is_imported_as_it_was_with_no_options(imports: Imports, name: str) -> None:
    for event in EVENTS:  # they are stored already
        parsed = Event.parse(event, now=0)
        imports.collector.stored[parsed.type, parsed.id] = parsed
    assert imports.run(exported(imports, name, EVENTS)).exit_code == 0
    assert imports.collector.received == len(EVENTS)
    assert stored(imports) == EVENTS


@pytest.mark.parametrize("name", ["whatever.jsonl", "whatever.csv", "whatever.parquet"])
def test_large_exports_are_taken_many_rows_at_once(imports: Imports, name: str) -> None:
    """Their ids are texts, numbers and made ones in turn: one column of a table is of several kinds."""
    ids: list[Any] = [lambda n: f"id{n}", lambda n: n, lambda n: {"$oid": f"{n:024x}"}]
    events = [event(ids[n % 3](n), {"n": n}) for n in range(3000)]
    assert imports.run(exported(imports, name, events)).exit_code == 0
    assert stored(imports) == events


def test_a_type_that_is_named_is_that_of_all(imports: Imports) -> None:
    assert imports.run(exported(imports, "x.csv", EVENTS[:1]), "--type", "copy").exit_code == 0
    assert list(imports.collector.stored) == [("copy", "a")]


def test_that_a_table_is_taken_for_an_export_is_told_with_the_other_way(imports: Imports) -> None:
    """Another's may happen to look so."""
    imports.write("x.csv", f"type,time,id,n\norder,{TIME},1,5\n".encode())
    told = imports.run("x.csv").stderr
    assert "x.csv: its rows look as cube export writes them, and are taken as events with their own" in told
    assert "--time time makes them data of events." in told
    assert imports.run("x.csv", "--time", "time").exit_code == 0
    assert [(e.type, e.data) for e in imports.collector.stored.values()] == [
        ("order", {"n": 5}),
        ("x", {"type": "order", "time": TIME, "id": 1, "n": 5}),
    ]


def test_tables_of_others_are_not_taken_for_exports(imports: Imports) -> None:
    names = ["type", "time", "id", "n"]
    good = [["order", TIME, "1", "5"], ["order", TIME, "2", "5"]]
    assert is_export(names, good)
    assert not is_export(["time", "type", "id", "n"], [[TIME, "order", "1", "5"]])
    assert not is_export(names[:2], [row[:2] for row in good])
    assert not is_export(names, [*good, ["order", TIME, "1", "7"]])  # not ids, for they come again
    assert not is_export(names, [*good, ["order", TIME, "", "7"]])
    assert not is_export(names, [["order", "2020-01-01", "1", "5"]])
    assert not is_export(names, [["Page view", TIME, "1", "5"], ["Page view", TIME, "2", "5"]])
    found = imports.imported("x.csv", f"type,time,id,n\no,{TIME},s,1\no,{TIME},s,1\n")
    assert found == [{"type": "o", "time": TIME, "id": "s", "n": 1}] * 2


@pytest.mark.parametrize(
    ("cells", "stored"), [('"""abc",x', 1), ("1e999,x", 1), ('"""\udcff""",x', 0), ("y,[\udcff", 0)]
)
def test_a_row_that_no_export_has_costs_no_other(imports: Imports, cells: str, stored: int) -> None:
    """It comes behind the rows by which the table is known."""
    rows = "".join(f"order,{TIME},{n},x\n" for n in range(1000))
    content = f"type,time,id,s\n{rows}order,{TIME},{cells}\n"
    imports.write("x.csv", content.encode(errors="surrogateescape"))
    imports.run("x.csv")
    assert len(imports.collector.stored) == 1000 + stored


def test_paths_that_are_none_are_names(imports: Imports) -> None:
    content = f"type,time,id,a,a.b,..,c[\norder,{TIME},1,x,y,z,w\n"
    assert imports.imported("x.csv", content) == [{"a": "x", "a.b": "y", "..": "z", "c[": "w"}]


@pytest.mark.parametrize("id", [{"$oid": "xyz"}, {"$oid": MADE["$oid"], "b": 1}, {"$oid": 5}, {}, [MADE]])
def test_what_is_no_id_that_cube_makes_is_refused(id: Any) -> None:
    with pytest.raises(Exception, match="Got the id"):
        Event.parse({"type": "x", "id": id}, now=0)
