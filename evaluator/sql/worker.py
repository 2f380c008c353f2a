"""The process that runs one statement: DuckDB over tables whose rows it asks the evaluator for.

It takes messages on its standard input and gives others on its standard output (`evaluator.sql.messages`). A
statement may be given again, with other tables, `TRIES` times in all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa

from evaluator.sql import redshift, sandbox
from evaluator.sql.formats import NAMES
from evaluator.sql.lazy_table import LazyTable, Stale
from evaluator.sql.messages import TRIES, Channel, Columns, Done, Failed, Part, Ready, Statement
from evaluator.sql.results import written

THREADS: Final = 2
BATCH_ROWS: Final = 16_384

AHEAD: Final = "1MB"
"""What DuckDB makes of an answer before any is taken: else each thread reads 120 000 rows first."""

MOST_PART: Final = 2**20
"""Bytes; the evaluator holds a part of an answer, whatever one row of it takes."""

CONFIGURATION: Final[dict[str, str | int]] = {
    "threads": THREADS,
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_unsigned_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
}
"""DuckDB's settings; they are locked before a statement is looked at."""

TABLE_FUNCTIONS: Final = frozenset(
    {
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree", "summary"),
        *("duckdb_columns", "duckdb_tables", "duckdb_views", "duckdb_schemas", "duckdb_functions"),
        *("duckdb_types", "duckdb_keywords", "pragma_table_info", "icu_calendar_names", "pg_timezone_names"),
    }
)
"""What a statement may call as a table: nothing that reads files, memory or the text of other statements."""

_AS_TEXT: Final = (
    *("BIT", "BIGNUM", "VARIANT", "GEOMETRY", "INTERVAL", "TIME WITH TIME ZONE", "TIME_NS", "UNION"),
)
_EXPLAIN: Final = re.compile(r"\s*explain(\s+analyze)?\s+", re.IGNORECASE)


_REHEARSED: Final = """
    SELECT DISTINCT i, now(), now()::TIMESTAMP, 1.5::DECIMAL(9, 1), [now()], {'a': [i]}, '1'::JSON,
        DATE '2026-01-01', TIME '10:00', i IN (1), 'x'::BLOB, uuid(), to_years(1), 'a'::ENUM('a'),
        dateadd(day, i, sysdate)
    FROM range(3) t(i)
"""


class Refused(Exception):
    """A statement is none that may be run; says why."""


