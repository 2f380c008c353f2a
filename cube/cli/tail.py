"""``cube tail``: events as they come."""

from __future__ import annotations

import asyncio
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
from cube.client.connection import NO_RETRIES
from cube.client.evaluator import Evaluator
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
    data are shown. An event that is replaced comes again. Where the connection is lost another is made.
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
        asyncio.run(_follow(url, key, asked, request, lines, count))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _told_once(_: str) -> None:
    """Leave out what `refuse_metric` has told of an expression."""


async def _follow(
    url: str,
    key: str | None,
    expressions: Sequence[str],
    request: dict[str, Any],
    lines: TailLines | None,
    count: int | None,
) -> None:
    """Print events until there are ``count``; a connection that is lost is made again, for what is new."""
    backoff, attempt, newest = Backoff(AGAIN_SECONDS), 0, None
    while True:
        try:
            async with aclosing(streamed(url, expressions, request, key=key)) as events:
                async for found in events:
                    _print(found, lines)
                    attempt, newest = 0, max(newest or found.time, found.time)
                    if count is not None and (count := count - 1) == 0:
                        return
        except Unavailable as error:
            if newest is None and attempt == 0:
                raise
            tell(f"cube: {error.message} Trying again.")
        await asyncio.sleep(backoff.pause(attempt))
        attempt += 1
        if newest is not None:
            request = {**request, "start": newest + 1, "limit": 10_000}


def _print(found: StreamedEvent, lines: TailLines | None) -> None:
    if lines is not None:
        lines.print(found)
        return
    row = {"type": found.type, **({} if found.id is None else {"id": found.id})}
    row["time"] = instant.format(found.time)
    click.echo(msgspec.json.encode(row if found.data is ABSENT else {**row, "data": found.data}))
