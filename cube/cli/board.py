"""``cube board``: the boards of an evaluator, as JSON files and as links for others."""

from __future__ import annotations

import asyncio
import secrets
from typing import IO, TYPE_CHECKING, Any

import click
import msgspec

from cube.cli.keys import check_bounds
from cube.cli.options import (
    Place,
    environment_option,
    evaluator_options,
    settings_options,
)
from cube.cli.output import REVISION, json_option, show
from cube.client.connection import EVALUATOR_URL, NO_RETRIES
from cube.client.evaluator import Evaluator
from cube.errors import InvalidRequest, NotFound
from cube.model.board import Board, check_name
from cube.model.environment import DEFAULT, Environment, Key, Scope, digest, make_key

if TYPE_CHECKING:  # the stores' ports need numpy, which takes its time to load
    from cube.store.record_ports import StoredBoard, StoredDefinition

_COLUMNS = ("name", "title", "charts", REVISION, "saved", "by")


@click.group()
def board() -> None:
    """Read, change and hand over the boards that an evaluator shows."""


def _revision(command: Any) -> Any:
    command = click.option("--force", is_flag=True, help="Whatever the present revision is.")(command)
    return click.option(
        "--revision", type=click.IntRange(1), help="Which this is a change of; `cube board list` shows it."
    )(command)


@board.command(name="list", epilog="Example: cube board list")
@evaluator_options
@json_option
def list_(url: str, key: str | None, *, as_json: bool) -> None:
    """List the boards: a table on a terminal, JSON lines otherwise."""
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        show(evaluator.boards(), _COLUMNS, as_json=as_json)


@board.command(epilog="Example: cube board get shop")
@evaluator_options
@click.argument("name")
def get(url: str, key: str | None, name: str) -> None:
    """Print the board NAME as JSON, as `cube board put` takes it."""
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        found = evaluator.board(check_name(name))
    click.echo(msgspec.json.format(msgspec.json.encode(found["board"])))


@board.command(epilog="Example: cube board put shop shop.json")
@evaluator_options
@_revision
@click.argument("name")
@click.argument("file", type=click.File("rb"))
def put(url: str, key: str | None, revision: int | None, name: str, file: IO[bytes], *, force: bool) -> None:
    """Save a JSON FILE (- is standard input) as the board NAME: a new one, or a change of --revision."""
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        saved = evaluator.save_board(check_name(name), file.read(), "*" if force else revision)
    click.echo(f"The board {name} is saved at revision {saved}.")


@board.command(epilog="Example: cube board delete shop --force")
@evaluator_options
@_revision
@click.argument("name")
def delete(url: str, key: str | None, revision: int | None, name: str, *, force: bool) -> None:
    """Delete the board NAME, at its --revision."""
    if revision is None and not force:
        raise InvalidRequest("Got neither --revision nor --force; accepted is one of them.")
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        evaluator.delete_board(check_name(name), "*" if revision is None else revision)
    click.echo(f"The board {name} is deleted.")


@board.command(epilog="Example: cube board link shop")
@environment_option
@click.option(
    "--type", "types", multiple=True, help="A type that may be seen; those of the board unless given."
)
@click.option("--filter", default="", help='Added to all that is asked with the link: eq(customer, "acme")')
@click.option(
    "--evaluator",
    "url",
    envvar="CUBE_EVALUATOR",
    default=EVALUATOR_URL,
    show_default=True,
    help="The address of the evaluator, as those who get the link reach it.",
)
@click.option("--with-key", is_flag=True, help="Put the key into the link, behind its #.")
@settings_options
@click.argument("name")
def link(
    name: str,
    environment: str,
    types: tuple[str, ...],
    filter: str,
    url: str,
    config: str | None,
    store: str | None,
    database: str | None,
    *,
    with_key: bool,
) -> None:
    """Make a link with which somebody else sees the board NAME, and cannot change it.

    The page asks for the new API key below it, which may read the types of the board; `cube keys revoke`
    ends that. A browser sends what is behind the # of a link to nobody, but may keep it in its history.
    """
    place = Place.read(config, store, database)
    home = place.environment(environment)
    needs_key = place.with_keys(lambda stored: stored.were_added()) or bool(place.keys)
    check_bounds(types, filter)
    found, definitions = asyncio.run(_stored(place, home, check_name(name)))
    seen = frozenset(types) or _types(found, definitions)
    address = f"{url.rstrip('/')}/?view=board&board={name}"
    if not needs_key:
        if types or filter:
            raise InvalidRequest(
                "There are no keys yet, so everybody may see everything; accepted are --type and --filter"
                " once `cube keys add` has added one."
            )
        click.echo("There are no keys: who reaches the evaluator may see and change everything.", err=True)
        click.echo(address)
        return
    secret, id = make_key(), f"link-{name[:26]}-{secrets.token_hex(4)}"
    key = Key(id, digest(secret), environment, frozenset({Scope.READ}), seen, filter)
    place.with_keys(lambda stored: stored.add(key))
    revoke = f"cube keys revoke {id}" + (f" --environment {environment}" if environment != DEFAULT else "")
    click.echo(f"The key {id} may read {', '.join(sorted(seen))}; `{revoke}` ends it.", err=True)
    click.echo(f"{address}#key={secret}" if with_key else f"{address}&shared=1\n{secret}")


async def _stored(
    place: Place, environment: Environment, name: str
) -> tuple[StoredBoard, list[StoredDefinition]]:
    """Return a board, and the definitions that it may use; raises `NotFound`."""
    from cube.store.factory import opened

    async with opened(place.store, [environment], place.database) as databases:
        store = databases.stores[environment.name]
        found, definitions = await store.boards.find(name), await store.definitions.all()
    if found is None:
        raise NotFound(f"There is no board {name}; `cube board list` shows all.")
    return found, definitions


def _types(found: StoredBoard, definitions: list[StoredDefinition]) -> frozenset[str]:
    """Return the types that a board asks about, which have to be some."""
    from cube.columns.board_types import types_of  # numpy and pyparsing take their time to load

    types = types_of(Board.parse(found.content), {each.name: each.content for each in definitions})
    if not types:
        raise InvalidRequest(
            f"The board {found.name} asks about no type; accepted is one that does, or --type."
        )
    return types
