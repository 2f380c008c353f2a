"""Runs in the benchmark's own virtual environment: one SQL database, told what to do by lines of JSON.

``python databases.py NAME PLACE``: a line ``{"load": FILE}`` fills the table ``request`` from flat JSON
lines, ``{"ask": SQL}`` answers. Each is answered by one line, ``{"ms", "rows", "version"}``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

_JSON_COLUMNS = (
    "{t: 'BIGINT', path: 'VARCHAR', method: 'VARCHAR', status: 'INTEGER', "
    "duration_ms: 'DOUBLE', host: 'VARCHAR', user: 'VARCHAR'}"
)


class DuckDB:
    """In process and in memory, on typed columns."""

    def __init__(self, place: str) -> None:
        import duckdb

        self.version = duckdb.__version__
        self._connection = duckdb.connect()

    def load(self, path: str) -> None:
        """Fill the table."""
        rows = f"read_json('{path}', format = 'newline_delimited', columns = {_JSON_COLUMNS})"
        self._connection.execute(f"CREATE OR REPLACE TABLE request AS SELECT * FROM {rows} ORDER BY t")

    def ask(self, sql: str) -> Any:
        """Answer."""
        return self._connection.execute(sql).fetchnumpy()

    def rows(self, found: Any) -> list[list[Any]]:
        """Return an answer's rows."""
        columns = [found[name].tolist() for name in ("bucket", "grp", "value")]
        return [list(row) for row in zip(*columns, strict=True)]


class DuckDBAsJson(DuckDB):
    """The same, whose answers are one text each: an array of JSON objects."""

    def ask(self, sql: str) -> Any:
        """Answer."""
        return self._connection.execute(sql).fetchone()[0]

    def rows(self, found: Any) -> list[list[Any]]:
        """Return an answer's rows."""
        rows = json.loads(found or "[]")
        return [[row["bucket"], row["grp"], row["value"]] for row in rows if row["value"] is not None]


class ChDB:
    """ClickHouse in process, on a MergeTree table on disk."""

    def __init__(self, place: str) -> None:
        import chdb
        from chdb import session

        self.version = chdb.__version__
        self._session = session.Session(place)

    def load(self, path: str) -> None:
        """Fill the table."""
        columns = (
            "t Int64, path String, method String, status Int32, duration_ms Float64, host String, user String"
        )
        self._session.query("CREATE DATABASE IF NOT EXISTS bench")
        self._session.query("DROP TABLE IF EXISTS bench.request")
        self._session.query(f"CREATE TABLE bench.request ({columns}) ENGINE = MergeTree ORDER BY t")
        self._session.query(
            f"INSERT INTO bench.request SELECT * FROM file('{path}', JSONEachRow, '{columns}')"
        )
        self._session.query("USE bench")

    def ask(self, sql: str) -> Any:
        """Answer."""
        return self._session.query(sql, "JSONCompact")

    def rows(self, found: Any) -> list[list[Any]]:
        """Return an answer's rows."""
        return [
            [int(bucket), group, float(value)] for bucket, group, value in json.loads(found.bytes())["data"]
        ]


class PostgreSQL:
    """A server over its socket; `place`: how to connect."""

    def __init__(self, place: str) -> None:
        import psycopg

        self._connection = psycopg.connect(place, autocommit=True)
        self.version = self._connection.execute("SHOW server_version").fetchone()[0].split()[0]

    def load(self, path: str) -> None:
        """Fill the table, with an index on the time."""
        columns = 't bigint, path text, method text, status int, duration_ms float8, host text, "user" text'
        self._connection.execute(f"DROP TABLE IF EXISTS request; CREATE TABLE request ({columns})")
        cursor = self._connection.cursor()
        with open(path) as file, cursor.copy("COPY request FROM STDIN") as copy:  # noqa: PTH123  # a plain script
            for line in file:
                copy.write_row(tuple(json.loads(line).values()))
        self._connection.execute("CREATE INDEX ON request (t)")
        self._connection.execute("VACUUM ANALYZE request")

    def ask(self, sql: str) -> Any:
        """Answer."""
        return self._connection.execute(sql).fetchall()

    def rows(self, found: Any) -> list[list[Any]]:
        """Return an answer's rows."""
        return [[bucket, group, float(value)] for bucket, group, value in found]


def main(name: str, place: str) -> None:
    """Do as the lines say."""
    databases: dict[str, Callable[[str], Any]] = {
        "duckdb": DuckDB,
        "duckdb-json": DuckDBAsJson,
        "chdb": ChDB,
        "postgresql": PostgreSQL,
    }
    database = databases[name](place)
    for line in sys.stdin:
        told = json.loads(line)
        start = time.perf_counter()
        found = database.load(told["load"]) if "load" in told else database.ask(told["ask"])
        took = (time.perf_counter() - start) * 1000
        rows = [] if "load" in told else database.rows(found)
        print(json.dumps({"ms": took, "rows": rows, "version": database.version}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
