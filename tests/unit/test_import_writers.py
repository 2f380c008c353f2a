"""What others write as times and numbers is read right: their own output, as these versions wrote it.

pandas 3.1.1, Polars 2.1.0, DuckDB 2.0.1, ClickHouse 26.9 (chdb) and PostgreSQL 15.18 wrote one row of the
same values: 2024-01-02 03:04:05.123456 in UTC, without a zone, and five and a half hours ahead of UTC.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cube.errors import InvalidRequest
from cube.importing.cells import readings, row, rows_as_json
from cube.importing.parquet import ParquetRows
from cube.importing.times import TimeReading
from tests.importing import Imports

WHOLE: Final = 1704164645000  # 2024-01-02T03:04:05Z
EXACT: Final = WHOLE + 123
DAY: Final = 1704153600000
INDIA: Final = 19_800_000

TIMES: Final = {
    "pandas CSV": {
        "2024-01-02 03:04:05.123456": EXACT,
        "2024-01-02 03:04:05.123456789": EXACT,
        "2024-01-02 03:04:05": WHOLE,
        "2024-01-02": DAY,
        "2024-01-02 03:04:05.123456+05:30": EXACT - INDIA,
        "2024-01-02 03:04:05.123456+00:00": EXACT,
    },
    "pandas JSON": {
        1704164645123: EXACT,
        1704164645: WHOLE,
        1704164645123456: EXACT,
        1704164645123456789: EXACT,
        "2024-01-02T03:04:05.123": EXACT,
        "2024-01-02T03:04:05.123Z": EXACT,
        "2024-01-02T03:04:05.123456789": EXACT,
        "2024-01-02T00:00:00.000": DAY,
    },
    "Polars CSV": {
        "2024-01-02T03:04:05.123456": EXACT,
        "2024-01-02T03:04:05.123456000": EXACT,
        "2024-01-01T21:34:05.123456+0000": EXACT - INDIA,
        "2024-01-02": DAY,
    },
    "Polars JSON": {
        "2024-01-02 03:04:05.123456": EXACT,
        "2024-01-02 03:04:05.123": EXACT,
        "2024-01-01T21:34:05.123456+00:00": EXACT - INDIA,
    },
    "DuckDB": {
        "2024-01-02 03:04:05.123456": EXACT,
        "2024-01-02 03:04:05.123456789": EXACT,
        "2024-01-02 03:04:05": WHOLE,
        "2024-01-02 03:04:05.123456+05:30": EXACT - INDIA,
        "2024-01-01 21:34:05.123456+00": EXACT - INDIA,
    },
    "ClickHouse": {
        "2024-01-02 03:04:05": WHOLE,
        "2024-01-02 03:04:05.123": EXACT,
        "2024-01-02 03:04:05.123456789": EXACT,
        "2024-01-02": DAY,
        1704164645: WHOLE,  # toUnixTimestamp
    },
    "PostgreSQL": {
        "2024-01-02 03:04:05.123456": EXACT,
        "2024-01-02 03:04:05.123456+05:30": EXACT - INDIA,
        "2024-01-01 21:34:05.123456+00": EXACT - INDIA,
        "2024-01-02T03:04:05.123456": EXACT,
        "2024-01-02T03:04:05.123456+05:30": EXACT - INDIA,
        "1704164645.123456": EXACT,  # extract(epoch from …)
    },
}

NOT_TIMES: Final = (
    "infinity", "-infinity", "0044-03-15 00:00:00 BC", "01/01/2024 21:34:05.123456 UTC", "NaT", "03:04:05.5",
    "1 days 02:03:04.500000", "P1DT2H3M4.500S", True, [1704164645], {"a": 1}, 1955, 1950.0, 20240102, -1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"), [(text, time) for table in TIMES.values() for text, time in table.items()]
)
def test_times_are_read_as_they_were_meant(text: Any, expected: int) -> None:
    assert TimeReading().read(text) == expected


@pytest.mark.parametrize("value", NOT_TIMES, ids=str)
def test_what_may_be_another_time_or_none_is_refused(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="Got the time"):
        TimeReading().read(value)


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("s", 1704164645.123456, EXACT),
        ("s", 0, 0),
        ("ms", 1955, 1955),
        ("us", 1704164645123456, EXACT),
        ("ns", 1704164645123456789, EXACT),
        ("ns", "1704164645123456789", EXACT),
        ("s", -1, -1000),
        ("s", "2024-01-02 03:04:05", WHOLE),
    ],
)
def test_a_unit_that_is_named_is_that_of_all_numbers(unit: str, value: Any, expected: int) -> None:
    assert TimeReading(unit).read(value) == expected


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        ("%d/%b/%Y:%H:%M:%S %z", "17/May/2015:10:05:03 +0200", 1431849903000),
        ("%Y/%m/%d %H:%M", "2024/01/02 03:04", WHOLE - 5000),
        ("%Y", 1955, -473385600000),
        ("%Y", 1950.0, -631152000000),
        ("%Y%m%d", 20240102, DAY),
        ("%d/%m/%Y %H:%M:%S.%f", "02/01/2024 03:04:05.123456", EXACT),  # PostgreSQL's SQL, DMY
    ],
)
def test_a_format_is_that_of_texts_and_numbers(form: str, value: Any, expected: int) -> None:
    assert TimeReading(format=form).read(value) == expected


@pytest.mark.parametrize(
    "values",
    [
        ["2026-01-01", "2026-01-01T00:00:00.123456789Z", "2026-01-01 01:00+01:00", "0001-01-01T00:00:00Z"],
        ["2026-01-01T24:00:00", "2026-01-01"],
        [1577836800000, 1577836800001],
        [1577836800, 1577836800001, "1577836800"],
    ],
)
def test_times_are_the_same_whether_they_are_read_together_or_alone(values: list[Any]) -> None:
    for reading in (TimeReading(), TimeReading(zone=ZoneInfo("Europe/Berlin")), TimeReading(unit="ms")):
        assert reading.read_all(values) == [reading.read(value) for value in values]


def test_a_zone_is_that_of_texts_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ClickHouse writes a DateTime('Asia/Kolkata') by its clocks, and not whose they are."""
    imports = Imports(tmp_path, monkeypatch)
    texts = [
        "2024-01-02 03:04:05",
        "2024-01-02T03:04",
        "2024-01-02",
        "2024-01-02 03:04:05Z",
        "2024-01-02T03:04:05+00",
    ]
    imports.imported("x.csv", "time\n" + "\n".join(texts) + "\n1704164645\n", "--timezone", "Asia/Kolkata")
    local = [DAY - INDIA, WHOLE - 5000 - INDIA, WHOLE - INDIA]
    assert imports.collector.times() == [*local, WHOLE, WHOLE, WHOLE]


