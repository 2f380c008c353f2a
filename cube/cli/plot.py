"""``cube plot``: a metric drawn in the terminal, once or as it changes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import click
from rich.live import Live
from rich.text import Text

from cube.cli.drawing import Size, drawn
from cube.cli.event_expression import metric_expected
from cube.cli.options import evaluator_options
from cube.cli.output import Warnings, console
from cube.cli.spans import AskedSpan, grid_options, span_options, tell_of_open_bucket
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator
from cube.errors import InvalidRequest, Unavailable
from cube.model.tier import Metric

EVERY_SECONDS: Final = 1.0
"""How often what is followed is asked for anew."""

PIPED: Final = Size(80, 20)
"""Where there is no screen."""

LINES_BELOW: Final = 3
"""The prompt, and a warning."""


@click.command(epilog="Example: cube plot 'sum(request).group(status)' --start -3h")
@evaluator_options
@span_options
@grid_options
@click.option("--follow", is_flag=True, help="Draw it again as it changes, until Ctrl-C.")
@click.argument("expression")
def plot(
    url: str,
    key: str | None,
    expression: str,
    start: str | None,
    stop: str | None,
    step: str | None,
    limit: int | None,
    *,
    follow: bool,
    **zoned: Any,
) -> None:
    """Draw the values of EXPRESSION over time: sum(request(ms)) / sum(request)

    A line for each group, those with the largest values where there are many. Without times the last hours,
    as many buckets as fit; with --follow the one that is open, too. `cube metric` has the numbers. Times are
    in UTC.
    """
    if follow and (not console().is_terminal or stop is not None):
        raise InvalidRequest("Got --follow with --stop, or without a terminal; accepted is a terminal alone.")
    size = _size()
    asked: dict[str, Any] = AskedSpan(start, "now" if follow else stop, step, limit).fitted(size.buckets)
    told = Warnings()
    with (
        metric_expected(expression),
        Evaluator(url, key=key, retries=NO_RETRIES, warn=told) as evaluator,
    ):
        found = evaluator.metrics(expression, **{**asked, **zoned})
        if not follow:
            click.echo(drawn(found, size, with_colours=console().color_system is not None), color=True)
            tell_of_open_bucket(stop, told, has_rows=bool(found))
            return
        _follow(evaluator, expression, {**asked, **zoned}, found)


def _follow(evaluator: Evaluator, expression: str, asked: dict[str, Any], found: Sequence[Metric]) -> None:
    """Draw until Ctrl-C; where nothing answers, what was drawn last stays, and it is tried again."""
    screen = console()
    with Live(console=screen, auto_refresh=False) as live:
        while True:
            size = _size()
            text = drawn(found, size, with_colours=screen.color_system is not None)
            live.update(Text.from_ansi(text, no_wrap=True), refresh=True)
            time.sleep(EVERY_SECONDS)
            try:
                found = evaluator.metrics(expression, **asked)
            except Unavailable as error:
                live.update(Text(f"{error.message} Trying again."), refresh=True)


def _size() -> Size:
    screen = console()
    return Size(screen.width, screen.height - LINES_BELOW) if screen.is_terminal else PIPED
