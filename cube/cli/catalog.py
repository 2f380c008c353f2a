"""``cube types`` and ``cube fields``: what there is to ask about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import time_ns
from typing import Any, Final

import click

from cube.cli.options import check_type, complete_types, evaluator_options
from cube.cli.output import Row, TableColumn, cell, json_option, show, time_text, warn
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator
from cube.errors import NotFound
from cube.model import duration, instant

SPARKS: Final = "▁▂▃▄▅▆▇█"
SPARK_CELLS: Final = 20
"""The last hour in so many characters: three minutes each."""

WEEK: Final = "1w"
"""The step in which all events are counted: what is known of whole weeks is kept."""

_TYPES: Final = (
    TableColumn("type", whole=True),
    TableColumn("total", justify="right", show="{:,}".format),
    TableColumn("last_hour", "last hour", justify="right", show="{:,}".format),
    TableColumn("rate", "a second", justify="right"),
    TableColumn("last", "last seen", whole=True, show=lambda time: age_text(time, time_ns() // 1_000_000)),
    TableColumn("spark", "in the last hour", whole=True),
    TableColumn("first", "since", one_line=True, show=lambda time: time[:10]),
)

_FIELDS: Final = (
    TableColumn("field", whole=True),
    TableColumn("kinds", "kind", show=", ".join),
    TableColumn("share", "in", justify="right", show="{:.0%}".format),
    TableColumn("distinct", justify="right"),
    TableColumn("examples", one_line=True, show=lambda values: ", ".join(map(cell, values))),
)


@click.command(epilog="Example: cube types --total")
@evaluator_options
@json_option
@click.option("--total", is_flag=True, help="Count all events of each type as well.")
def types(url: str, key: str | None, *, as_json: bool, total: bool) -> None:
    """List the types of the events that are stored: how many came in the last hour, the first and the last.

    A table on a terminal, JSON lines otherwise.
    """
    with Evaluator(url, key=key, retries=NO_RETRIES, warn=warn) as evaluator:
        found = evaluator.types_in_detail()
        totals = {each["type"]: _total(evaluator, each) for each in found} if total else {}
    rows = [_type_row(each, totals) for each in found]
    show(rows, _TYPES, as_json=as_json, hidden=("spark",))


def _total(evaluator: Evaluator, told: Mapping[str, Any]) -> int:
    """Return how many events of a type there are, from its first to its last."""
    if not told.get("first") or not told.get("last"):
        return 0
    start, stop = instant.parse(told["first"]), instant.parse(told["last"]) + 1
    weeks = evaluator.metrics(f"sum({told['type']})", step=WEEK, start=start, stop=stop)
    return int(sum(metric.value or 0 for metric in weeks))


def _type_row(told: Mapping[str, Any], totals: Mapping[str, int]) -> Row:
    """Return a type as a row; of one that the evaluator had no time for the name alone."""
    row: dict[str, Any] = {"type": told["type"]}
    if told["type"] in totals:
        row["total"] = totals[told["type"]]
    if "counts" in told:
        row["last_hour"] = told["events"]
        row["rate"] = told["rate"]
        row |= {edge: told[edge] for edge in ("first", "last") if told[edge] is not None}
        row["spark"] = sparkline([value or 0 for value in told["counts"]["values"]])
    return row


def age_text(time: str, now: int) -> str:
    """Return how long ago a time was, in one unit; of one to come the time itself."""
    age = now - instant.parse(time)
    if age < 0:
        return time_text(time)
    words = {"d": "d", "h": "h", "m": "min", "s": "s"}
    unit = next((unit for unit in words if age >= duration.UNITS[unit]), "s")
    return f"{age // duration.UNITS[unit]} {words[unit]} ago"


def sparkline(values: Sequence[float]) -> str:
    """Draw values as a line of `SPARK_CELLS` blocks, each of the sum of as many; all zeros are flat."""
    size = max(1, len(values) // SPARK_CELLS)
    sums = [sum(values[place : place + size]) for place in range(0, len(values), size)]
    most = max(sums, default=0) or 1
    return "".join(SPARKS[round(each / most * (len(SPARKS) - 1))] for each in sums)


@click.command(epilog="Example: cube fields request")
@evaluator_options
@json_option
@click.argument("type", shell_complete=complete_types)
def fields(url: str, key: str | None, type: str, *, as_json: bool) -> None:
    """List the fields that the newest events of TYPE have: their kinds, in how many events, and examples.

    A table on a terminal, JSON lines otherwise.
    """
    check_type(type)
    told: list[str] = []
    with Evaluator(url, key=key, retries=NO_RETRIES, warn=told.append) as evaluator:
        found = evaluator.fields(type)
    if told:
        raise NotFound(" ".join(told))
    show(found["fields"], _FIELDS, as_json=as_json)
    if not as_json and found["sample"]["events"]:
        _tell_sample(found)


def _tell_sample(found: Mapping[str, Any]) -> None:
    sample = found["sample"]
    which = "all" if sample["whole"] else "the newest"
    click.echo(f"Of {which} {sample['events']} events, {sample['first']} to {sample['last']}.", err=True)
    if not found["complete"]:
        click.echo(f"There are more fields than these {len(found['fields'])}.", err=True)
