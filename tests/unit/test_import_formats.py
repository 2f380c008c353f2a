"""`cube import` reads what files are really like, and says what it cannot read."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
from pathlib import Path
from typing import Any

import pytest

from cube.importing.access_log import AccessLog
from cube.importing.record import SourceRecord
from cube.importing.splitting import ValueSplitter
from tests.importing import Imports

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = '{"time":1600000000000,"n":1}\n{"time":1600000001000,"n":2}\n'
RECORDS = [{"time": 1600000000000, "n": 1}, {"time": 1600000001000, "n": 2}]


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Imports:
    return Imports(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (LINES, ()),
        (LINES.replace("\n", "\r\n"), ()),
        ("\ufeff" + LINES, ()),
        (LINES.strip(), ()),
        ("\n\n" + LINES.replace("\n", "\n\n"), ()),
        (LINES.replace("\n", ""), ()),
        (json.dumps(RECORDS), ()),
        (json.dumps(RECORDS, indent=2), ()),
        ("\n".join(json.dumps(record, indent=4) for record in RECORDS), ()),
        ("[\n\t" + LINES.strip().replace("\n", ",\n\t") + "\n]\n", ()),  # DuckDB
        (json.dumps({"Records": RECORDS}), ("--records", "Records")),
        (json.dumps({"a": {"b": RECORDS[:1]}}) + json.dumps({"a": {"b": RECORDS[1:]}}), ("--records", "a.b")),
        (json.dumps({"records": RECORDS, "x": float("nan")}), ("--records", "records")),
        ("time,n\n1600000000000,1\n1600000001000,2\n", ()),
        ("time;n\r\n1600000000000;1\r\n1600000001000;2", ()),
        ("time\tn\n1600000000000\t1\n\n1600000001000\t2\n", ()),
        ('"time","n"\n"1600000000000","1"\n"1600000001000","2"\n', ()),
        ("1600000000000|1\n1600000001000|2\n", ("--columns", "time,n", "--delimiter", "|")),
    ],
)
def test_records_are_read_in_whatever_arrangement_they_stand(
    imports: Imports, content: str, words: tuple[str, ...]
) -> None:
    assert imports.imported("some.data", content, *words) == RECORDS
    assert {event.type for event in imports.collector.stored.values()} == {"some"}


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
def test_a_compressed_file_is_the_same_events_and_known_by_its_content(
    imports: Imports, compress: Any
) -> None:
    imports.imported("some.jsonl", LINES)
    imports.imported("some.other", compress(LINES.encode()))
    assert len(imports.collector.stored) == 2


def test_standard_input_and_a_directory_are_read(imports: Imports) -> None:
    (imports.folder / "d" / "deeper").mkdir(parents=True)
    imports.write("d/one.jsonl", LINES)
    imports.write("d/deeper/two.csv", "time,n\n1600000000000,1\n")
    imports.write("d/.hidden", "nothing")
    imports.write("d/one.jsonl.rejects.jsonl", "{}")
    assert imports.run("d").stdout == "3 events stored.\n"
    assert imports.run("-", stdin=LINES.encode()).stdout == "2 events stored.\n"
    types = sorted(event.type for event in imports.collector.stored.values())
    assert types == ["import", "import", "one", "one", "two"]


def test_a_damaged_file_is_stored_as_far_as_it_can_be_read(imports: Imports) -> None:
    many = "".join(f'{{"time":{1600000000000 + n},"n":{n}}}\n' for n in range(20_000))
    imports.write("cut.jsonl.gz", gzip.compress(many.encode())[:-20_000])
    result = imports.run("cut.jsonl.gz")
    assert result.exit_code == 2
    assert "is damaged or ends too early" in result.stderr
    assert len(imports.collector.stored) > 1000


def test_events_stay_as_they_are_and_documents_of_square_s_cube_become_events(imports: Imports) -> None:
    imports.imported("a", '{"type":"click","time":"2020-01-01","id":7,"data":{"x":1}}\n')
    imports.imported("b.json", '{"time":"2020-01-02T00:00Z","data":{"x":2}}\n', "--type", "click")
    imports.imported(
        "click_events.json",
        '{"_id":{"$oid":"5e0be1000000000000000000"},"t":{"$date":"2020-01-03T00:00:00Z"},"d":{"x":3}}\n'
        '{"_id":"own","t":{"$date":{"$numberLong":"1578096000000"}},"d":{"x":{"$numberLong":"4"}}}\n',
    )
    found = {(event.type, event.id): event.data for event in imports.collector.stored.values()}
    made = next(id for _, id in found if isinstance(id, str) and len(id) > 24)
    assert found == {
        ("click", 7): {"x": 1},
        ("click", made): {"x": 2},
        ("click", "5e0be1000000000000000000"): {"x": 3},
        ("click", "own"): {"x": 4},
    }


def test_extended_json_becomes_plain_values(imports: Imports) -> None:
    content = """{"at": {"$date": "2020-01-01T00:00:00.123Z"}, "who": {"$oid": "5e0be1000000000000000000"},
        "n": {"$numberInt": "1"}, "big": {"$numberLong": "9007199254740993"}, "f": {"$numberDouble": "1.5"},
        "price": {"$numberDecimal": "1.10"}, "nan": {"$numberDouble": "NaN"}, "$odd": 1, "text": "$date",
        "nested": [{"when": {"$date": {"$numberLong": "-1"}}}],
        "bytes": {"$binary": {"base64": "AQI=", "subType": "00"}}}"""
    assert imports.imported("x.json", content, "--time", "at") == [
        {
            "at": "2020-01-01T00:00:00.123Z", "who": "5e0be1000000000000000000", "n": 1,
            "big": 9007199254740993, "f": 1.5, "price": 1.1, "nan": None, "$odd": 1, "text": "$date",
            "nested": [{"when": "1969-12-31T23:59:59.999Z"}], "bytes": "AQI=",
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    "record", ['{{"time":{},"user":{{"id":{}}}}}', '{{"type":"x","time":{},"data":{{"user":{{"id":{}}}}}}}']
)
def test_ids_in_data_are_plain_however_many_records_there_are(imports: Imports, record: str) -> None:
    """The later ones are taken many at once; only an event's own id may be one that Cube has made."""
    id = "5e0be1000000000000000000"
    lines = [
        record.format(1577836800000 + n, json.dumps({"$oid": id}, separators=(",", ":"))) for n in range(150)
    ]
    found = imports.imported("x.jsonl", "\n".join(lines), "--type", "x")
    assert {row["user"]["id"] if isinstance(row["user"]["id"], str) else "" for row in found} == {id}


