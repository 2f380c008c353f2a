"""``cube put``: events from JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import click
import msgspec

from cube.cli.key_option import key_option
from cube.client.emitter import Emitter
from cube.client.exchange import COLLECTOR_URL
from cube.errors import CubeError, InvalidEvent


@click.command()
@click.option(
    "--collector",
    envvar="CUBE_COLLECTOR",
    default=COLLECTOR_URL,
    show_default=True,
    help="The address of the collector.",
)
@key_option
@click.argument("file", type=click.File("rb"))
def put(collector: str, key: str | None, file: BinaryIO) -> None:
    """Store the events of FILE (- is standard input), one JSON object on each line.

    Ends when all are stored. An event without an id gets one here, so that repeating a batch whose
    answer was lost stores nothing twice.
    """
    lines = Lines(file)
    try:
        with Emitter(collector, key=key) as emitter:
            stored = emitter.send(lines)
    except InvalidEvent as error:
        raise lines.named(error) from None
    click.echo(f"{stored} event{'' if stored == 1 else 's'} stored.")


class Lines:
    """The events of a file of JSON lines; blank lines are passed over."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._numbers: list[int] = []  # of each event's line, from 1

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number, line in enumerate(self._file, 1):
            if line.strip():
                self._numbers.append(number)
                yield self._event(line)

    def named(self, error: InvalidEvent) -> CubeError:
        """Return the error with the line of the event that it is about."""
        index = error.details.get("index")
        if not isinstance(index, int):
            return error
        return InvalidEvent(f"Line {self._numbers[index]}: {error.message}", **error.details)

    def _event(self, line: bytes) -> dict[str, Any]:
        index = len(self._numbers) - 1
        try:
            return msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.ValidationError:
            raise InvalidEvent("Got no JSON object; accepted is {type, time?, id?, data?}.").at(
                index
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidEvent(f"The line is no JSON: {error}.").at(index) from None
