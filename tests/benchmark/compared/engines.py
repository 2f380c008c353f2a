"""Runs in the benchmark's own virtual environment: answers SQL of any form, told by lines of JSON.

``python engines.py NAME PLACE``: each line is a statement; answered by ``{"rows", "version"}``, the values as
text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

Answer = Callable[[str], list[Any]]


def duckdb(_: str) -> tuple[str, Answer]:
    """Open DuckDB, in memory."""
    import duckdb as module

    connection = module.connect()
    return module.__version__, lambda sql: connection.execute(sql).fetchall()


def chdb(_: str) -> tuple[str, Answer]:
    """Open ClickHouse in process."""
    import chdb as module

    found = json.loads(module.query("SELECT version()", "JSONCompact").bytes())
    version = f"{found['data'][0][0]} (chdb {module.__version__})"
    return version, lambda sql: list(json.loads(module.query(sql, "JSONCompact").bytes())["data"])


def postgresql(place: str) -> tuple[str, Answer]:
    """Connect to a server."""
    import psycopg

    connection = psycopg.connect(place, autocommit=True)
    version = str(connection.execute("SHOW server_version").fetchone()[0]).split()[0]
    return version, lambda sql: connection.execute(sql).fetchall()


def sqlite(_: str) -> tuple[str, Answer]:
    """Open SQLite, in memory."""
    import sqlite3

    connection = sqlite3.connect(":memory:")
    return sqlite3.sqlite_version, lambda sql: connection.execute(sql).fetchall()


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, list)) else str(value)


def main(name: str, place: str) -> None:
    """Answer each line."""
    version, answer = {"duckdb": duckdb, "chdb": chdb, "postgresql": postgresql, "sqlite": sqlite}[name](
        place
    )
    for line in sys.stdin:
        rows = [list(map(_plain, row)) for row in answer(json.loads(line))]
        print(json.dumps({"rows": rows, "version": version}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
