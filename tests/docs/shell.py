"""One bash for all commands of a page, so that they build on each other as for a reader."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import IO, cast

_END = "\x1e"  # the record separator: printed after each command


class Shell:
    """Runs commands one after the other in one bash, in a directory."""

    def __init__(self, directory: Path) -> None:
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        """Run one command and return what it printed, on either stream."""
        stdin, stdout = cast("IO[str]", self._bash.stdin), cast("IO[str]", self._bash.stdout)
        stdin.write(f"{command}\nprintf '{_END}'\n")
        stdin.flush()
        printed: list[str] = []
        while (character := stdout.read(1)) != _END:
            assert character, f"bash ended in {command!r}: {''.join(printed)}"
            printed.append(character)
        return "".join(printed)

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bash.communicate("exit\n", timeout=30)