def main(memory_bytes: int, seconds: float) -> None:
    """Take statements until the evaluator is gone, each with so much memory and time."""
    sandbox.follow_parent()
    channel = Channel(os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever prints does not break in upon messages
    _rehearse(memory_bytes)
    databases = [connect(memory_bytes) for _ in range(TRIES)]  # to open one, DuckDB reads of the system
    channel.tell(Ready(sandbox.enter(memory_bytes, seconds)))
    serve(channel, databases)


class EmptyDatabases(Protocol):
    """Where empty ones come from; one that is false has no more."""

    def pop(self) -> duckdb.DuckDBPyConnection: ...


def serve(channel: Channel, databases: EmptyDatabases) -> None:
    """Take statements until the evaluator is gone, or there is no database left for another."""
    while databases and isinstance(statement := channel.next(), Statement):
        try:
            with databases.pop() as connection:
                _run(channel, statement, connection)
        except Refused as error:
            channel.tell(Failed(str(error), "Refused"))
        except RecursionError:
            channel.tell(Failed("The statement is nested too deeply to be read.", "Refused"))
        except MemoryError:
            channel.tell(Failed("out of memory", "OutOfMemoryException"))
        except (duckdb.Error, pa.ArrowException, Stale, ValueError, OverflowError) as error:
            channel.tell(Failed(str(error), type(error).__name__))


def connect(memory_bytes: int) -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory that reads nothing beside what is put into it."""
    connection = duckdb.connect(":memory:", config={**CONFIGURATION, "memory_limit": f"{memory_bytes}B"})
    connection.execute("SET TimeZone = 'UTC'")  # of an extension, so that it is no setting until it is there
    connection.execute(f"SET streaming_buffer_size = '{AHEAD}'")
    redshift.define(connection)
    return connection


def check(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    """Raise `Refused` for what is not one SELECT, or calls a table function that is not among the allowed."""
    found = connection.extract_statements(text)
    if len(found) != 1:
        raise Refused(f"Got {len(found)} statements; accepted is one.")
    inner = _EXPLAIN.sub("", text, count=1) if found[0].type == duckdb.StatementType.EXPLAIN else text
    [[told]] = connection.execute("SELECT json_serialize_sql($1)", [inner]).fetchall()
    tree = json.loads(told)
    if tree.get("error"):
        raise Refused(
            f"Got a statement of the kind {found[0].type.name}; accepted are SELECT, FROM, WITH, VALUES,"
            " DESCRIBE, SHOW, SUMMARIZE and EXPLAIN: nothing can be changed."
        )
    for name in _table_functions(tree):
        if name.lower() not in TABLE_FUNCTIONS:
            raise Refused(
                f"Got the table function {name}; accepted are {', '.join(sorted(TABLE_FUNCTIONS))}."
            )


def _table_functions(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        if tree.get("type") == "TABLE_FUNCTION":
            yield str(tree.get("function", {}).get("function_name", ""))
        tree = list(tree.values())
    if isinstance(tree, list):
        for each in tree:
            yield from _table_functions(each)


def _run(channel: Channel, statement: Statement, connection: duckdb.DuckDBPyConnection) -> None:
    rows = 0

    def count(more: int) -> None:
        nonlocal rows
        rows += more

    for schema in statement.schemas:
        connection.execute(f"CREATE SCHEMA {_quoted(schema)}")
    for place, table in enumerate(statement.tables):
        connection.execute("SET search_path = ?", [_quoted(table.schema)])
        connection.from_arrow(LazyTable(channel, place, table)).create_view(table.name)
    connection.execute("SET search_path = ?", [_quoted(statement.schema)])
    connection.execute("SET lock_configuration = true")
    text = redshift.translated(connection, statement.text)
    check(connection, text)
    relation = _shown(connection.sql(text))
    channel.tell(Columns(list(zip(relation.columns, map(str, relation.types), strict=True))))
    for part in _written(statement.format, relation, count):
        for first in range(0, len(part), MOST_PART):
            channel.tell(Part(part[first : first + MOST_PART]))
    channel.tell(Done(rows))


def _shown(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Return a result whose columns have names of their own, and types that every format has."""
    taken: set[str] = set()
    columns = []
    for place, (name, kind) in enumerate(zip(relation.columns, map(str, relation.types), strict=True), 1):
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        value = f"CAST(#{place} AS VARCHAR)" if kind.startswith(_AS_TEXT) else f"#{place}"
        columns.append(f"{value} AS {_quoted(unique)}")
    return relation.project(", ".join(columns))


def _written(format: str, relation: duckdb.DuckDBPyRelation, count: Callable[[int], None]) -> Iterator[bytes]:
    is_json = [str(kind) == "JSON" for kind in relation.types]
    return written(format, relation.to_arrow_reader(BATCH_ROWS), is_json, count)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _rehearse(memory_bytes: int) -> None:
    """Use once what a statement uses: nothing can be imported or opened later."""
    with connect(memory_bytes) as connection:
        for format in NAMES.values():
            text = redshift.translated(connection, _REHEARSED)
            check(connection, text)
            relation = _shown(connection.sql(text))
            list(_written(format, relation, lambda rows: None))
        table = pa.table({"time": pa.array([0], pa.timestamp("us", "UTC"))})
        connection.from_arrow(pa.dataset.dataset(table)).create_view("t")
        connection.sql("SELECT * FROM t WHERE time >= '1970-01-01'").to_arrow_reader(1).read_all()
