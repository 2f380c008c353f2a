"""``cube define``: names for expressions."""

from __future__ import annotations

import click

from cube.cli.options import evaluator_options
from cube.cli.output import REVISION, json_option, show
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator
from cube.errors import InvalidRequest

_COLUMNS = ("name", "expression", "error", REVISION, "saved", "by")


@click.command(epilog="Example: cube define failed = 'sum(request.ge(status, 500))'")
@evaluator_options
@json_option
@click.option("--revision", type=click.IntRange(1), help="Which this is a change of; `cube define` shows it.")
@click.option("--force", is_flag=True, help="Whatever the present revision is, and whatever uses it.")
@click.option("--delete", "deleted", metavar="NAME", help="Delete a definition, at its --revision.")
@click.argument("definition", nargs=-1)
def define(
    url: str,
    key: str | None,
    revision: int | None,
    deleted: str | None,
    definition: tuple[str, ...],
    *,
    as_json: bool,
    force: bool,
) -> None:
    """Give an expression a name, as in `cube define error_rate = "sum(a) / sum(b)"`; list all without any."""
    at = "*" if force else revision
    with Evaluator(url, key=key, retries=NO_RETRIES) as evaluator:
        if deleted is not None:
            if definition or at is None:
                got = "an expression" if definition else "no revision"
                raise InvalidRequest(
                    f"Got {got} beside --delete {deleted}; accepted is --revision, which `cube define` shows,"
                    " or --force."
                )
            evaluator.delete_definition(deleted, at, force=force)
            click.echo(f"The definition {deleted} is deleted.")
        elif definition:
            name, equals, expression = " ".join(definition).partition("=")
            if not equals:
                raise InvalidRequest("Got no = in the definition; accepted is NAME = EXPRESSION.")
            saved = evaluator.define(name.strip(), expression.strip(), at, force=force)
            click.echo(f"{name.strip()} is defined at revision {saved}.")
        else:
            show(evaluator.definitions(), _COLUMNS, as_json=as_json)
