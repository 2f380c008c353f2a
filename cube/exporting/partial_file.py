"""A file that is made in several goes: what is there already stands beside it until it is whole.

``FILE.part`` has the lines, and ``FILE.part.json`` the question and how far the lines go. FILE itself is what
it was until all is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import msgspec

from cube import files
from cube.errors import InvalidRequest
from cube.exporting.download import ExportQuestion, Reached


class ExportState(msgspec.Struct, frozen=True):
    """What is written beside a partial file; ``asked``: the question as it was given."""

    asked: dict[str, str]
    question: ExportQuestion
    reached: Reached


class PartialFile:
    """The lines of one export, and where it is.

    ``asked``: the question as it was given, by which one that was begun is known again; ``question``: the
    same with its times as instants, those of the first time where it was begun before.
    """

    def __init__(self, target: Path, asked: dict[str, str], question: ExportQuestion) -> None:
        self.part = target.with_name(f"{target.name}.part")
        self._state = target.with_name(f"{target.name}.part.json")
        self._asked = asked
        self.question = question
        self.reached = Reached()

    def open(self, *, restart: bool) -> BinaryIO:
        """Open the lines for going on behind those that count; raises `OSError`.

        Raises `InvalidRequest` where another question was begun, unless ``restart`` begins again.
        """
        checkpoint = None if restart else self._read()
        if checkpoint is not None and self._size() >= checkpoint.reached.bytes:
            if checkpoint.asked != self._asked:
                raise InvalidRequest(
                    f"{self.part} is of another export, {checkpoint.question.expression}; accepted are the"
                    " same question, to go on with it, and --restart, which begins again."
                )
            self.question, self.reached = checkpoint.question, checkpoint.reached
        lines = self.part.open("r+b" if self.part.exists() else "w+b")
        lines.truncate(self.reached.bytes)
        lines.seek(self.reached.bytes)
        return lines

    def note(self, lines: BinaryIO, reached: Reached) -> None:
        """Note how far the lines go, once they are there; raises `OSError`."""
        lines.flush()
        self.reached = reached
        files.write(self._state, msgspec.json.encode(ExportState(self._asked, self.question, reached)))

    def finish(self, made: Path, target: Path) -> None:
        """Put what was made of the lines in its place, and remove what is beside it; raises `OSError`."""
        made.replace(target)
        for path in (self._state, self.part):
            path.unlink(missing_ok=True)

    def _read(self) -> ExportState | None:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=ExportState)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0