CELLS: Final = {
    "integers": (["1", "-2", "", "9223372036854775807", "\\N"], [1, -2, None, 2**63 - 1, None]),
    "floats": (["1.0", "1e-07", "1e+300", "-0.5", ".5", "5."], [1.0, 1e-7, 1e300, -0.5, 0.5, 5.0]),
    "NaN of each": (["1.5", "nan", "NaN", "inf", "-inf", "Infinity", "NULL", "NA"], [1.5] + [None] * 7),
    "decimals": (["1.10", "12345678901234567.89"], [1.1, 12345678901234567.89]),
    "booleans of Python": (["True", "False", ""], [True, False, None]),
    "booleans of PostgreSQL": (["t", "f", "\\N"], [True, False, None]),
    "booleans of others": (["true", "false"], [True, False]),
    "leading zeros": (["007", "12"], ["007", "12"]),
    "more than 64 bits": (["1", "18446744073709551615"], ["1", "18446744073709551615"]),
    "beyond a double": (["1", "1e999"], ["1", "1e999"]),
    "thousands": (["1,234", "5"], ["1,234", "5"]),
    "money": (["$12.50", "$1.00"], ["$12.50", "$1.00"]),
    "Python's own": (["1_000", "0x1f", " 1", "١"], ["1_000", "0x1f", " 1", "١"]),
    "signs": (["+49123", "-", "--1", "e5"], ["+49123", "-", "--1", "e5"]),
    "countries": (["NA", "DE", "null", ""], ["NA", "DE", "null", None]),
    "nothing": (["", "\\N", "nan"], [None, None, "nan"]),
}  # fmt: skip


@pytest.mark.parametrize(("cells", "expected"), CELLS.values(), ids=CELLS)
def test_a_column_has_one_kind(cells: list[str], expected: list[Any]) -> None:
    (read,) = readings(["x"], [(cell,) for cell in cells], frozenset())
    found = [read(cell) for cell in cells]
    assert found == expected
    assert [type(each) for each in found] == [type(each) for each in expected]


@pytest.mark.parametrize("decimal", [None, ","])
def test_rows_are_the_same_objects_whether_they_are_read_together_or_alone(decimal: str | None) -> None:
    table = [*CELLS.values(), (["1", "", "2.5"], []), (["a", 'b"', "\t", "é", "", "%d"], [])]
    height = max(len(cells) for cells, _ in table)
    columns = [(cells * height)[:height] for cells, _ in table]
    names = [f'{number}%b"' for number in range(len(columns))]
    rows = [list(row) for row in zip(*columns, strict=True)]
    reads = readings(names, rows, frozenset(), decimal)
    for wanted in (rows, rows[:1], [[""] * len(names)]):  # and rows in which there is nothing
        found = [json.loads(text) for text in rows_as_json(names, reads, wanted)]
        assert found == [row(names, reads, cells) for cells in wanted]
        assert list(map(repr, found)) == [repr(dict(row(names, reads, cells))) for cells in wanted]


