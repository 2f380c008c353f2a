"""Which span and step a command asks about where nobody says: the last hours, in as many rows as fit."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click

from cube.cli.output import Warnings, console, tell
from cube.model import duration, relative

HOURS_MS: Final = 6 * duration.UNITS["h"]
"""What is shown where nobody says: at least so much, and as much more as there are rows for."""

PIPED_ROWS: Final = 24
"""Rows where there is no screen."""

STEPS: Final = (
    "1s",
    "10s",
    "30s",
    "1m",
    "5m",
    "10m",
    "15m",
    "30m",
    "1h",
    "2h",
    "3h",
    "6h",
    "12h",
    "1d",
    "1w",
)
"""Steps that are chosen from; the longest for all that is longer."""

OPEN_LEFT_OUT: Final = "The bucket that goes on is left out; --stop now shows it."
"""What is told of values that end with the last bucket that is over."""

TIME_HELP: Final = "ISO 8601, or relative to now: -6h, now, now-1d."


def span_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--start``, ``--stop`` and ``--limit``."""
    command = click.option("--limit", type=int, help="How many at most; the latest are shown.")(command)
    command = click.option("--stop", help=f"Up to and without: {TIME_HELP}")(command)
    return click.option("--start", help=f"From: {TIME_HELP}")(command)


def grid_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--step``, ``--timezone`` and ``--week-start``."""
    for name, text in (
        ("--week-start", "The weekday on which weeks begin; monday if not given."),
        ("--timezone", "By whose clocks buckets begin: Europe/Berlin; UTC if not given."),
        ("--step", "A bucket: 5m, 2h, 1d, 1w, month, or milliseconds; what fits the screen if not given."),
    ):
        command = click.option(name, help=text)(command)
    return command


def tell_of_open_bucket(stop: str | None, told: Warnings, *, has_rows: bool) -> None:
    """Say that the bucket that goes on is left out, as it is where no ``stop`` was asked for.

    ``told``: what the evaluator says of the answer; of one without rows that is why there are none.
    """
    if stop is None and (has_rows or not told.any):
        tell(OPEN_LEFT_OUT)


def screen_rows(above_and_below: int = 4) -> int:
    """Return how many rows a table may have without scrolling; `PIPED_ROWS` where there is no screen."""
    screen = console()
    return max(5, screen.height - above_and_below) if screen.is_terminal else PIPED_ROWS


@dataclass(frozen=True, slots=True)
class AskedSpan:
    """The parameters of a question for metrics, as the command line has them; None: not given."""

    start: str | None = None
    stop: str | None = None
    step: str | None = None
    limit: int | None = None

    def fitted(self, rows: int, now: int | None = None) -> dict[str, str | int]:
        """Return them with what is not given chosen so that there are about so many buckets, at most.

        ``now``: milliseconds since 1970; of this machine's clock where it is not given. Raises
        `InvalidRequest` for a time that cannot be read.
        """
        found: dict[str, str | int] = {
            name: value for name in self.__slots__ if (value := getattr(self, name)) is not None
        }
        count = rows if self.limit is None else self.limit
        if self.start is None:
            return {"limit": count, "step": step_for(HOURS_MS, count), **found}
        if self.step is not None:
            return found
        now = time.time_ns() // 1_000_000 if now is None else now
        start, stop = relative.parse(self.start, now), relative.parse(self.stop or "now", now)
        return {**found, "step": step_for(stop - start, count)}


def step_for(length: int, count: int) -> str:
    """Return the shortest of `STEPS` of which so many make a length, in milliseconds."""
    return next((step for step in STEPS if duration.parse(step) * count >= length), STEPS[-1])