def test_access_logs_are_read(imports: Imports) -> None:
    common = '127.0.0.1 - frank [17/May/2015:10:05:03 +0200] "GET /a?b=1 HTTP/1.1" 200 2326'
    combined = '::1 - - [17/May/2015:10:05:04 +0200] "-" 408 - "http://x/" "Mozilla/5.0 (\\"x\\")" 0.5 more'
    assert imports.imported("access.log", f"{common}\n{combined}\n") == [
        {
            "host": "127.0.0.1", "user": "frank", "time": "2015-05-17T08:05:03.000Z", "method": "GET",
            "path": "/a?b=1", "protocol": "HTTP/1.1", "status": 200, "bytes": 2326,
        },
        {
            "host": "::1", "time": "2015-05-17T08:05:04.000Z", "status": 408, "referer": "http://x/",
            "agent": 'Mozilla/5.0 (\\"x\\")', "rest": "0.5 more",
        },
    ]  # fmt: skip


def test_lines_of_access_logs_are_the_same_whether_they_are_read_together_or_alone() -> None:
    lines = [
        b'::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 007',
        b'a - b c [17/May/2015:10:05:03 +0200] "\\"quoted\\" \\x16" 400 - "-" "a \\"b\\" \xc3\xa9" rest',
        b'a - - [17/May/2015:10:05:04 +0000] "-" - 12 "http://x/" "-"',
    ]
    log = AccessLog(io.BytesIO(b"\n".join(lines)))
    records = list(log.records())
    alone = [log.value(record) for record in records]
    assert [json.loads(text or b"") for text in log.texts(records)] == alone
    torn = [*records, SourceRecord(4, b"what else"), SourceRecord(5, lines[0].replace(b"May", b"Mai"))]
    assert [text and json.loads(text) for text in log.texts(torn)] == [*alone, None, None]


