"""How far an import is: a bar with the rate and the time left on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cube.cli.output import tell

if TYPE_CHECKING:
    from cube.importing.job import ImportCounts, ImportSource

LINE_SECONDS = 10.0


class ImportProgress(Protocol):
    """What is told how far an import is."""

    def update(self, file: ImportSource, counts: ImportCounts) -> None:
        """Tell which file is read, and what has become of records."""
        ...

    def tell(self, sentence: str) -> None:
        """Print a sentence to standard error."""
        ...


@contextmanager
def progress(names: Sequence[str]) -> Iterator[ImportProgress]:
    """Show progress through some files until the block ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    total = 0
    with suppress(OSError):  # a file that is gone is told when it is its turn
        total = sum(path.stat().st_size for path in map(Path, names) if path.is_file())
    bar = _Bar(total or None)
    with bar.shown:
        yield bar


class _Lines:
    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def update(self, file: ImportSource, counts: ImportCounts) -> None:
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            rate = counts.stored / (now - self._began)
            part = f", {file.place() / file.size:.0%} of {file.name}" if file.size else ""
            tell(f"{counts.stored} events stored ({rate:,.0f}/s){part} …")

    def tell(self, sentence: str) -> None:
        tell(sentence)


class _Bar:
    def __init__(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self.shown = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[events]:,} events, {task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self.shown.add_task("", total=total, events=0, rate=0.0)
        self._began = time.monotonic()
        self._read: dict[str, int] = {}

    def update(self, file: ImportSource, counts: ImportCounts) -> None:
        self._read[file.name] = file.place()
        self.shown.update(
            self._task,
            completed=sum(self._read.values()),
            description=file.name,
            events=counts.stored,
            rate=counts.stored / max(time.monotonic() - self._began, 0.001),
        )

    def tell(self, sentence: str) -> None:
        self.shown.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
