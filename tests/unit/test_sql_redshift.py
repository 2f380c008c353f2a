"""Statements as they are written for Redshift, and what they give; alone, without any events of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import duckdb
import pytest

from evaluator.sql.redshift import translated
from evaluator.sql.worker import check, connect

AT = datetime(2026, 3, 1, 10, 0, 1, 500_000)
MS = 1_772_359_201_500
EPOCH = "timestamp 'epoch' + collector_tstamp / 1000 * interval '1 second'"
VIEWS = '"events_dev"."page_view"'


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(2**26) as opened:
        opened.execute("CREATE SCHEMA events_dev")
        opened.execute(
            f"CREATE TABLE events_dev.page_view AS SELECT {MS}::BIGINT AS collector_tstamp, 'a' AS page"
        )
        opened.execute("SET search_path = 'events_dev'")
        yield opened


def first(connection: duckdb.DuckDBPyConnection, statement: str) -> Any:
    text = translated(connection, statement)
    check(connection, text)
    found = connection.execute(text).fetchone()
    return None if found is None else found[0]


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            f"select date_trunc('hour', {EPOCH}), count(*) from events_dev.page_view group by 1 order by 1;",
            datetime(2026, 3, 1, 10),
        ),
        (f"SELECT {EPOCH} AS collector_time, * FROM {VIEWS} ORDER BY collector_tstamp DESC LIMIT 10;", AT),
        (f"select ({EPOCH})::date as day from page_view", date(2026, 3, 1)),
        (f"select date({EPOCH}) from page_view", date(2026, 3, 1)),
        ("select dateadd(ms, collector_tstamp, '1970-01-01') from page_view", AT),
        (
            "select DATEADD(second, collector_tstamp / 1000, timestamp '1970-01-01') from page_view",
            datetime(2026, 3, 1, 10, 0, 1),
        ),
        ("select dateadd(day, 1.999, '2026-01-01')", datetime(2026, 1, 2)),
        ("select dateadd(hour, -7 / 4, '2026-01-02')", datetime(2026, 1, 1, 23)),
        ("select dateadd(ms, '1500.9', '2026-01-01')", datetime(2026, 1, 1, 0, 0, 1, 500_000)),
        (f"select dateadd('month', -1, {EPOCH}) from page_view", datetime(2026, 2, 1, 10, 0, 1, 500_000)),
        (f"select count(*) from page_view where {EPOCH} > dateadd(day, -7, getdate())", 0),
        (f"select count(*) from page_view where {EPOCH} < sysdate - interval '1 day'", 1),
        ("select count(*) from page_view where collector_tstamp < extract(epoch from getdate()) * 1000", 1),
        (f"select datediff(hour, timestamp '2026-03-01', {EPOCH}) from page_view", 10),
        ("select datediff(day, '2026-01-01 23:00', '2026-01-02 01:00')", 1),
        ("select dateadd(day, '1', '2026-01-01')", datetime(2026, 1, 2)),
        ("select date_diff('month', '2026-01-31', '2026-03-01')", 2),
        ("select date_part(year, '2026-03-01')", 2026),
        (f"select date_part(hour, {EPOCH}) from page_view", 10),
        (
            f"select convert_timezone('Europe/Berlin', {EPOCH}) from page_view",
            datetime(2026, 3, 1, 11, 0, 1, 500_000),
        ),
        (
            f"select convert_timezone('Europe/Berlin', 'UTC', {EPOCH}) from page_view",
            datetime(2026, 3, 1, 9, 0, 1, 500_000),
        ),
        (f"select to_char({EPOCH}, 'YYYY-MM-DD HH24:MI:SS') from page_view", "2026-03-01 10:00:01"),
        ("select nvl(null, null, page) from page_view", "a"),
        ("select nvl2(page, 1, 2) from page_view", 1),
        ("select charindex('a', page) from page_view", 1),
        ("select listagg(page, ',') from page_view", "a"),
        ("select 'dateadd(day' || page from page_view", "dateadd(daya"),
    ],
)
def test_a_statement_runs_as_it_stands(
    connection: duckdb.DuckDBPyConnection, statement: str, found: Any
) -> None:
    assert first(connection, statement) == found


@pytest.mark.parametrize(
    "statement", ["FROM page_view", "select date_part('hour', now())", "not SQL: sysdate"]
)
def test_what_has_nothing_of_that_stays_as_it_is(
    connection: duckdb.DuckDBPyConnection, statement: str
) -> None:
    assert translated(connection, statement) == statement


def test_a_field_may_be_called_sysdate() -> None:
    with connect(2**26) as opened:
        opened.execute("CREATE TABLE job AS SELECT 7 AS sysdate")
        assert first(opened, "select sysdate from job") == 7


@pytest.mark.parametrize(
    "statement",
    [
        "with s as (select 7 as sysdate) select sysdate from s",
        "with s(sysdate) as (select 7) select Sysdate from s",
        "select sysdate from (select 7) s(SYSDATE)",
        "select 7 - n as sysdate from (values (1), (0)) t(n) order by sysdate desc",
    ],
)
def test_what_a_statement_calls_sysdate_is_that(
    connection: duckdb.DuckDBPyConnection, statement: str
) -> None:
    assert first(connection, statement) == 7


def test_sysdate_may_be_called_so(connection: duckdb.DuckDBPyConnection) -> None:
    statement = "with s as (select sysdate as sysdate) select sysdate = getdate() from s"
    assert first(connection, statement) is True


def test_a_part_of_a_time_that_is_none_is_told(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.Error, match="no part of a time: era"):
        first(connection, "select dateadd('era', 1, getdate())")
