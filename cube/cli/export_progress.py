"""How far an export is, told on standard error."""

from __future__ import annotations

from typing import Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cube.client.evaluator import AnswerPage
from cube.exporting.download import ExportQuestion, Reached
from cube.model import instant


class _Timed(msgspec.Struct):
    time: str


class ExportProgress:
    """A bar on a terminal, by the times of the events between the first one's and the end; else nothing."""

    def __init__(self, question: ExportQuestion) -> None:
        self._stop = question.stop
        self._first: int | None = None
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.fields[events]:,} events"),
            BarColumn(),
            TextColumn("{task.fields[time]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, events=0, time="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, reached: Reached, page: AnswerPage) -> None:
        """Show how many events are there, and up to which time."""
        rows = page.rows
        if self._bar.disable or not rows:
            return
        first, last = (
            instant.parse(msgspec.json.decode(row, type=_Timed).time) for row in (rows[0], rows[-1])
        )
        self._first = first if self._first is None else self._first
        self._bar.update(
            self._task,
            total=max(1, self._stop - self._first),
            completed=last - self._first,
            events=reached.events,
            time=instant.format(last),
        )
