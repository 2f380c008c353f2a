"""The options of commands that open the database themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import click

Command: TypeAlias = Callable[..., None]


def database_options(command: Command) -> Command:
    """Add ``--store`` and ``--database``."""
    command = click.option(
        "--database",
        envvar="CUBE_DATABASE",
        default="cube_development",
        show_default=True,
        help="The name of the database in the store.",
    )(command)
    return click.option(
        "--store",
        envvar="CUBE_STORE",
        default="sqlite:data",
        show_default=True,
        help="Where the events are: sqlite:DIRECTORY or mongodb://HOST:PORT.",
    )(command)
