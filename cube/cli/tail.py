"""``cube tail``: events as they come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

import click
import msgspec

from cube.backoff import Backoff
from cube.cli.event_expression import refuse_metric, with_data
from cube.cli.event_stream import StreamedEvent, streamed, type_of
from cube.cli.options import evaluator_options
from cube.cli.output import INTERRUPTED, is_table, json_option, tell, warn
from cube.cli.spans import TIME_HELP
from cube.cli.tail_lines import TailLines
from cube.cli.tail_place import TailPlace
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator
from cube.client.stream_place import MOST_ROWS
from cube.errors import NotFound, Unavailable
from cube.model import duration, instant
from cube.model.event import ABSENT

BEFORE: Final = 10
"""Events that were there already which are shown first, of each expression."""

DELAY: Final = "1s"
"""How long an event is waited for that may still come before another."""

LEARNT: Final = 50
"""So many events of the past decide which columns there are."""

AGAIN_SECONDS: Final = 0.5
"""The first pause before a lost connection is made anew; they double."""


@click.command(epilog="Example: cube tail 'request(path, status).ge(status, 400)' --count 5")
@evaluator_options
@json_option
@click.option("--start", help=f"Also those that are there already, from: {TIME_HELP}")
@click.option("--limit", type=click.IntRange(0), default=BEFORE, show_default=True, help="At most so many.")
@click.option(
    "--delay", default=DELAY, show_default=True, help="How long to wait for events that may come in between."
)
@click.option("--count", type=click.IntRange(1), help="End after so many events.")
@click.argument("expressions", nargs=-1)
def tail(
    url: str,
    key: str | None,
    expressions: tuple[str, ...],
    start: str | None,
    limit: int,
    delay: str,
    count: int | None,
    *,
    as_json: bool,
) -> None:
    """Show the events that EXPRESSIONS select as they come, until Ctrl-C; without any, those of all types.

    Lines with the fields as columns on a terminal, JSON lines otherwise. Without fields in EXPRESSION all
    data are shown. An event that is replaced comes again. Where the connection is lost another is made, and
    what came meanwhile is shown, all of it, but for what is more than ten minutes late.
    """
    wait = duration.parse(delay) if delay != "0" else 0
    with Evaluator(url, key=key, retries=NO_RETRIES, warn=_told_once) as evaluator:
        asked = expressions or tuple(f"{type}(*)" for type in evaluator.types())
        if not asked:
            raise NotFound("There are no events of any type yet; `cube demo` sends some.")
        for expression in asked:
            for sentence in refuse_metric(evaluator, expression):
                warn(sentence)
        asked = tuple(with_data(expression)[1] for expression in asked)
        lines = TailLines(has_types=len(asked) > 1) if is_table(as_json=as_json) else None
        if lines is not None:
            for expression in asked:
                known = evaluator.events(expression, limit=LEARNT)
                lines.learn(type_of(expression), (found.data for found in known))
    since = start or ("now" if limit == 0 else None)
    request = {"limit": max(limit, 1), "delay": wait, **({} if since is None else {"start": since})}
    try:
        shown = _Shown(TailPlace(asked, time.time_ns() // 1_000_000), lines, count)
        _follow(url, key, asked, request, shown)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _told_once(_: str) -> None:
    """Leave out what `refuse_metric` has told of an expression."""


class _Shown:
    """Prints events until there are ``count``."""

    def __init__(self, place: TailPlace, lines: TailLines | None, count: int | None) -> None:
        self.place = place
        self.any = False
        self._lines = lines
        self._left = count

    @property
    def is_done(self) -> bool:
        return self._left == 0

    def show(self, found: StreamedEvent) -> None:
        """Print an event."""
        _print(found, self._lines)
        self.any = True
        if self._left is not None:
            self._left -= 1


def _follow(
    url: str, key: str | None, expressions: Sequence[str], request: dict[str, Any], shown: _Shown
) -> None:
    """Print events; where the connection is lost, make it again, and print all that came meanwhile."""
    backoff, attempt, requests = Backoff(AGAIN_SECONDS), 0, [request] * len(expressions)
    while True:
        try:
            if attempt:
                _catch_up(url, key, shown)
            shown.any = False
            if not shown.is_done:
                asyncio.run(_stream(url, key, expressions, requests, shown))
        except Unavailable as error:
            tell(f"cube: {error.message} Trying again.")
        if shown.is_done:
            return
        attempt = 0 if shown.any else attempt
        time.sleep(backoff.pause(attempt))
        attempt += 1
        requests = [{**request, "start": start, "limit": MOST_ROWS} for start in shown.place.starts]


def _catch_up(url: str, key: str | None, shown: _Shown) -> None:
    with Evaluator(url, key=key, retries=NO_RETRIES, warn=_told_once) as evaluator:
        for found in shown.place.missed(evaluator):
            shown.show(found)
            if shown.is_done:
                return
    shown.place.resume()


async def _stream(
    url: str,
    key: str | None,
    expressions: Sequence[str],
    requests: Sequence[dict[str, Any]],
    shown: _Shown,
) -> None:
    async with aclosing(streamed(url, expressions, requests, key=key)) as events:
        async for found in events:
            if shown.place.is_new(found):
                shown.show(found)
                if shown.is_done:
                    return


def _print(found: StreamedEvent, lines: TailLines | None) -> None:
    if lines is not None:
        lines.print(found)
        return
    row = {"type": found.type, **({} if found.id is None else {"id": found.id})}
    row["time"] = instant.format(found.time)
    click.echo(msgspec.json.encode(row if found.data is ABSENT else {**row, "data": found.data}))
