"""``cube doctor``: what is not well, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import click
import msgspec
from rich.text import Text

from cube.cli.checkup import Finding, Level, checkup
from cube.cli.options import Place, collector_option, evaluator_options, settings_options
from cube.cli.output import FAILED, console, is_table, json_option

_MARKS: Final = {Level.OK: ("✓", "green"), Level.WARNING: ("!", "yellow"), Level.FAULT: ("✗", "red")}


@click.command(epilog="Example: cube doctor --store sqlite:data")
@evaluator_options
@collector_option
@settings_options
@json_option
def doctor(
    url: str,
    key: str | None,
    collector: str,
    config: str | None,
    store: str | None,
    database: str | None,
    *,
    as_json: bool,
) -> None:
    """Look at the store, the daemons, the keys, the clocks, the disk and the versions; say what to do.

    Nothing is changed. It ends with 1 where it finds a fault, and with 0 where there are warnings alone.
    """
    place = Place.read(config, store, database)
    found = _told(checkup(place, collector, url, key), as_table=is_table(as_json=as_json), as_json=as_json)
    if any(finding.level is Level.FAULT for finding in found):
        raise SystemExit(FAILED)


def _told(findings: Iterable[Finding], *, as_table: bool, as_json: bool) -> list[Finding]:
    """Print findings as they are made: lines for a person, unless JSON is asked for."""
    told: list[Finding] = []
    for finding in findings:
        told.append(finding)
        if as_json or not as_table:
            click.echo(msgspec.json.encode(finding))
        else:
            _print(finding)
    return told


def _print(finding: Finding) -> None:
    mark, style = _MARKS[finding.level]
    line = Text.assemble((mark, style), f" {finding.about:<10}", finding.found)
    screen = console()
    screen.print(line, soft_wrap=True)
    if finding.remedy:
        screen.print(Text(f"{'':12}→ {finding.remedy}", "bold"), soft_wrap=True)