def test_bad_records_go_to_a_file_with_reasons_and_no_good_one_is_lost(imports: Imports) -> None:
    good = "".join(f'{{"time":{1600000000000 + n},"n":{n}}}\n' for n in range(150))
    bad = '{"time":"yesterday"}\n{"n":\n{"n":1}\n[1]\n{"time":1600000000000,"x":"\xff"}\n'.encode("latin-1")
    imports.write("x.jsonl", good.encode() + bad + good.encode())
    result = imports.run("x.jsonl")
    assert (result.exit_code, result.stdout) == (2, "300 events stored.\n")
    assert "5 records could not be stored; x.jsonl.rejects.jsonl has them" in result.stderr
    rejects = imports.rejects("x.jsonl.rejects.jsonl")
    assert [each["line"] for each in rejects] == [151, 152, 153, 154, 155]
    assert [each["record"] for each in rejects[:4]] == [{"time": "yesterday"}, '{"n":', {"n": 1}, "[1]"]
    reasons = [each["reason"] for each in rejects]
    for reason, part in zip(reasons, ("yesterday", "not", 'no time at "time"', "an array", "x"), strict=True):
        assert part in reason


def test_rows_with_other_cells_than_the_first_row_are_rejected(imports: Imports) -> None:
    imports.write("x.csv", "time,n\n2020-01-01,1\n2020-01-02\n2020-01-03,3,4\n2020-01-04,4,\n")
    assert imports.run("x.csv").exit_code == 2
    assert [data["n"] for data in imports.collector.data()] == [1, 4]
    assert [each["line"] for each in imports.rejects("x.csv.rejects.jsonl")] == [3, 4]


def test_rejected_records_can_be_mended_and_imported(imports: Imports) -> None:
    imports.write("x.csv", "time,n\n2020-01-01,1\nsoon,2\n")
    imports.run("x.csv")
    rejects = imports.folder / "x.csv.rejects.jsonl"
    rejects.write_text(rejects.read_text().replace("soon", "2020-01-02"))
    result = imports.run(rejects.name, "--type", "x", "--records", "record")
    assert result.exit_code == 0, result.output
    assert imports.collector.data() == [{"time": "2020-01-01", "n": 1}, {"time": "2020-01-02", "n": 2}]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("Flight Date,n\n1/8/90 0:00,2\n", ("None of its fields", '"Flight Date" may be one')),
        ('{"features":[{"t":1},{"t":2}],"count":2}', ("--records features", "2 objects")),
        ("year,n\n1900,1\n", ("None of its fields",)),
        ('{"date":"Jan 1 2000"}', ("--time-format '%b %d %Y'",)),
        ('{"date":19580329}', ("as seconds since 1970", "--time-format '%Y%m%d'")),
        ('{"date":1955}', ("--time-format '%Y'",)),
        ('{"date":"31/12/2025"}', ("--time-format '%d/%m/%Y'.",)),
        ('{"date":"12/31/2025 3:45 PM"}', ("--time-format '%m/%d/%Y %I:%M %p'.",)),
        ('{"date":"31-12-2025 15:45"}', ("--time-format '%d-%m-%Y %H:%M'.",)),
        ('{"date":"05/12/25"}', ("--time-format '%m/%d/%y', or '%d/%m/%y' if days come before months.",)),
        ("[1,2]", ("not an object",)),
        ('{"time":', ("ends within this value",)),
    ],
)
def test_a_file_of_which_nothing_fits_is_told_in_a_sentence_and_stores_nothing(
    imports: Imports, content: str, parts: tuple[str, ...]
) -> None:
    imports.write("x", content)
    result = imports.run("x")
    assert result.exit_code == 2
    assert "Nothing of x is imported" in result.stderr
    assert [part for part in parts if part not in result.stderr] == []
    assert imports.collector.requests == 0
    assert list(imports.folder.iterdir()) == [imports.folder / "x"]


def test_a_check_stores_nothing_and_tells_what_is_wrong(imports: Imports) -> None:
    imports.write("x.jsonl", LINES + '{"time":"never"}\n')
    result = imports.run("x.jsonl", "--check")
    assert (result.exit_code, result.stdout) == (2, "2 events could be stored, 1 record could not.\n")
    assert 'Line 3 of x.jsonl: Got the time "never"' in result.stderr
    assert imports.collector.requests == 0
    assert list(imports.folder.iterdir()) == [imports.folder / "x.jsonl"]


@pytest.mark.parametrize("depth", [1, 6, 7, 8, 9, 20])
def test_values_of_any_depth_are_cut_out(depth: int) -> None:
    value = json.dumps({"a": "]", "b": 1}, indent=1)
    for _ in range(depth):
        value = f'{{"a": [{value}, "}}"]}}'
    values = [
        json.loads(each.content)
        for each in ValueSplitter(io.BytesIO(f"[{value},\n{value}]".encode())).records()
    ]
    assert values == [json.loads(value)] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64])
