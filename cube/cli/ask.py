"""``cube event``, ``cube metric`` and ``cube types``: questions to an evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text  # takes no markup from data

from cube.cli.options import Command, evaluator_options
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator, FoundEvent
from cube.model import instant
from cube.model.event import ABSENT
from cube.model.tier import Metric

Row: TypeAlias = Mapping[str, Any]

_TIME = "ISO 8601 or milliseconds since 1970."


def _span(command: Command) -> Command:
    command = click.option("--limit", type=int, help="How many at most; the latest are shown.")(command)
    command = click.option("--stop", help=f"Up to and without: {_TIME}")(command)
    return click.option("--start", help=f"From: {_TIME}")(command)


@click.command()
@evaluator_options
@_span
@click.argument("expression")
def event(url: str, key: str | None, expression: str, **parameters: Any) -> None:
    """Show the events that EXPRESSION selects: request(path, ms).ge(ms, 250)

    A table on a terminal, JSON lines otherwise.
    """
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        show(map(_event_row, evaluator.events(expression, **parameters)), ("time", "id", "data"))


@click.command()
@evaluator_options
@_span
@click.option("--week-start", help="The weekday on which weeks begin; monday if not given.")
@click.option("--timezone", help="By whose clocks buckets begin: Europe/Berlin; UTC if not given.")
@click.option("--step", help="A bucket: 15m, 2h, 1d, 1w, month, or milliseconds; 10s if not given.")
@click.argument("expression")
def metric(url: str, key: str | None, expression: str, **parameters: Any) -> None:
    """Show the values of EXPRESSION: sum(request(ms)) / sum(request)

    A table on a terminal, JSON lines otherwise.
    """
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        rows = map(_metric_row, evaluator.metrics(expression, **parameters))
        show(rows, ("time", "group", "value"), dimmed="other")


@click.command()
@evaluator_options
def types(url: str, key: str | None) -> None:
    """List the types of the events that are stored."""
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        for name in evaluator.types():
            click.echo(name)


def _event_row(found: FoundEvent) -> Row:
    row = {"id": found.id, "time": instant.format(found.time), "data": found.data}
    return {key: value for key, value in row.items() if value is not (None if key == "id" else ABSENT)}


def _metric_row(metric: Metric) -> Row:
    row = {"time": instant.format(metric.time), "value": metric.value, "group": metric.group}
    row["other"] = metric.other or None
    return {key: value for key, value in row.items() if value is not None}


def show(rows: Iterable[Row], columns: tuple[str, ...], dimmed: str = "") -> None:
    """Print rows: a table on a terminal, JSON lines otherwise.

    ``dimmed``: what a row has that stands back in a table.
    """
    console = Console()
    if not console.is_terminal:
        for row in rows:
            click.echo(msgspec.json.encode(row))
        return
    listed = list(rows)
    table = Table(box=None)
    shown = [column for column in columns if any(column in row for row in listed)]
    for column in shown:
        # A revision is given back to a command, so it is whole at any width.
        table.add_column(
            column,
            justify="right" if column == "value" else "left",
            no_wrap=column == "revision",
            min_width=16 if column == "revision" else None,
            overflow="fold",
        )
    for row in listed:
        values = (row.get(column, "") for column in shown)
        style = "dim" if row.get(dimmed) else None
        table.add_row(*map(_cell, values), style=style)
    console.print(table)


def _cell(value: Any) -> Text:
    if isinstance(value, tuple) and all(map(_is_short, value)):
        return Text(", ".join(map(str, value)))
    return Text(value if _is_plain(value) else msgspec.json.encode(value).decode())


def _is_short(value: Any) -> bool:
    """Tell whether a part of a group may stand as it is, a comma after it."""
    return (_is_plain(value) and "," not in value) or type(value) in (int, float)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()  # else it could command the terminal
