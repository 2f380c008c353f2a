"""``cube import``: files of any tool as events, each stored once, however often it is run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from cube.cli.import_progress import progress
from cube.cli.options import check_type, collector_option, key_option
from cube.cli.output import INTERRUPTED, WRONG, tell
from cube.errors import CubeError, InvalidRequest, InvalidSettings
from cube.model.zone import Zone

if TYPE_CHECKING:
    from cube.importing.job import ImportCounts, ImportJob
    from cube.importing.rejects import Rejects

SHOWN_RECORDS = 10
"""So many records that are no events are told one by one; of more only the number is."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what says how files are read."""
    path = click.Path(dir_okay=False, path_type=Path)
    for option in reversed(
        (
            click.option("--type", "type", help="The type of the events; else theirs, or the file's name."),
            click.option("--time", metavar="FIELD", help="The field with the time, such as meta.created."),
            click.option("--id", metavar="FIELD", help="The field with the id."),
            click.option(
                "--unit",
                type=click.Choice(("auto", "s", "ms", "us", "ns")),
                default="auto",
                show_default=True,
                help="The unit of times that are numbers.",
            ),
            click.option("--time-format", metavar="FORMAT", help="Of times: '%d/%b/%Y:%H:%M:%S %z'."),
            click.option("--timezone", default="UTC", show_default=True, help="Of times that name no zone."),
            click.option("--now", is_flag=True, help="Events have the time at which they are first stored."),
            click.option("--records", metavar="PATH", help="The array of records in JSON, such as Records."),
            click.option(
                "--format",
                "form",
                type=click.Choice(("jsonl", "json", "csv", "log", "parquet")),
                help="The format; else it is told by the content.",
            ),
            click.option("--delimiter", help="Between the cells of CSV; else , ; | or a tab is found."),
            click.option("--columns", help="The columns of CSV that does not name them: a,b,c."),
            click.option("--text", help="Columns of CSV that stay text: zip,phone."),
            click.option(
                "--decimal",
                type=click.Choice((",", ".")),
                help="The mark before fractions in CSV; then the other one may stand between thousands.",
            ),
            click.option("--encoding", default="utf-8-sig", help="Of CSV.  [default: utf-8]"),
            click.option(
                "--source-key", envvar="CUBE_SOURCE_KEY", help="An API key of the Cube that is read."
            ),
            click.option("--rejects", type=path, help="Where records that are no events go, with reasons."),
            click.option("--check", is_flag=True, help="Store nothing, and ask nobody; tell what is wrong."),
        )
    ):
        command = option(command)
    return command


@click.command("import", epilog="Example: cube import orders.csv --type order --time created")
@collector_option
@key_option
@_options
@click.argument("files", metavar="FILE…", nargs=-1, required=True)
def import_command(files: tuple[str, ...], collector: str, key: str | None, **given: Any) -> None:
    """Store the records of files as events: JSON, CSV, Parquet, access logs; gzip, zstd, bzip2, xz.

    FILE may be a directory, - for standard input, mongodb://HOST:PORT/DATABASE of Square's Cube, or the
    http://HOST:PORT of another evaluator. What is an event stays as it is; any other record
    becomes the data of one. Run it again after an error or Ctrl-C: it goes on where it was, and stores
    nothing twice. What is not an event goes to FILE.rejects.jsonl, with the reason, and the rest is stored.
    """
    from cube.importing.job import ImportJob
    from cube.importing.opening import files_in
    from cube.importing.record import FileFault
    from cube.importing.sender import CollectorConnection

    options = _reading(given)
    names = list(files_in(files))
    connect = None if given["check"] else partial(CollectorConnection, collector, key=key)
    made: list[Path] = []
    with progress(names) as shown:
        told = _Told(shown.tell)
        rejects = partial(_rejects, given["rejects"], bool(given["check"]), made, told)
        job = ImportJob(options, collector, connect, rejects, shown.update, shown.tell)
        faults = 0
        for name in names:
            try:
                job.run(name)
            except FileFault as error:
                faults += 1
                shown.tell(f"cube: {error.message}")
            except KeyboardInterrupt:
                tell(f"\ncube: Interrupted. {_so_far(job)}")
                raise SystemExit(INTERRUPTED) from None
            except CubeError as error:
                if job.counts.stored or not isinstance(error, InvalidRequest | InvalidSettings):
                    error.message = f"{error.message} {_so_far(job)}"
                raise
    _conclude(job.counts, made, faults, check=given["check"])


def _reading(given: dict[str, Any]) -> Any:
    from cube.importing.formats import ImportOptions

    if given["type"] is not None:
        check_type(given["type"])
    if given["delimiter"] is not None and len(given["delimiter"]) != 1:
        raise InvalidRequest(f"Got the delimiter {given['delimiter']!r}; accepted is one character.")
    return ImportOptions(
        type=given["type"],
        time=given["time"],
        id=given["id"],
        now=given["now"],
        records=given["records"],
        format=given["form"],
        unit=given["unit"],
        time_format=given["time_format"],
        zone=_zone(given["timezone"]),
        delimiter=given["delimiter"],
        names=None if given["columns"] is None else tuple(given["columns"].split(",")),
        kept=frozenset() if given["text"] is None else frozenset(given["text"].split(",")),
        encoding=given["encoding"],
        decimal=given["decimal"],
        source_key=given["source_key"],
    )


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(Zone.of(name).name)


class _Told:
    """Tells the first sentences of many."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._count = 0

    def __call__(self, sentence: str) -> None:
        self._count += 1
        if self._count <= SHOWN_RECORDS:
            self._tell(f"cube: {sentence}")
        elif self._count == SHOWN_RECORDS + 1:
            self._tell("cube: … and further ones.")


def _rejects(
    path: Path | None, check: bool, made: list[Path], told: Callable[[str], None], name: str, append: bool
) -> Rejects:
    """Return where the records of a file go that are no events; one path for all is gone on with."""
    from cube.importing.opening import REJECTS, local_name
    from cube.importing.rejects import Rejects

    if check:
        return Rejects(None, told)
    target = path or Path(f"{local_name(name)}{REJECTS}")
    again = target in made
    made.append(target)
    return Rejects(target, told, append=append or again)


def _so_far(job: ImportJob) -> str:
    """Say what is stored, and how to go on."""
    if not job.counts.stored:
        return "Nothing more is known to be stored; run the same command again."
    return (
        f"{_events(job.counts.stored)} {'is' if job.counts.stored == 1 else 'are'} stored; run the same"
        " command again to go on: nothing is stored twice."
    )


def _conclude(counts: ImportCounts, made: list[Path], faults: int, *, check: bool) -> None:
    rejected = f"{counts.rejected} record{'' if counts.rejected == 1 else 's'}"
    if check:
        click.echo(f"{_events(counts.stored)} could be stored, {rejected} could not.")
    else:
        click.echo(f"{_events(counts.stored)} stored.")
        if counts.rejected:
            files = [str(path) for path in dict.fromkeys(made) if path.exists()]
            where, has = ", ".join(files), "has" if len(files) == 1 else "have"
            tell(f"cube: {rejected} could not be stored; {where} {has} them, with the reasons.")
    if counts.rejected or faults:
        sys.exit(WRONG)


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"
