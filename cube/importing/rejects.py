"""The file of records that are no events, each with the reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from cube import files
from cube.errors import InvalidRequest
from cube.json_text import encode

Tell = Callable[[str], None]


class Rejects:
    """Takes records with what is wrong with them; ``count``: how many so far.

    The file is made with the first: JSON lines ``{"file", COUNTS: number, "reason", "record"}``, with the
    record as JSON where it is an object, else as text; ``cube import --records record`` reads
    mended ones.
    ``path``: None to write none. ``append``: go on with a file that is there.
    """

    def __init__(self, path: Path | None, tell: Tell, *, append: bool = False) -> None:
        self.count = 0
        self.path = path
        self._tell = tell
        self._mode = "ab" if append else "wb"
        self._file: BinaryIO | None = None

    def take(
        self, name: str, counts: str, number: int, content: bytes, reason: str, value: Any = None
    ) -> None:
        """Write a record down, at once: the process may be stopped. Raises `InvalidRequest`."""
        self.count += 1
        self._tell(f"{counts.capitalize()} {number} of {name}: {reason}")
        if self.path is None:
            return
        shown = value if value is not None else _value(content)
        line = encode({"file": name, counts: number, "reason": reason, "record": shown})
        try:
            if self._file is None:
                files.make_file(self.path)
                self._file = self.path.open(self._mode)  # type: ignore[assignment]  # a binary mode
            self._file.write(line + b"\n")  # type: ignore[union-attr]  # opened above
            self._file.flush()  # type: ignore[union-attr]  # the same
        except OSError as error:
            raise InvalidRequest(f"The file {self.path} cannot be written: {error.strerror}.") from None

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            with suppress(OSError):  # each line was flushed, and what failed was told
                self._file.close()


def _value(content: bytes) -> Any:
    """Return a record as it can be mended best: an object, else its text."""
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return content.decode(errors="replace")
