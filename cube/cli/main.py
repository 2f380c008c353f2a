"""The command ``cube`` and how it tells errors: one sentence on standard error.

The exit statuses are those of `cube.cli.output`.
"""

from __future__ import annotations

from typing import Any

import click

from cube.cli.ask import event, metric
from cube.cli.board import board
from cube.cli.catalog import fields, types
from cube.cli.completion import completion
from cube.cli.define import define
from cube.cli.delete import delete, revise
from cube.cli.demo import demo
from cube.cli.doctor import doctor
from cube.cli.export import export
from cube.cli.importing import import_command
from cube.cli.index import index
from cube.cli.keys import keys
from cube.cli.output import FAILED, INTERRUPTED, WRONG
from cube.cli.plot import plot
from cube.cli.put import put
from cube.cli.serve import serve
from cube.cli.shard import shard
from cube.cli.spool import spool
from cube.cli.sql import sql
from cube.cli.tail import tail
from cube.errors import AccessDenied, CubeError, InvalidRequest, InvalidSettings
from cube.process.supervisor import FailedStart


class Refusing(click.Group):
    """A group whose commands end with a sentence where they raise a `CubeError`."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FailedStart as error:
            raise SystemExit(error.status) from None  # the child has told the reason
        except CubeError as error:
            click.echo(f"cube: {error.message}", err=True)
            mistaken = isinstance(error, InvalidRequest | InvalidSettings | AccessDenied)
            raise SystemExit(WRONG if mistaken else FAILED) from None
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED) from None


@click.group(cls=Refusing, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cube-events", prog_name="cube")
def main() -> None:
    """Collect timestamped events, and derive metrics from them afterwards."""


for command in (
    serve,
    demo,
    put,
    import_command,
    event,
    metric,
    sql,
    export,
    types,
    fields,
    tail,
    plot,
    board,
    define,
    keys,
    index,
    delete,
    revise,
    spool,
    shard,
    doctor,
    completion,
):
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="cube")
