"""``cube event``, ``cube metric`` and ``cube types``: questions to an evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cube.cli.export_output import format_option, output_option
from cube.cli.metric_export import export_metric
from cube.cli.options import Command, evaluator_options
from cube.cli.output import Row, TableColumn, json_option, show
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator, FoundEvent
from cube.model import instant
from cube.model.event import ABSENT
from cube.model.tier import Metric

_TIME = "ISO 8601, or -6h, now, now-1d."


def _span(command: Command) -> Command:
    command = click.option("--limit", type=int, help="How many at most; the latest are shown.")(command)
    command = click.option("--stop", help=f"Up to and without: {_TIME}")(command)
    return click.option("--start", help=f"From: {_TIME}")(command)


@click.command()
@evaluator_options
@json_option
@_span
@click.argument("expression")
def event(url: str, key: str | None, expression: str, *, as_json: bool, **parameters: Any) -> None:
    """Show the events that EXPRESSION selects: request(path, ms).ge(ms, 250)

    A table on a terminal, JSON lines otherwise.
    """
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        rows = map(_event_row, evaluator.events(expression, **parameters))
        show(rows, ("time", "id", "data"), as_json=as_json)


@click.command()
@evaluator_options
@json_option
@_span
@click.option("--week-start", help="The weekday on which weeks begin; monday if not given.")
@click.option("--timezone", help="By whose clocks buckets begin: Europe/Berlin; UTC if not given.")
@click.option("--step", help="A bucket: 15m, 2h, 1d, 1w, month, or milliseconds; 10s if not given.")
@format_option
@output_option
@click.argument("expression")
def metric(
    url: str,
    key: str | None,
    expression: str,
    format_name: str | None,
    output: Path | None,
    *,
    as_json: bool,
    **parameters: Any,
) -> None:
    """Show the values of EXPRESSION: sum(request(ms)) / sum(request)

    A table on a terminal, JSON lines otherwise. With --format or -o all values from --start on, in a file.
    """
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        if format_name is not None or output is not None:
            export_metric(evaluator, expression, parameters, format_name, output)
            return
        rows = map(_metric_row, evaluator.metrics(expression, **parameters))
        show(rows, ("time", "group", TableColumn("value", justify="right")), as_json=as_json, dimmed="other")


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
