"""Where exports go: the options of commands for it, files, and standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from cube.errors import InvalidRequest, Unavailable
from cube.exporting.formats import BINARY, FORMATS

format_option = click.option(
    "--format",
    "format_name",
    type=click.Choice(FORMATS),
    help="json is JSON lines; unless given, what the name of the file says, else json.",
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="The file to make; standard output unless given.",
)


def is_file(output: Path) -> bool:
    """Tell whether an output can be made aside and put in its place: not - and not a device or a pipe."""
    return str(output) != "-" and (not output.exists() or output.is_file())


@contextmanager
def stream(output: Path | None, made: str) -> Iterator[BinaryIO]:
    """Open what is written as it comes; raises `InvalidRequest` for a binary format on a terminal."""
    if output is None or str(output) == "-":
        if made in BINARY and sys.stdout.isatty():
            raise InvalidRequest(f"Got {made} for a terminal; accepted are -o FILE and a pipe.")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with written(output), output.open("wb") as to:
        yield to


@contextmanager
def written(output: Path) -> Iterator[None]:
    """Raise `Unavailable` where a file cannot be written in this block."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unavailable(f"The file {output} cannot be written: {error.strerror}.") from None
