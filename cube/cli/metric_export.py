"""What ``cube metric`` writes to files: all values, as JSON lines, CSV or Parquet."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Final

from cube.cli.export_output import is_file, stream, written
from cube.cli.output import tell
from cube.client.evaluator import AnswerPage, Evaluator
from cube.errors import InvalidExpression, InvalidRequest
from cube.exporting.formats import JSON, TABLES, format_of
from cube.exporting.metric_rows import METRIC_COLUMNS, MetricPages
from cube.exporting.table import columns_of

PAGE_LIMITS: Final = (None, 1_000, 100)
"""Buckets of a page, one after another where an answer is refused: it may have too many groups for more."""


def export_metric(
    evaluator: Evaluator,
    expression: str,
    asked: dict[str, Any],
    format_name: str | None,
    output: Path | None,
) -> bool:
    """Write the values of an expression: all from ``start`` on, or the latest ``limit`` buckets.

    Returns whether there are any. ``asked``: the other parameters. Raises `InvalidRequest` where not all can
    be had.
    """
    made = format_of(format_name, output)
    with TemporaryFile() as file:
        pages = _read(evaluator, expression, asked, file)
        if output is not None and is_file(output):
            aside = output.with_name(f"{output.name}.part")
            with written(output):
                with aside.open("wb") as to:
                    _write(pages, made, to)
                aside.replace(output)
            tell(f"The values are in {output}.")
        else:
            with stream(output, made) as to:
                _write(pages, made, to)
    return pages.has_rows


def _read(evaluator: Evaluator, expression: str, asked: dict[str, Any], file: BinaryIO) -> MetricPages:
    """Read the pages; shorter ones where an answer has more values, in groups, than it may."""
    if asked.get("limit") is not None:
        return MetricPages(map(_whole, islice(evaluator.metric_pages(expression, **asked), 1)), file)
    refused: InvalidRequest | None = None
    for limit in PAGE_LIMITS:
        try:
            return MetricPages(evaluator.metric_pages(expression, **{**asked, "limit": limit}), file)
        except InvalidExpression:
            raise
        except InvalidRequest as error:
            refused = refused or error
            file.truncate(0)
            file.seek(0)
    raise refused or AssertionError("there are limits")


def _whole(page: AnswerPage) -> AnswerPage:
    """Return a page that is all that was asked for."""
    return page._replace(is_complete=True)


def _write(pages: MetricPages, made: str, to: BinaryIO) -> None:
    if made == JSON:
        to.writelines(pages.lines())
    else:
        TABLES[made](to, columns_of(pages.rows(), METRIC_COLUMNS), pages.rows)
