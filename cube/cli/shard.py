"""``cube shard``: the collections of a type, sharded on a cluster."""

from __future__ import annotations

import asyncio

import click

from cube.cli.options import check_type, database_option, store_option
from cube.errors import InvalidRequest
from cube.store.url import StoreUrl


@click.command(epilog="Example: cube shard request --store mongodb://127.0.0.1 --dry-run")
@click.argument("type")
@store_option
@database_option
@click.option("--dry-run", is_flag=True, help="Print the commands, as mongosh takes them, and do nothing.")
def shard(type: str, store: str, database: str, dry_run: bool) -> None:
    """Shard the events, revisions and metrics of TYPE by {_id: "hashed"}; doing it again does no harm."""
    check_type(type)
    if StoreUrl.parse(store).is_local:
        raise InvalidRequest(
            f"Got the store {store}; accepted is the mongodb:// address of a sharded cluster's mongos:"
            " SQLite is for one machine."
        )
    from cube.store import mongo  # pymongo takes its time to load

    if dry_run:
        for command in mongo.sharding_commands(database, type):
            click.echo(str(command))
        return
    fresh = asyncio.run(mongo.shard(store, database, type))
    for name in fresh:
        click.echo(f"{name} is sharded by {{_id: hashed}}.")
    if not fresh:
        click.echo(f"The collections of {type} were sharded already.")
