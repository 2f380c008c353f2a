"""What commands share that open the database themselves.

The stores are imported when they are opened, so that other commands start without them and numpy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import click

if TYPE_CHECKING:
    from cube.store.ports import KeyStore

T = TypeVar("T")

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


def with_keys(store: str, database: str, work: Callable[[KeyStore], Awaitable[T]]) -> T:
    """Do some work on the keys of a database."""

    async def run() -> T:
        from cube.opening import opened_keys

        async with opened_keys(store, database) as keys:
            return await work(keys)

    return asyncio.run(run())
