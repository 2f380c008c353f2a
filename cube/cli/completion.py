"""``cube completion``: what a shell needs to complete the command's words."""

from __future__ import annotations

import sys
from typing import Final

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from cube.cli.output import tell

SHELLS: Final[dict[str, tuple[type[ShellComplete], str]]] = {
    "bash": (BashComplete, 'eval "$(cube completion bash)" in ~/.bashrc'),
    "zsh": (ZshComplete, 'eval "$(cube completion zsh)" in ~/.zshrc, after compinit'),
    "fish": (FishComplete, "cube completion fish > ~/.config/fish/completions/cube.fish"),
}
"""The shells, and what makes each of them complete from its next start on."""


@click.command(epilog="Example: cube completion bash")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, options and the types that the evaluator knows.

    What to do with it is said on standard error where it is printed to a terminal.
    """
    complete, use = SHELLS[shell]
    click.echo(complete(context.find_root().command, {}, "cube", "_CUBE_COMPLETE").source())
    if sys.stdout.isatty():
        tell(f"To use it: {use}")
