"""``cube sql``: statements of SQL, one or several, or a shell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Final

import click

from cube.cli.export_output import output_option, stream
from cube.cli.options import Place, evaluator_options
from cube.cli.output import TableColumn, console, json_option, print_table, tell
from cube.cli.own_evaluator import own_evaluator
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator
from cube.client.sql_answer import SqlAnswer
from cube.errors import CubeError, InvalidSettings
from cube.exporting.formats import format_of

FORMATS: Final = ("table", "json", "jsonl", "csv", "parquet", "arrow")
SHOWN_ROWS: Final = 1_000
"""A table has no more rows."""

WAIT_SECONDS: Final = 24 * 3600.0
"""How long a statement may take is the evaluator's to say."""

_NAMES: Final = {name: name for name in FORMATS if name != "table"}
"""Formats by the ends of files' names."""

_NUMBERS: Final = ("INT", "BIGINT", "HUGEINT", "DOUBLE", "FLOAT", "DECIMAL", "SMALLINT", "UBIGINT", "INTEGER")
_HELP: Final = """A statement ends with a semicolon. Ctrl-C ends one that runs, Ctrl-D the shell.
SHOW TABLES;  DESCRIBE request;  SUMMARIZE request;
.format table|json|jsonl|csv   how answers are shown
.quit"""
_ENDS: Final = frozenset({".quit", ".exit", "quit", "exit", "\\q"})
"""What ends the shell, in those of DuckDB, SQLite, PostgreSQL and MySQL as well."""


@click.command(epilog="Example: cube sql 'SELECT path, count(*) FROM request GROUP BY ALL'")
@evaluator_options
@click.option(
    "--store", help="Open this store, with an evaluator of its own: sqlite:DIRECTORY or mongodb://…"
)
@click.option("--database", help="With --store: the name of the database in it.")
@click.option("--config", help="With --store: a settings file, for several environments.")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="Unless given, what the name of the file says; else table on a terminal, jsonl otherwise.",
)
@json_option
@output_option
@click.argument("statement", required=False)
def sql(
    url: str,
    key: str | None,
    store: str | None,
    database: str | None,
    config: str | None,
    format_name: str | None,
    output: Path | None,
    statement: str | None,
    *,
    as_json: bool,
) -> None:
    """Run STATEMENT over the events: a table for each type, its fields as columns

    Without STATEMENT a shell on a terminal, else what standard input has, up to each semicolon at the end of
    a line. The evaluator has to have SQL switched on (sql.enabled); with --store none needs to run.
    """
    with _asked(url, key, store, database, config) as evaluator:
        format = format_name or (_usual(as_json=as_json) if output is None else format_in(output))
        if statement is None and sys.stdin.isatty():
            _shell(evaluator, format)
            return
        for each in [statement] if statement is not None else _statements(sys.stdin):
            _run(evaluator, each, format, output)


def format_in(output: Path) -> str:
    """Return the format that the name of a file says; raises `InvalidRequest`."""
    return format_of(None, output, _NAMES, "jsonl")


def _usual(*, as_json: bool) -> str:
    return "table" if console().is_terminal and not as_json else "jsonl"


@contextmanager
def _asked(
    url: str, key: str | None, store: str | None, database: str | None, config: str | None
) -> Iterator[Evaluator]:
    """Open the evaluator that is asked: the one at an address, or one for a store, which has to be there."""
    given = {"--store": store, "--database": database, "--config": config}
    words = [f"{flag}={text}" for flag, text in given.items() if text is not None]
    if not words:
        with Evaluator(url, key=key, retries=NO_RETRIES, timeout_seconds=WAIT_SECONDS) as evaluator:
            yield evaluator
        return
    if find_spec("duckdb") is None:  # which the evaluator would tell of a setting
        raise InvalidSettings(
            "SQL needs DuckDB, which is not installed; accepted is an installation with the extra sql,"
            " in a checkout by .venv/bin/pip install -c constraints.txt -e '.[sql]'."
        )
    if store is not None:
        Place.read(config, store, database).check()
    flags = (*words, "--sql-enabled", "true", "--blocks-idle", "false")
    with (
        own_evaluator(flags) as own,
        Evaluator(own, key=key, retries=NO_RETRIES, timeout_seconds=WAIT_SECONDS) as evaluator,
    ):
        yield evaluator


def _run(evaluator: Evaluator, statement: str, format: str, output: Path | None = None) -> None:
    if format == "table":
        with evaluator.sql(statement) as answer:
            _print(answer)
        return
    with stream(output, format) as to, evaluator.sql(statement, format) as answer:
        for part in answer.parts():
            to.write(part)


def _print(answer: SqlAnswer) -> None:
    """Print an answer as a table; of a long one the first rows."""
    rows = answer.rows()
    shown = list(islice(rows, SHOWN_ROWS))
    names = [column.name for column in answer.columns] or list(shown[0] if shown else ())
    kinds = {column.name: column.type for column in answer.columns}
    columns = [
        TableColumn(name, justify="right" if kinds.get(name, "").startswith(_NUMBERS) else "left")
        for name in names
    ]
    # What is null has no cell, but its column has a head all the same.
    cells = [{name: "" if value is None else value for name, value in row.items()} for row in shown]
    print_table(cells or [dict.fromkeys(names, "")], columns)
    if len(shown) == SHOWN_ROWS and next(rows, None) is not None:
        tell(f"The first {SHOWN_ROWS} rows; --json has all.")
    elif not shown:
        tell("No rows.")


def _statements(lines: Iterator[str]) -> Iterator[str]:
    """Yield the statements of a text: each ends with a semicolon at the end of a line, or with the text."""
    begun: list[str] = []
    for line in lines:
        begun.append(line)
        if line.rstrip().endswith(";"):
            yield "".join(begun)
            begun = []
    if "".join(begun).strip():
        yield "".join(begun)


def _shell(evaluator: Evaluator, format: str) -> None:
    """Read statements from a terminal until its end."""
    with suppress(ImportError):
        import readline  # noqa: F401 - gives `input` a history, and keys that move in a line
    tell("SQL over the events, by DuckDB. .help tells more.")
    begun: list[str] = []
    while True:
        try:
            line = input("  ...> " if begun else "cube> ")
        except KeyboardInterrupt:
            begun = []
            click.echo()
            continue
        except EOFError:
            click.echo()
            return
        if not begun and line.strip().rstrip(";").lower() in _ENDS:
            return
        if not begun and line.strip().startswith("."):
            command, _, word = line.strip().partition(" ")
            format = _chosen(command, word.strip(), format)
            continue
        begun.append(line)
        if line.rstrip().endswith(";"):
            _try(evaluator, "\n".join(begun), format)
            begun = []


def _chosen(command: str, word: str, format: str) -> str:
    """Do what a line with a dot says; returns the format from then on."""
    if command == ".format" and word in FORMATS[:4]:
        return word
    tell(_HELP if command in (".help", ".format") else f"Got {command}; accepted are .format, .help, .quit.")
    return format


def _try(evaluator: Evaluator, statement: str, format: str) -> None:
    """Run a statement of the shell, which goes on whatever becomes of it."""
    try:
        _run(evaluator, statement, format)
    except CubeError as error:
        tell(error.message)
    except KeyboardInterrupt:
        evaluator.close()
        tell("Ended.")
