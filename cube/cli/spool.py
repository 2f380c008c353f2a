"""``cube spool``: the events that collectors keep on this machine while their database is away."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Final

import click

from cube.cli.output import Row, TableColumn, json_option, show
from cube.errors import NotFound
from cube.model import instant
from cube.model.environment import DEFAULT, Environment
from cube.settings import DaemonSettings
from cube.spool import Inspected, Replayer, Spool, inspect_all, quarantined, store_mark

PUT_AWAY: Final = "put away"
"""In place of an owner: no collector opens the file."""

_UNBOUNDED = 2**62  # nothing is added here


@click.group()
def spool() -> None:
    """Look at the spool of this machine's collectors, or drain it by hand."""


_directory = click.option(
    "--directory",
    envvar="CUBE_SPOOL_DIRECTORY",
    required=True,
    type=click.Path(path_type=Path),
    help="The collectors' spool.directory.",
)


@spool.command(name="list", epilog="Example: cube spool list --directory data/spool")
@_directory
@json_option
def list_(directory: Path, *, as_json: bool) -> None:
    """List the files: path, owner, events (null: damaged), bytes, oldest arrival, quarantined events.

    A table on a terminal, JSON lines otherwise.
    """
    _check(directory)
    away = ({"path": str(path), "owner": PUT_AWAY} for path in quarantined(directory))
    show(chain(map(_row, inspect_all(directory)), away), _COLUMNS, as_json=as_json)


def _row(file: Inspected) -> Row:
    row = {"path": str(file.path), "owner": "a collector" if file.owned else "nobody", "events": file.events}
    oldest = {} if file.oldest is None else {"oldest": instant.format(file.oldest)}
    return {**row, "bytes": file.bytes, **oldest, "quarantined": file.quarantined}


@spool.command(epilog="Example: cube spool drain --directory data/spool --store sqlite:data")
@_directory
@click.option(
    "--store",
    envvar="CUBE_STORE",
    default=DaemonSettings().store,
    show_default=True,
    help="Where the events go: the collectors' store.",
)
@click.option("--any-store", is_flag=True, help="Drain the files of other stores as well, into this one.")
def drain(directory: Path, store: str, any_store: bool) -> None:
    """Move the events of files that no collector owns to their databases in STORE.

    A running collector drains its own files itself, and one that starts takes over those that are left.
    """
    _check(directory)
    mark = store_mark(store)
    free = [file for file in inspect_all(directory) if not file.owned]
    mine = [file for file in free if any_store or file.name.store == mark]
    tally = Counter[str]()
    for database, of_store in sorted({(file.name.database, file.name.store) for file in mine}):
        asyncio.run(_drain(directory, database, of_store, store, tally))
    click.echo(f"{tally['stored']} events stored, {tally['quarantined']} quarantined.")
    if len(mine) < len(free):
        click.echo(
            f"{len(free) - len(mine)} files are of other stores; --any-store drains them too.", err=True
        )


async def _drain(directory: Path, database: str, mark: str, store: str, tally: Counter[str]) -> None:
    from cube.store.deletion import StoredDeletions
    from cube.store.factory import opened

    def refused(events: int, _reason: str = "") -> None:
        tally["quarantined"] += events

    environment = Environment(DEFAULT, database)
    async with opened(store, (environment,), database) as databases:
        opened_store = databases.stores[environment.name]
        opened_spool = await Spool.open(
            directory,
            database,
            mark,
            limit_bytes=_UNBOUNDED,
            clock=lambda: time.time_ns() // 1_000_000,
            on_damage=refused,
        )
        try:
            replayer = Replayer(
                opened_store.events.save,
                opened_spool,
                lambda events: tally.update(stored=events),
                refused,
                deletions=StoredDeletions(opened_store),
            )
            while await replayer.batch():
                pass
        finally:
            await opened_spool.close()


def _check(directory: Path) -> None:
    if not directory.is_dir():
        raise NotFound(f"There is no spool directory {directory}.")


def _count(count: int | None) -> str:
    return "damaged" if count is None else f"{count:,}"


_COLUMNS: Final = (
    TableColumn("path", whole=True),
    "owner",
    TableColumn("events", justify="right", show=_count),
    TableColumn("bytes", justify="right", show="{:,}".format),
    TableColumn("oldest"),
    TableColumn("quarantined", justify="right", show=_count),
)
