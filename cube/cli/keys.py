"""``cube keys``: the API keys in the database."""

from __future__ import annotations

import re
import sys
from typing import Final

import click

from cube.cli.options import Place, check_type, environment_option, settings_options
from cube.cli.output import Row, TableColumn, json_option, show
from cube.errors import InvalidRequest, NotFound, shown
from cube.model.environment import USUAL_SCOPES, Key, Scope, digest, make_key, refuse_bad_secret
from cube.settings.environments import HASH_PREFIX, NAME

_COLUMNS: Final = (
    "environment",
    TableColumn("name", whole=True),
    TableColumn("scopes", show=", ".join),
    TableColumn("types", show=lambda types: "all types" if types is None else ", ".join(types)),
    "filter",
)


@click.group()
def keys() -> None:
    """Manage the API keys that the database holds, beside those of the settings files."""


@keys.command(epilog="Example: cube keys add team --scope read")
@click.argument("name")
@environment_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it allows, read and write unless given; may be repeated.",
)
@click.option("--type", "types", multiple=True, help="A type that it is for, all unless given; repeatable.")
@click.option("--filter", default="", help='Added to all that its holder asks: eq(customer, "acme")')
@click.option("--key", "secret", help="A key that exists already, in place of a made one.")
@click.option("--create", is_flag=True, help="Make the database if it is not there yet.")
@settings_options
def add(
    name: str,
    environment: str,
    scopes: tuple[str, ...],
    types: tuple[str, ...],
    filter: str,
    secret: str | None,
    config: str | None,
    store: str | None,
    database: str | None,
    *,
    create: bool,
) -> None:
    """Add a key under NAME, and show it, this once.

    The environment has to be one of the settings file's (--config); without any there is the default one.
    """
    _check(name, environment, types, filter)
    if secret is not None:
        refuse_bad_secret(secret)
    place = Place.read(config, store, database)
    place.environment(environment)
    made = make_key() if secret is None else secret
    key = Key(
        name,
        digest(made),
        environment,
        frozenset(map(Scope, scopes)) or USUAL_SCOPES,
        frozenset(types) or None,
        filter,
    )
    place.with_keys(lambda stored: stored.add(key), create=create)
    click.echo(made if secret is None else f"The key {name} is added.")


@keys.command(name="list", epilog="Example: cube keys list")
@settings_options
@json_option
def list_(config: str | None, store: str | None, database: str | None, *, as_json: bool) -> None:
    """List the keys: environment, name, scopes, types (null is all) and filter.

    A table on a terminal, JSON lines otherwise.
    """
    found = Place.read(config, store, database).with_keys(lambda stored: stored.all())
    show(map(_row, found), _COLUMNS, as_json=as_json)


def _row(key: Key) -> Row:
    types = None if key.types is None else sorted(key.types)
    row = {"environment": key.environment, "name": key.id, "scopes": sorted(key.scopes), "types": types}
    return {**row, "filter": key.filter}


@keys.command(epilog="Example: cube keys revoke team")
@click.argument("name")
@environment_option
@settings_options
def revoke(name: str, environment: str, config: str | None, store: str | None, database: str | None) -> None:
    """Remove the key NAME; daemons that run heed it within 5 seconds."""
    place = Place.read(config, store, database)
    if not place.with_keys(lambda stored: stored.revoke(environment, name)):
        raise NotFound(f"The environment {environment} has no key {name}; `cube keys list` shows all.")
    click.echo(f"The key {name} is revoked.")


@keys.command(name="hash", epilog="Example: cube keys hash < key.txt")
def hash_() -> None:
    """Print what a settings file may hold of a key, which is asked for or read from standard input."""
    text = click.prompt("Key", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline().strip()
    if not text:
        raise InvalidRequest("Got no key; accepted is one line with it on standard input.")
    refuse_bad_secret(text)
    click.echo(HASH_PREFIX + digest(text).hex())


def _check(name: str, environment: str, types: tuple[str, ...], filter: str) -> None:
    for what, text in (("name", name), ("environment", environment)):
        if not re.fullmatch(NAME, text):
            raise InvalidRequest(f"Got the {what} {shown(text)}; accepted is text that matches {NAME}.")
    check_bounds(types, filter)


def check_bounds(types: tuple[str, ...], filter: str) -> None:
    """Raise `InvalidRequest` where the types or the filter of a key cannot be read."""
    for type in types:
        check_type(type)
    if filter:
        from cube.columns.key_filter import read_filters  # numpy and pyparsing take their time to load

        read_filters(filter)
