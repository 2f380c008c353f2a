"""``cube put``: events from JSON lines, as often as it takes, each stored once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import click

from cube import files
from cube.cli.options import collector_option, key_option
from cube.cli.output import INTERRUPTED
from cube.cli.upload import InputLine, Progress, Skipped, StoppedAt, Uploader, read_lines, unwritable
from cube.client.emitter import Emitter
from cube.errors import CubeError, InvalidEvent, InvalidRequest
from cube.model.event import left_out

SHOWN_LINES = 10
"""So many bad lines are told one by one; of more only the number is."""

_MAX_KEYS = 100  # unknown ones that are looked at


@click.command(epilog="Example: cube put events.jsonl")
@collector_option
@key_option
@click.option(
    "--skip-bad",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the lines that cannot be stored to this file, which is overwritten, and go on.",
)
@click.option("--check", is_flag=True, help="Store nothing and ask nobody; tell the bad lines.")
@click.argument("file", type=click.File("rb"))
def put(collector: str, key: str | None, skip_bad: Path | None, file: BinaryIO, *, check: bool) -> None:
    """Store the events of FILE (- is standard input), one JSON object on each line.

    Run it again after an error or Ctrl-C: an event without an id gets one that follows from its line and
    the number of that, so that nothing is stored twice (but events from a pipe that have no time either).
    A bad line ends it; all before that are stored. Keys that are not stored are told where they are nearly
    an event's (timestamp, Data).
    """
    if check:
        _check(file)
    with ExitStack() as stack:
        skipped = (
            None if skip_bad is None else Skipped(stack.enter_context(_recreated(skip_bad, file)), _warn)
        )
        # What a collector would warn of `_with_warnings` tells, with the line.
        emitter = stack.enter_context(Emitter(collector, key=key, warn=lambda _: None))
        uploader = Uploader(emitter.send, skipped, Progress(sys.stderr, time.monotonic))
        _upload(uploader, _with_warnings(read_lines(file)))
    click.echo(f"{_events(uploader.stored)} stored.")
    if skipped is not None and skipped.lines:
        lines = f"{skipped.lines} line{'' if skipped.lines == 1 else 's'}"
        raise InvalidRequest(f"{lines} could not be stored; {skip_bad} has them.")


def _upload(uploader: Uploader, lines: Iterator[InputLine]) -> None:
    try:
        uploader.put(lines)
    except KeyboardInterrupt:
        click.echo(f"\ncube: Interrupted. {_told(uploader)}", err=True)
        raise SystemExit(INTERRUPTED) from None
    except StoppedAt as stopped:
        raise InvalidEvent(
            f"Line {stopped.line.number}: {stopped.reason} {_events(uploader.stored)} before it"
            f" {_are(uploader.stored)} stored, and none after it: mend the line, or leave it empty, and run"
            f" the same command again; {_again(uploader)}."
        ) from None
    except CubeError as error:
        error.message = f"{error.message} {_told(uploader)}"
        raise


def _told(uploader: Uploader) -> str:
    """Say what is stored, and where to go on."""
    if not uploader.stored:
        return "Nothing is known to be stored; run the same command again."
    return (
        f"{_events(uploader.stored)} {_are(uploader.stored)} stored, up to line {uploader.line}; run the same"
        f" command again to go on: {_again(uploader)}."
    )


def _again(uploader: Uploader) -> str:
    """Say what another run does with what is stored."""
    if not uploader.random_ids:
        return "nothing is stored twice"
    return (
        f"{_events(uploader.random_ids)} that had neither id nor time and came through a pipe would be stored"
        " again, all others not"
    )


def _check(file: BinaryIO) -> None:
    """Tell all bad lines, and end: with status 2 where there is one."""
    good = bad = 0
    for line in _with_warnings(read_lines(file)):
        good += line.error is None
        if line.error is not None:
            bad += 1
            if bad <= SHOWN_LINES:
                click.echo(f"Line {line.number}: {line.error}")
    if bad > SHOWN_LINES:
        click.echo(f"… and {bad - SHOWN_LINES} more.")
    click.echo(f"{_events(good)} could be stored, {bad} line{'' if bad == 1 else 's'} could not.")
    raise SystemExit(2 if bad else 0)


def _with_warnings(lines: Iterator[InputLine]) -> Iterator[InputLine]:
    """Yield lines; tell where a key that is not stored is nearly one of an event's, once for each key."""
    seen: set[str] = set()
    for line in lines:
        for key in line.unknown:
            if key in seen or len(seen) >= _MAX_KEYS:
                continue
            seen.add(key)
            sentence = left_out(key, 1)
            if sentence is not None:
                click.echo(f"cube: Line {line.number}: {sentence}", err=True)
        yield line


@contextmanager
def _recreated(path: Path, file: BinaryIO) -> Iterator[BinaryIO]:
    if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
        raise InvalidRequest(f"Got {path} as FILE and for --skip-bad; accepted are two files.")
    try:
        files.make_file(path)  # not `write`, which would put a file in the place of a device
        opened = path.open("wb")
    except OSError as error:
        raise unwritable(str(path), error) from None
    try:
        yield opened
    finally:
        with suppress(OSError):  # each line was flushed, and what failed was told
            opened.close()


def _warn(number: int, line: InputLine, reason: str) -> None:
    """Tell a line that is skipped, the first ones of many."""
    if number <= SHOWN_LINES:
        click.echo(f"cube: Line {line.number} is skipped: {reason}", err=True)
    elif number == SHOWN_LINES + 1:
        click.echo("cube: … further lines are skipped.", err=True)


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
