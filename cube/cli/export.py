"""``cube export``: all events that an expression selects, as JSON lines, CSV or Parquet."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import click

from cube.cli.event_expression import with_data
from cube.cli.export_output import format_option, is_file, output_option, stream, written
from cube.cli.export_progress import ExportProgress
from cube.cli.options import evaluator_options
from cube.cli.output import tell, warn
from cube.client.evaluator import AnswerPage, Evaluator
from cube.errors import InvalidRequest, Unavailable
from cube.exporting.download import ExportQuestion, Reached, download, parts_of
from cube.exporting.formats import JSON, TABLES, format_of
from cube.exporting.partial_file import PartialFile
from cube.exporting.table import EVENT_COLUMNS, Row, columns_of, flat_event
from cube.model import relative

_TIME = "ISO 8601, milliseconds since 1970, or -6h, now, now-1d."


@click.command(epilog="Example: cube export 'request(*)' --start -1h -o requests.csv")
@evaluator_options
@click.option("--start", default="0", help=f"From: {_TIME}  [default: 1970]")
@click.option("--stop", default="now", show_default=True, help=f"Up to and without: {_TIME}")
@format_option
@output_option
@click.option("--restart", is_flag=True, help="Begin again where an export into this file was interrupted.")
@click.option("--after", default="", help="Go on behind this cursor, which an interrupted export has told.")
@click.argument("expression")
def export(
    url: str,
    key: str | None,
    expression: str,
    start: str,
    stop: str,
    format_name: str | None,
    output: Path | None,
    after: str,
    *,
    restart: bool,
) -> None:
    """Write all events that EXPRESSION selects: request, or request(path, ms).ge(status, 500)

    They come ascending, as many as there are. JSON lines have what collectors and `cube import` take again;
    tables have a column for each field. Without fields in EXPRESSION all data are written.
    An interrupted export into a FILE goes on where it was when the same is run again.
    """
    now = time.time_ns() // 1_000_000
    question = _question(expression, relative.parse(start, now), relative.parse(stop, now))
    made = format_of(format_name, output)
    with Evaluator(url, key=key, warn=warn) as evaluator:
        if output is not None and is_file(output):
            if after:
                raise InvalidRequest("Got --after with a file to make; accepted is it for standard output.")
            asked = {"url": url, "expression": expression, "start": start, "stop": stop}
            _to_file(evaluator, PartialFile(output, asked, question), made, output, restart=restart)
        else:
            with stream(output, made) as to:
                _to_stream(evaluator, question, made, to, after)


def _question(expression: str, start: int, stop: int) -> ExportQuestion:
    """Return what is asked for; of an expression without fields all data."""
    type, whole = with_data(expression)
    return ExportQuestion(type, whole, start, stop)


def _to_file(evaluator: Evaluator, partly: PartialFile, made: str, output: Path, *, restart: bool) -> None:
    with written(output), partly.open(restart=restart) as lines:
        before = partly.reached.events
        if before:
            tell(f"Going on behind {before} events of {partly.part}.")
        with ExportProgress(partly.question) as progress, _told(partly):

            def note(reached: Reached, page: AnswerPage) -> None:
                partly.note(lines, reached)
                progress.tell(reached, page)

            download(
                evaluator,
                partly.question,
                lines,
                partly.reached,
                note,
            )
        whole = partly.part
        if made != JSON:
            whole = output.with_name(f"{output.name}.part.{made}")
            with whole.open("wb") as table:
                write_table(made, lines, table)
    partly.finish(whole, output)
    tell(f"{partly.reached.events} events are in {output}.")


def _to_stream(evaluator: Evaluator, question: ExportQuestion, made: str, to: BinaryIO, after: str) -> None:
    reached = Reached(after)

    def note(now: Reached, _: object) -> None:
        nonlocal reached
        if made == JSON:
            to.flush()
        reached = now

    try:
        with ExitStack() as stack:
            lines = to if made == JSON else stack.enter_context(TemporaryFile())
            download(evaluator, question, lines, reached, note)
            if made != JSON:
                write_table(made, lines, to)
    except (Unavailable, KeyboardInterrupt):
        if made == JSON and reached.cursor != after:
            tell(
                f"{reached.events} events were written; --start {question.start} --stop {question.stop}"
                f" --after {reached.cursor} goes on behind them."
            )
        raise


def write_table(made: str, lines: BinaryIO, to: BinaryIO) -> None:
    """Write JSON lines of events as a table; raises `InvalidRequest` where they have too many fields."""

    def rows() -> Iterator[Sequence[Row]]:
        return ([flat_event(event) for event in part] for part in parts_of(lines))

    TABLES[made](to, columns_of(rows(), EVENT_COLUMNS), rows)


@contextmanager
def _told(partly: PartialFile) -> Iterator[None]:
    """Tell what is there already, where this block is left before all is."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        if partly.reached.events:
            tell(f"{partly.reached.events} events are in {partly.part}: the same command goes on with it.")
        raise