def test_cells_behind_the_sample_that_are_of_another_kind_stay_text_and_so_do_columns_that_are_named() -> (
    None
):
    number, named = readings(["a", "b"], [("1", "2")], frozenset(("b",)))
    assert [number("2"), number("02"), number("x"), named("2"), named("")] == [2, "02", "x", "2", None]


ROWS: Final = {
    "naive": (pa.array([datetime(2024, 1, 2, 3, 4, 5, 123456)]), "2024-01-02 03:04:05.123456"),
    "seconds": (pa.array([WHOLE // 1000], pa.timestamp("s")), "2024-01-02 03:04:05.000"),
    "milliseconds": (pa.array([EXACT], pa.timestamp("ms", "UTC")), "2024-01-02 03:04:05.123Z"),
    "nanoseconds": (pa.array([EXACT * 10**6 + 456789], pa.timestamp("ns")), "2024-01-02 03:04:05.123456789"),
    "zoned": (
        pa.array([datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)], pa.timestamp("us", "Asia/Kolkata")),
        "2024-01-02 03:04:05.000000Z",
    ),
    "date": (pa.array([date(2024, 1, 2)]), "2024-01-02"),
    "date64": (pa.array([DAY], pa.date64()), "2024-01-02"),
    "time": (pa.array([11045500000000], pa.time64("ns")), "03:04:05.500000000"),
    "duration": (pa.array([timedelta(days=1, seconds=4.5)]), 86404500.0),
    "uint32": (pa.array([WHOLE // 1000], pa.uint32()), WHOLE // 1000),
    "uint64": (pa.array([2**64 - 1, 1], pa.uint64())[:1], "18446744073709551615"),
    "float": (pa.array([1.5, float("nan")])[:1], 1.5),
    "decimal": (pa.array([Decimal("1.10")]), 1.1),
    "long decimal": (pa.array([Decimal("1234567890123456789.01")]), "1234567890123456789.01"),
    "dictionary": (pa.array(["a"]).dictionary_encode(), "a"),
    "text as bytes": (pa.array([b"a\xc3\xa4"]), "aä"),
    "bytes": (pa.array([b"\xaa"]), "qg=="),
    "list": (pa.array([[datetime(2024, 1, 2)]]), ["2024-01-02 00:00:00.000000"]),
    "struct": (pa.array([{"a": 1, "b": float("inf")}]), {"a": 1, "b": None}),
    "map": (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int8())), {"k": 1}),
    "boolean": (pa.array([True, None])[:1], True),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_values_of_parquet_are_read_as_they_were_meant(name: str) -> None:
    array, expected = ROWS[name]
    file = io.BytesIO()
    pq.write_table(
        pa.table({"x": array, "nothing": pa.nulls(1)}), file, use_deprecated_int96_timestamps=False
    )
    file.seek(0)
    form = ParquetRows(file)
    assert [form.value(record) for record in form.records()] == [{"x": expected}]


def test_a_time_beyond_all_years_is_left_out_and_a_text_that_looks_so_stays() -> None:
    """DuckDB writes infinity as the greatest number of microseconds."""
    file, text = io.BytesIO(), "<value out of range: 1>"
    pq.write_table(pa.table({"t": pa.array([2**63 - 1], pa.timestamp("us")), "s": [text]}), file)
    file.seek(0)
    form = ParquetRows(file)
    assert [form.value(record) for record in form.records()] == [{"s": text}]


@pytest.mark.parametrize("way", ["file", "compressed", "pipe"])
def test_parquet_is_imported_from_anywhere(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    imports = Imports(tmp_path, monkeypatch)
    file = io.BytesIO()
    times = pa.array([EXACT + n for n in range(9_000)], pa.timestamp("ms"))
    table = pa.table({"at": times, "n": [None, *range(1, 9_000)], "f": [float("nan")] * 9_000})
    pq.write_table(table, file, use_deprecated_int96_timestamps=True)  # as Spark and Impala write
    content = file.getvalue()
    imports.write("x.parquet", gzip.compress(content) if way == "compressed" else content)
    if way == "pipe":
        result = imports.run("-", "--time", "at", "--type", "x", stdin=content)
    else:
        result = imports.run("x.parquet", "--time", "at")
    assert result.stdout == "9000 events stored.\n", result.output
    assert imports.collector.times() == [EXACT + n for n in range(9_000)]
    assert imports.collector.data()[0] == {"at": "2024-01-02 03:04:05.123000000"}
    assert imports.collector.data()[1] == {"at": "2024-01-02 03:04:05.124000000", "n": 1}


def test_a_damaged_parquet_file_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports = Imports(tmp_path, monkeypatch)
    imports.write("x.parquet", b"PAR1" + b"x" * 100)
    result = imports.run("x.parquet")
    assert result.exit_code == 2
    assert "cannot be read as Parquet behind row 0" in result.stderr
