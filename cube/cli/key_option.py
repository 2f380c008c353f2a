"""The option of commands that ask a daemon which may want a key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import click

from cube.client.connection import KEY_VARIABLE

Command: TypeAlias = Callable[..., None]


def key_option(command: Command) -> Command:
    """Add ``--key``."""
    return click.option(
        "--key", envvar=KEY_VARIABLE, help=f"An API key; better given as {KEY_VARIABLE}: others see commands."
    )(command)
