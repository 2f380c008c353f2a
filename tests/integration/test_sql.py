"""SQL over the events of either store: columns, what a statement sees, what it may do."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest
import pytest_asyncio

from cube.errors import AccessDenied, InvalidQuery
from cube.expression import parse_event
from cube.model.environment import Caller
from cube.model.tier import EVER, Span
from cube.store import mongo
from cube.store.deletion import Erasure
from cube.store.sqlite import open_store
from evaluator.query.limits import DeadlineExceeded, LimitExceeded
from evaluator.sql import service
from evaluator.sql.formats import ARROW, CSV, JSON, LINES, PARQUET
from evaluator.sql.messages import Part, TableScan
from evaluator.sql.scans import TypeScan, Widened
from tests.evaluator_running import DAY, event
from tests.mongo_server import MongoServer, mongo_server
from tests.sql_running import Statements, key_of, statements_on

__all__ = ["mongo_server"]

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Statements]:
    async with statements_on(await open_store(tmp_path, "test")) as statements:
        yield statements


@pytest_asyncio.fixture(params=["sqlite", "mongo"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Statements]:
    if request.param == "sqlite":
        async with statements_on(await open_store(tmp_path, "test")) as statements:
            yield statements
        return
    server: MongoServer = request.getfixturevalue("mongo_server")
    name = server.database()
    async with statements_on(await mongo.open_store(server.url, name)) as statements:
        yield statements
    server.forget(name)


COLUMNS: list[tuple[str, list[Any], str, list[Any]]] = [
    ("whole numbers", [1, 2.0, -(2**63)], "BIGINT", [1, 2, -(2**63)]),
    ("beyond 2**53", [2**53 + 1, 2**63 - 1, 1], "BIGINT", [2**53 + 1, 2**63 - 1, 1]),
    ("fractions among them", [1, 1.5], "DOUBLE", [1.0, 1.5]),
    ("minus zero", [-0.0, 1], "DOUBLE", [-0.0, 1.0]),
    ("large floats", [1e300, 2], "DOUBLE", [1e300, 2.0]),
    ("booleans", [True, False], "BOOLEAN", [True, False]),
    ("texts", ["a", "", 'q"\n', "naïve"], "VARCHAR", ["a", "", 'q"\n', "naïve"]),
    ("nulls alone", [None], "VARCHAR", [None]),
    ("nulls among others", [None, 3], "BIGINT", [None, 3]),
    ("mixed kinds", [1, "one", True, None, [1]], "JSON", [1, "one", True, None, [1]]),
    ("booleans among numbers", [True, 1], "JSON", [True, 1]),
    ("lists", [["a", "b"], [], None], "VARCHAR[]", [["a", "b"], [], None]),
    ("lists of mixed kinds", [[1, "a"]], "VARCHAR[]", [["1", '"a"']]),
    (
        "objects",
        [{"a": 1}, {"b": "x"}],
        "STRUCT(a BIGINT, b VARCHAR)",
        [{"a": 1, "b": None}, {"a": None, "b": "x"}],
    ),
    ("nested objects", [{"a": {"b": [1.5]}}], "STRUCT(a STRUCT(b DOUBLE[]))", [{"a": {"b": [1.5]}}]),
    ("objects with names that capitals tell apart", [{"a": 1, "A": 2}], "JSON", [{"a": 1, "A": 2}]),
    ("empty objects", [{}], "JSON", [{}]),
    ("objects and texts", [{"a": 1}, "none"], "JSON", [{"a": 1}, "none"]),
]


async def test_a_field_is_a_column_that_holds_all_its_values(made: Statements) -> None:
    for place, (_, values, _, _) in enumerate(COLUMNS):
        await made.save(*(event(DAY + row, {f"c{place}": value}) for row, value in enumerate(values)))
    types = await made.types("test")
    assert {name: types[f"c{place}"] for place, (name, *_) in enumerate(COLUMNS)} == {
        name: type for name, _, type, _ in COLUMNS
    }
    kept = ", ".join(f"c{place}" for place in range(len(COLUMNS)))
    rows = await made.rows(f"SELECT {kept}, collector_tstamp AS t FROM test ORDER BY t")
    for place, (name, values, _, shown) in enumerate(COLUMNS):
        found = [row[f"c{place}"] for row in rows if row[f"c{place}"] is not None]
        assert (name, found) == (name, [each for each in shown if each is not None])
        assert [str(each) for each in found if each == 0] == [str(each) for each in shown if each == 0]
        assert len(values) == len(shown)


async def test_names_that_sql_cannot_tell_apart_get_numbers(made: Statements) -> None:
    names = ["status", "Status", "a.b", 'q"uote', "two words", "time", "select", "ID"]
    await made.save(event(DAY, {name: name for name in names}, "own"))
    [row] = await made.rows("SELECT * FROM test")
    assert row.pop("time") == "2011-07-18T00:00:00.000Z"
    assert row.pop("collector_tstamp") == DAY
    assert row.pop("id") == "own"
    told = {"status": "status", "Status_2": "Status", "time_2": "time", "ID_2": "ID"}
    assert row == told | {name: name for name in ("a.b", 'q"uote', "two words", "select")}
    assert await made.values("""SELECT "a.b" || "q""uote" || "two words" || "select" FROM test""") == [
        'a.bq"uotetwo wordsselect'
    ]


async def test_missing_and_null_are_null_and_a_type_may_have_events_without_data(made: Statements) -> None:
    await made.save(event(DAY, {"v": None}), event(DAY + 1, {}), event(DAY + 2), event(DAY + 3, [1]))
    await made.save(event(DAY + 4, {"v": 1}))
    assert await made.values("SELECT v FROM test ORDER BY time") == [None, None, None, None, 1]
    assert await made.values("SELECT count(*) FROM test") == [5]


async def test_own_columns_are_the_time_twice_and_the_clients_id(either: Statements) -> None:
    await either.save(event(DAY + 1, {"v": 1}), event(DAY + 2, {"v": 2}, "x"), event(DAY + 3, {"v": 3}, 7))
    rows = await either.rows("SELECT * FROM test ORDER BY time")
    assert [(row["collector_tstamp"] - DAY, row["id"], row["v"]) for row in rows] == [
        (1, None, 1),
        (2, "x", 2),
        (3, "7", 3),
    ]
    assert rows[0]["time"] == "2011-07-18T00:00:00.001Z"
    joined = "SELECT count(*) FROM test a JOIN test b ON a.id = b.id WHERE a.v = b.v"
    assert await either.values(joined) == [2]


async def test_what_is_acknowledged_is_seen_and_what_is_replaced_is_gone(either: Statements) -> None:
    await either.save(event(DAY, {"v": 1}, "a"), event(DAY + DAY_MS, {"v": 10}, "b"))
    assert await either.values("SELECT sum(v) FROM test") == [11]
    await either.save(event(DAY, {"v": 2}, "a"))
    assert await either.values("SELECT sum(v) FROM test") == [12]
    await either.save(event(DAY + 2 * DAY_MS, {"v": 3}, "a"))  # to another day
    assert await either.rows("SELECT v, collector_tstamp AS t FROM test ORDER BY t") == [
        {"v": 10, "t": DAY + DAY_MS},
        {"v": 3, "t": DAY + 2 * DAY_MS},
    ]
    await either.save(event(DAY + 1, {"fresh": True}))
    assert await either.values("SELECT count(fresh) FROM test") == [1]


async def test_what_is_deleted_is_in_no_statement_any_more(either: Statements) -> None:
    users = ("ann", "bob", "ann")
    await either.save(*(event(DAY + at * HOUR_MS, {"user": user}) for at, user in enumerate(users)))
    await either.save(event(DAY + DAY_MS, {"user": "ann", "extra": 1}))
    asked = (
        "SELECT user, count(*) AS n FROM test GROUP BY ALL ORDER BY ALL",
        "SELECT user FROM test WHERE id IS NULL ORDER BY time",  # ids are read from the store
    )
    assert await either.rows(asked[0]) == [{"user": "ann", "n": 3}, {"user": "bob", "n": 1}]
    assert await either.values("SELECT extra FROM test WHERE time >= '2011-07-19'") == [1]
    store = either.bench.store
    erasure = Erasure(store, parse_event('test.eq(user, "ann")'), EVER, "somebody", lambda: DAY)
    await erasure.begin()
    assert (await erasure.delete(EVER.start)).deleted == 3
    assert await either.rows(asked[0]) == [{"user": "bob", "n": 1}]
    assert await either.rows(asked[1]) == [{"user": "bob"}]
    with pytest.raises(InvalidQuery, match='"extra" not found'):
        await either.rows("SELECT extra FROM test")


async def test_a_column_is_made_wider_where_older_events_have_other_values(made: Statements) -> None:
    await made.save(event(DAY - 9 * DAY_MS, {"v": "odd"}, "odd"))
    await made.save(*(event(DAY + place, {"v": place}) for place in range(2_100)))  # more than the sample
    assert (await made.types("test"))["v"] == "BIGINT"
    assert await made.values("SELECT count(v) FROM test") == [2_101]
    assert (await made.types("test"))["v"] == "JSON"
    assert await made.values("SELECT v FROM test WHERE json_type(v) = 'VARCHAR'") == ["odd"]
    await made.save(event(DAY - 9 * DAY_MS, {"v": 5}, "odd"))
    assert await made.values("SELECT sum(v) FROM test") == [sum(range(2_100)) + 5]


async def test_objects_with_other_members_in_each_hour_are_one_column(
    made: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SAMPLE_EVENTS", 1)
    hours = range(30)
    await made.save(*(event(DAY + hour * HOUR_MS, {"p": {f"k{hour}": hour}}) for hour in hours))
    assert await made.values("SELECT count(p) FROM test") == [30]
    assert await made.values("SELECT sum(p.k0 + 1) FROM test") == [1]


async def test_a_member_that_the_newest_objects_have_not_is_found(
    made: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SAMPLE_EVENTS", 1)
    older = {"p": {"a": 1}, "list": [{"a": {"b": 2}}]}
    await made.save(event(DAY, older), event(DAY + 1, {"p": {"c": 1}, "list": [{"c": 1}]}))
    asked = "SELECT p.a AS a, list[1].a.b AS b FROM test ORDER BY time"
    assert await made.rows(asked) == [{"a": 1, "b": 2}, {"a": None, "b": None}]
    with pytest.raises(InvalidQuery, match='find key "never" in struct'):
        await made.rows("SELECT p.never FROM test")


async def test_a_long_row_comes_in_parts(made: Statements) -> None:
    (text,) = await made.values("SELECT repeat('x', 3000000)")
    assert len(text) == 3_000_000
    parts = [len(each.content) for each in made.threads.made[-1].sent if isinstance(each, Part)]
    assert max(parts) <= 2**20


async def test_a_long_answer_is_looked_through_before_it_is_begun(made: Statements) -> None:
    text = "x" * 1_000
    await made.save(*(event(DAY + place, {"v": place, "t": text}) for place in range(2_100)))
    await made.save(event(DAY + DAY_MS, {"v": 1.5, "t": text}))
    await made.save(*(event(DAY + 2 * DAY_MS + place, {"v": place, "t": text}) for place in range(2_100)))
    found = await made.values("SELECT v FROM (SELECT v, t FROM test) ORDER BY v DESC LIMIT 1")
    assert found == [2_099.0]
    rows = await made.rows("SELECT v, t FROM test")
    assert len(rows) == 4_201
    assert [row["v"] for row in rows if row["v"] % 1] == [1.5]


async def test_what_was_looked_through_is_not_looked_through_again_until_it_changes(
    made: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = range(20)
    for day in days:
        await made.save(*(event(DAY + day * DAY_MS + place, {"v": place}) for place in range(3)))
    looked: list[int] = []
    has_wider = TypeScan.has_wider

    async def counted(scan: TypeScan) -> bool:
        looked.append(len(scan._spans))
        return await has_wider(scan)

    monkeypatch.setattr(TypeScan, "has_wider", counted)

    async def look() -> list[int]:
        """Look through the table as a statement does whose answer is long; return of how many days."""
        looked.clear()
        spans = [Span(DAY + day * DAY_MS, DAY + (day + 1) * DAY_MS) for day in days]
        async with AsyncExitStack() as stack:
            caller = Caller(made.environment, None)
            _, [table], _ = await made.sql._prepared(caller, "FROM test", JSON, stack)
            await TypeScan(table, ["v"], spans).check()
        return list(looked)

    assert [await look(), await look()] == [[20], []]
    await made.save(event(DAY + 7 * DAY_MS + 9, {"v": 8}))
    assert [await look(), await look()] == [[1], []]
    await made.save(event(DAY + 7 * DAY_MS + 9, {"v": "late"}))
    monkeypatch.setattr(service, "SAMPLE_EVENTS", 10)  # of later days
    with pytest.raises(Widened):
        await look()


async def test_a_field_that_the_newest_events_have_not_is_found(made: Statements) -> None:
    await made.save(event(DAY - DAY_MS, {"rare": "found"}))
    await made.save(*(event(DAY + place, {"v": place}) for place in range(2_100)))
    assert await made.values("SELECT rare FROM test WHERE rare IS NOT NULL") == ["found"]
    assert await made.values("SELECT t.rare FROM test t WHERE rare IS NOT NULL") == ["found"]


async def test_only_the_columns_and_hours_that_are_asked_for_are_read(made: Statements) -> None:
    await made.save(*(event(DAY + place * HOUR_MS, {"v": place, "w": 1}) for place in range(48)))
    statement = "SELECT sum(v) FROM test WHERE time >= '2011-07-18 10:00' AND time < '2011-07-18 12:00'"
    assert await made.values(statement) == [21]
    [scan] = [each for thread in made.threads.made for each in thread.sent if isinstance(each, TableScan)]
    assert sorted(scan.columns) == ["time", "v"]
    assert scan.spans == [(DAY + place * HOUR_MS, DAY + (place + 1) * HOUR_MS) for place in (10, 11)]
    at = f"SELECT v FROM test WHERE collector_tstamp BETWEEN {DAY + HOUR_MS} AND {DAY + HOUR_MS}"
    assert await made.values(at) == [1]


async def test_the_statements_that_warehouses_of_datacoral_take_run_as_they_stand(made: Statements) -> None:
    await made.save(event(DAY + 1_500, {"page": "a"}, type="page_view"))
    schema = "events_default"
    for statement, found in (
        (
            f"SELECT collector_tstamp FROM {schema}.page_view ORDER BY collector_tstamp DESC LIMIT 10",
            DAY + 1_500,
        ),
        (
            f"SELECT TIMESTAMP 'epoch' + collector_tstamp/1000 * INTERVAL '1 second' FROM {schema}.page_view",
            "2011-07-18T00:00:01.500",
        ),
        (
            f"SELECT to_timestamp(collector_tstamp / 1000) FROM {schema}.page_view",
            "2011-07-18T00:00:01.500Z",
        ),
        (
            f"SELECT DATEADD(ms, collector_tstamp, '1970-01-01') FROM {schema}.page_view;",
            "2011-07-18T00:00:01.500",
        ),
        (f'SELECT count(*) FROM "{schema}"."page_view" WHERE time < dateadd(day, -1, sysdate)', 1),
    ):
        assert await made.values(statement) == [found]


async def test_groups_windows_and_joins_of_types(made: Statements) -> None:
    await made.save(*(event(DAY + place, {"user": place % 3, "ms": place}) for place in range(30)))
    await made.save(event(DAY, {"user": 1, "name": "ann"}, type="person"))
    joined = "SELECT name, sum(ms) AS total FROM test JOIN person USING (user) GROUP BY ALL"
    assert await made.rows(joined) == [{"name": "ann", "total": 145}]
    window = (
        "SELECT ms - lag(ms) OVER (PARTITION BY user ORDER BY time) AS gap FROM test QUALIFY gap IS NOT NULL"
    )
    assert set(await made.values(window)) == {3}


async def test_formats(made: Statements) -> None:
    await made.save(event(DAY, {"v": 1, "t": "a,b", "o": {"x": [1]}}), event(DAY + 1, {"v": 2, "t": ""}))
    statement = "SELECT time, v, t, o FROM test ORDER BY time"
    assert await made.bytes(statement, CSV) == (
        b'time,v,t,o\r\n2011-07-18T00:00:00.000Z,1,"a,b","{""x"":[1]}"\r\n2011-07-18T00:00:00.001Z,2,"",\r\n'
    )
    lines = (await made.bytes(statement, LINES)).splitlines()
    assert [json.loads(line)["v"] for line in lines] == [1, 2]
    parquet = pyarrow.parquet.read_table(io.BytesIO(await made.bytes(statement, PARQUET)))
    stream = pyarrow.ipc.open_stream(await made.bytes(statement, ARROW)).read_all()
    for table in (parquet, stream):
        assert table.column("time").to_pylist()[0] == datetime(2011, 7, 18, tzinfo=UTC)
        assert table.column("o").to_pylist() == [{"x": [1]}, None]
        assert table.schema.field("v").type == pa.int64()
    for format in (CSV, LINES, PARQUET, ARROW):
        await made.bytes("SELECT v FROM test WHERE v > 5", format)
    assert await made.rows("SELECT v FROM test WHERE v > 5") == []


async def test_values_that_json_has_no_kind_for(made: Statements) -> None:
    [row] = await made.rows(
        "SELECT sum(9007199254740993) AS s, 1.50::DECIMAL(9,2) AS d, 'nan'::DOUBLE AS n, INTERVAL 1 DAY AS i,"
        " DATE '2026-01-01' AS day, 'x'::BLOB AS b, TIMESTAMP '2026-01-01 00:00:00.000001' AS t,"
        " 'infinity'::TIMESTAMPTZ AS e, 1 AS a, 2 AS a"
    )
    assert row == {
        "s": 2**53 + 1,
        "d": 1.5,
        "n": None,
        "i": "1 day",
        "day": "2026-01-01",
        "b": "eA==",
        "t": "2026-01-01T00:00:00.000001",
        "e": "infinityZ",
        "a": 1,
        "a_2": 2,
    }


REFUSED = [
    ("CREATE TABLE t (i INT)", "CREATE"),
    ("INSERT INTO test VALUES (1)", "INSERT"),
    ("COPY (SELECT 1) TO '/tmp/cube-never.csv'", "COPY"),
    ("SET threads = 8", "SET"),
    ("PRAGMA version", "PRAGMA"),
    ("ATTACH '/tmp/cube-never.db'", "ATTACH"),
    ("INSTALL httpfs", "kind"),
    ("SELECT 1; SELECT 2", "2 statements"),
    ("", "0 statements"),
    ("SELECT * FROM read_csv('/etc/passwd')", "read_csv"),
    ("SELECT * FROM read_text('/etc/passwd')", "read_text"),
    ("WITH a AS (FROM glob('/*')) FROM a", "glob"),
    ("SELECT (SELECT count(*) FROM read_parquet('http://localhost/x'))", "read_parquet"),
    ("SELECT * FROM query('SELECT 1')", "query"),
    ("SELECT * FROM arrow_scan(1, 2, 3)", "arrow_scan"),
    ("EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/cube-never.csv'", "kind"),
    ("SELECT * FROM '/etc/passwd.csv'", "passwd"),
    ("SELEC 1", "syntax error"),
    ("SELECT 1 + 'x'::INT", "Could not convert"),
    ("SELECT nothing FROM test", "nothing"),
]


async def test_what_may_not_be_run_is_refused_in_one_sentence(made: Statements) -> None:
    await made.save(event(DAY, {"v": 1}))
    for statement, reason in REFUSED:
        with pytest.raises(InvalidQuery) as refusal:
            await made.rows(statement)
        assert reason in refusal.value.message, statement
        assert refusal.value.message.endswith(".")
        assert "\n" not in refusal.value.message


async def test_an_unknown_table_is_told_with_those_that_are_like_it(made: Statements) -> None:
    await made.save(event(DAY, {"v": 1}, type="request"), event(DAY, {"v": 1}, type="other"))
    with pytest.raises(InvalidQuery, match="the types are request"):
        await made.rows("SELECT * FROM requests")


async def test_too_much_memory_is_a_limit(made: Statements) -> None:
    with pytest.raises(LimitExceeded, match="memory"):
        await made.rows("SELECT count(*) FROM (SELECT DISTINCT range FROM range(10000000))")


async def test_a_key_sees_the_tables_of_its_types_and_needs_no_filter(made: Statements) -> None:
    await made.save(event(DAY, {"v": 1}, type="request"), event(DAY, {"v": 1}, type="secret"))
    assert await made.rows("SHOW TABLES", key_of("request")) == [{"name": "request"}]
    assert await made.rows("SELECT v FROM request", key_of("request")) == [{"v": 1}]
    with pytest.raises(InvalidQuery, match="Table with name secret"):
        await made.rows("SELECT v FROM secret", key_of("request"))
    with pytest.raises(AccessDenied, match="filter"):
        await made.rows("SELECT v FROM request", key_of(filter="eq(v, 1)"))


async def test_tables_are_listed_with_their_schema(made: Statements) -> None:
    await made.save(event(DAY, {"v": 1}, type="request"), event(DAY, {"v": 1}, type="Request"))
    listed = "SELECT table_schema, table_name FROM information_schema.tables ORDER BY 2"
    assert await made.rows(listed) == [
        {"table_schema": "events_default", "table_name": "Request"},
        {"table_schema": "events_default", "table_name": "request_2"},
    ]
    assert (await made.rows("EXPLAIN SELECT v FROM request_2"))[0]["explain_key"] == "physical_plan"


async def test_what_other_tools_write_is_read_from_the_store(request: pytest.FixtureRequest) -> None:
    server: MongoServer = request.getfixturevalue("mongo_server")
    name = server.database()
    async with statements_on(await mongo.open_store(server.url, name, foreign=["test"])) as made:
        await made.save(*(event(DAY + place * HOUR_MS, {"v": place}) for place in range(3)))
        statement = "SELECT sum(v) AS v FROM test WHERE time > '2011-07-18' AND v < 9"
        assert await made.rows(statement) == [{"v": 3}]
        await made.save(event(DAY + HOUR_MS, {"v": "odd"}))
        assert await made.values("SELECT count(v) FROM test") == [4]
    server.forget(name)


async def test_a_type_that_a_listing_does_not_reach_is_there_where_it_is_named(
    made: Statements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LISTED_TYPES", 1)
    await made.save(event(DAY, {"shown": 1}, type="a"), event(DAY, {"shown": 2}, type="b"))
    assert await made.values("SELECT shown FROM b") == [2]
    assert await made.rows("SHOW TABLES") == [{"name": "a"}]


async def test_without_kept_blocks_the_store_is_read(tmp_path: Path) -> None:
    async with statements_on(await open_store(tmp_path, "test"), keeps=False) as made:
        await made.save(*(event(DAY + place * DAY_MS, {"v": place}) for place in range(3)))
        assert await made.values("SELECT sum(v) FROM test WHERE time > '2011-07-18'") == [3]


async def test_what_has_expired_is_not_seen(made: Statements) -> None:
    await made.save(*(event(DAY + place * HOUR_MS, {"v": place}) for place in range(5)))
    await made.bench.store.events.expire("test", DAY + 2 * HOUR_MS)
    assert await made.values("SELECT v FROM test ORDER BY time") == [2, 3, 4]
    assert await made.values("SELECT v FROM test WHERE id IS NULL ORDER BY time") == [2, 3, 4]


async def test_a_statement_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    async with statements_on(await open_store(tmp_path, "test"), seconds=0.5) as made:
        await made.save(event(DAY, {"v": 1}))
        made.bench.seen.gate.clear()  # the store does not answer
        with pytest.raises(DeadlineExceeded, match="0.5 s"):
            await made.rows("SELECT v FROM test")
