"""``cube event`` and ``cube metric``: questions to an evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cube.cli.event_expression import metric_expected, refuse_metric, with_data
from cube.cli.event_fields import event_row, event_table
from cube.cli.export_output import format_option, output_option
from cube.cli.metric_export import export_metric
from cube.cli.options import evaluator_options
from cube.cli.output import (
    TIME,
    Row,
    TableColumn,
    Warnings,
    cell,
    is_table,
    json_option,
    print_table,
    show,
    tell,
    warn,
)
from cube.cli.spans import AskedSpan, grid_options, screen_rows, span_options, tell_of_open_bucket
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator
from cube.model import instant
from cube.model.tier import Group, Metric

_GROUP_KEY = "\0{}"


@click.command(epilog="Example: cube event 'request(path, status).ge(status, 500)' --start -1h")
@evaluator_options
@json_option
@span_options
@click.argument("expression")
def event(
    url: str, key: str | None, expression: str, limit: int | None, *, as_json: bool, **parameters: Any
) -> None:
    """Show the latest events that EXPRESSION selects: request(path, ms).ge(ms, 250)

    A table with the fields as columns on a terminal, JSON lines otherwise. Without fields in EXPRESSION all
    data are shown. `cube export` has all events, `cube tail` those that come.
    """
    as_table = is_table(as_json=as_json)
    most = screen_rows() if as_table and limit is None else limit
    with Evaluator(url, key=key, retries=NO_RETRIES, warn=warn) as evaluator:
        found = evaluator.events(with_data(expression)[1], limit=most, **parameters)
        if not found:
            refuse_metric(evaluator, expression)
    if not as_table:
        show(map(event_row, found), (), as_json=True)
        return
    print_table(*event_table(found))
    if limit is None and len(found) == most:
        tell(f"The newest {most}, as many as fit; --limit shows more.")


@click.command(epilog="Example: cube metric 'sum(request).group(status)' --start -1d --step 1h")
@evaluator_options
@json_option
@span_options
@grid_options
@format_option
@output_option
@click.argument("expression")
def metric(
    url: str,
    key: str | None,
    expression: str,
    start: str | None,
    stop: str | None,
    step: str | None,
    limit: int | None,
    format_name: str | None,
    output: Path | None,
    *,
    as_json: bool,
    **zoned: Any,
) -> None:
    """Show the values of EXPRESSION: sum(request(ms)) / sum(request)

    Without times the last hours, in as many rows as fit, up to the last bucket that is over. A table with
    the groups as columns on a terminal, JSON lines otherwise. With --format or -o all values from --start on,
    in a file.
    """
    asked: dict[str, Any] = AskedSpan(start, stop, step, limit).fitted(screen_rows())
    told = Warnings()
    with (
        metric_expected(expression),
        Evaluator(url, key=key, retries=NO_RETRIES, warn=told) as evaluator,
    ):
        if format_name is not None or output is not None:
            given = {"start": start, "stop": stop, "step": step, "limit": limit, **zoned}
            has_rows = export_metric(evaluator, expression, given, format_name, output)
            tell_of_open_bucket(stop, told, has_rows=has_rows)
            return
        found = evaluator.metrics(expression, **asked, **zoned)
    if is_table(as_json=as_json):
        print_table(*metric_table(found))
    else:
        show(map(_metric_row, found), (), as_json=True)
    tell_of_open_bucket(stop, told, has_rows=bool(found))


def _metric_row(metric: Metric) -> Row:
    row = {"time": instant.format(metric.time), "value": metric.value, "group": metric.group}
    row["other"] = metric.other or None
    return {key: value for key, value in row.items() if value is not None}


def metric_table(found: Sequence[Metric]) -> tuple[list[Row], list[TableColumn]]:
    """Return metrics as the rows of a table, one for each bucket, and its columns, one for each group."""
    if all(metric.group is None for metric in found):
        return [_metric_row(metric) for metric in found], [TIME, _value_column("value")]
    keys = {_group(metric): _GROUP_KEY.format(_group(metric)) for metric in found}
    rows: dict[int, dict[str, Any]] = {}
    for metric in found:
        row = rows.setdefault(metric.time, {"time": instant.format(metric.time)})
        if metric.value is not None:
            row[keys[_group(metric)]] = metric.value
    others = {_group(metric) for metric in found if metric.other}
    columns = [_value_column(key, name, style="dim" if name in others else "") for name, key in keys.items()]
    return list(rows.values()), [TIME, *columns]


def _group(metric: Metric) -> str:
    """Return the name of a group, as the head of a column."""
    group: Group | None = metric.group
    return cell(group)


def _value_column(key: str, title: str = "", style: str = "") -> TableColumn:
    return TableColumn(key, title, justify="right", one_line=True, style=style, show=number_text)


def number_text(value: float) -> str:
    """Return a value in as many characters as a person wants: whole, or six digits."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}" if abs(value) < 10**15 else f"{value:.6g}"
    return f"{value:,.2f}" if 10_000 <= abs(value) < 10**15 else f"{value:.6g}"