def test_values_are_cut_at_the_same_places_however_the_file_is_read(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cube.importing.splitting.CHUNK", size)
    content = rb'[{"a":"]}\"\\"},{"b":[1,{"c":"{"}]} , 7,[2],{"d":"\\"}]{"e":{}}"f" ]{"g":"cut'
    path = tmp_path / "x"
    path.write_bytes(content)
    with path.open("rb") as file:
        found = list(ValueSplitter(file).records())
    good = [json.loads(record.content) for record in found if record.error is None]
    assert good == [{"a": ']}"\\'}, {"b": [1, {"c": "{"}]}, [2], {"d": "\\"}, {"e": {}}]
    assert [record.content for record in found if record.error] == [b"7", b'"f"', b"]", b'{"g":"cut']
    assert [record.number for record in found] == list(range(1, 10))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("time,n\n2026-01-01,1\n".encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04" + bytes(20), "zip"),
        (b"SQLite format 3\0" + bytes(80), "SQLite"),
    ],
)
def test_a_file_of_another_kind_is_named_and_those_beside_it_are_read(
    imports: Imports, content: bytes, told: str
) -> None:
    imports.write("a.csv", content)
    imports.write("b.jsonl", LINES)
    result = imports.run("a.csv", "b.jsonl")
    assert (result.exit_code, result.stdout) == (2, "2 events stored.\n")
    assert "Nothing of a.csv is imported: it is " in result.stderr
    assert told in result.stderr
    assert "run the same command again" not in result.stderr


def test_utf_16_is_read_where_it_is_named(imports: Imports) -> None:
    imports.imported("a.csv", "time,n\n2026-01-01,1\n".encode("utf-16"), "--encoding", "UTF-16")


@pytest.mark.parametrize(
    ("content", "told"), [("", "there is nothing in it."), ("time,n\n", 'names columns: "time", "n"')]
)
def test_a_file_without_records_is_told(imports: Imports, content: str, told: str) -> None:
    imports.write("a.csv", content)
    result = imports.run("a.csv")
    assert (result.exit_code, result.stdout) == (0, "0 events stored.\n")
    assert told in result.stderr


def test_bytes_that_are_not_unicode_suggest_their_encoding(imports: Imports) -> None:
    imports.write("a.csv", b"time,name\n2026-01-01,M\xfcller\n")
    assert "--encoding cp1252." in imports.run("a.csv").stderr


def test_a_file_that_is_not_there_is_no_reason_to_try_again(imports: Imports) -> None:
    result = imports.run("none.csv")
    assert result.exit_code != 0
    assert "again" not in f"{result.stderr}{result.exception}"


MARKED = """date;n;m;code
2026-01-01;1.234,5;7;1,a
2026-01-02;-2,5E-1;;2
2026-01-03;12;1.000.000;3
"""


def test_numbers_with_a_decimal_comma_are_read_where_that_is_said(imports: Imports) -> None:
    data = imports.imported("a.csv", MARKED, "--decimal", ",")
    assert [each["n"] for each in data] == [1234.5, -0.25, 12]
    assert [each.get("m") for each in data] == [7, None, 1_000_000]
    assert [each["code"] for each in data] == ["1,a", "2", "3"]


def test_numbers_with_commas_between_thousands_are_read_where_that_is_said(imports: Imports) -> None:
    data = imports.imported(
        "a.csv", 'date,n\n2026-01-01,"1,234.5"\n2026-01-02,NA\n2026-01-03,7\n', "--decimal", "."
    )
    assert [each.get("n") for each in data] == [1234.5, None, 7]


@pytest.mark.parametrize("cell", ["007,5", "1,2,3", "12,34.5", "1.2.3", ",", "-", "1e5,0"])
def test_what_is_no_number_stays_text_whatever_the_mark(imports: Imports, cell: str) -> None:
    for mark in (",", "."):
        assert (
            imports.imported(f"a{ord(mark)}.csv", f"date;n\n2026-01-01;{cell}\n", "--decimal", mark)[-1]["n"]
            == cell
        )


def test_columns_that_stay_text_for_their_commas_are_told(imports: Imports) -> None:
    imports.write("a.csv", MARKED)
    result = imports.run("a.csv")
    assert result.exit_code == 0
    assert 'a.csv: the numbers in "n" have commas, and stay text: --decimal ,' in result.stderr
    assert "commas" not in imports.run("a.csv", "--text", "n").stderr
    assert "commas" not in imports.run("a.csv", "--decimal", ",").stderr
