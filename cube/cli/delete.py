"""``cube delete``, of events by an expression, and ``cube revise``, after another tool has changed some."""

from __future__ import annotations

import getpass
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cube.cli.options import Place, check_type, environment_option, settings_options
from cube.cli.output import tell
from cube.errors import InvalidRequest, NotFound
from cube.model.relative import read_time

if TYPE_CHECKING:
    from cube.expression.nodes import EventExpression
    from cube.model.tier import Span
    from cube.store.deletion import Erasure
    from cube.store.ports import DeletedSlice, Store

_start_option = click.option("--start", help="From this time on (ISO 8601, -6h, now); ever unless given.")
_stop_option = click.option("--stop", help="Before this time; ever unless given.")


@click.command(epilog="Example: cube delete 'request.eq(user, \"u0001\")' --yes")
@click.argument("expression")
@_start_option
@_stop_option
@click.option(
    "--all", "whole", is_flag=True, help="All events of the type may be meant, or all since a time."
)
@click.option("--count", "is_count", is_flag=True, help="Count them only.")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@environment_option
@settings_options
def delete(
    expression: str,
    start: str | None,
    stop: str | None,
    environment: str,
    config: str | None,
    store: str | None,
    database: str | None,
    *,
    whole: bool,
    is_count: bool,
    yes: bool,
) -> None:
    """Delete the events that EXPRESSION selects, such as 'request.eq(user, "x")', for good.

    They are counted first, and deleted once that is confirmed; no answer shows them after that. After Ctrl-C
    or a fault the same command goes on.
    """
    from cube.expression import parse_event
    from cube.store.deletion import refuse_unbounded

    tree = parse_event(expression)
    first, last = _times(start, stop)
    refuse_unbounded(tree, first, last, whole=whole, accepted="--all")

    async def work(opened: Store) -> None:
        await _refuse_unknown(opened, tree.type)
        erasure = _erasure(opened, tree, _span(first, last))
        count = await _counted(erasure)
        if is_count or not count:
            click.echo(f"{_events_are(count)} selected.")
            if not count:
                await _tell_absent_fields(erasure)
        elif yes or _is_confirmed(count, erasure):
            await _delete(erasure, count)
        else:
            click.echo("Nothing is deleted.")

    Place.read(config, store, database).with_store(environment, work)


@click.command(epilog="Example: cube revise request")
@click.argument("type")
@_start_option
@_stop_option
@environment_option
@settings_options
def revise(
    type: str,
    start: str | None,
    stop: str | None,
    environment: str,
    config: str | None,
    store: str | None,
    database: str | None,
) -> None:
    """Have what is cached of TYPE computed again, once another tool has changed its events in the store.

    What Cube itself stores and deletes needs none of that.
    """
    check_type(type)
    first, last = _times(start, stop)

    async def work(opened: Store) -> None:
        await _refuse_unknown(opened, type)
        await opened.events.revise(type, _span(first, last))

    Place.read(config, store, database).with_store(environment, work)
    click.echo(f"What was cached of {type} is computed again when it is asked for.")


async def _delete(erasure: Erasure, count: int) -> None:
    deleted = 0
    await erasure.begin()
    columns = (TextColumn("Deleting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    screen = Console(stderr=True)
    try:
        with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:
            task = progress.add_task("", total=count)
            async for some in _slices(erasure, erasure.delete):
                deleted += some
                progress.update(task, completed=deleted)
    finally:
        tell(f"{erasure.told(deleted)}.")
    click.echo(f"{_events_are(deleted)} deleted.")


def _events_are(count: int) -> str:
    return f"{_events(count)} {'is' if count == 1 else 'are'}"


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"


async def _counted(erasure: Erasure) -> int:
    return sum([some async for some in _slices(erasure, erasure.count)])


async def _tell_absent_fields(erasure: Erasure) -> None:
    """Tell which fields no event has: whoever mistypes one must not believe that it is done."""
    for field, one in erasure.by_field():
        if not await _counted(one):
            type = erasure.expression.type
            tell(f"cube: No event of {type} in that time has the field {field}.")


async def _slices(erasure: Erasure, work: Callable[[int], Awaitable[DeletedSlice]]) -> AsyncIterator[int]:
    """Yield the number of events of each slice, to the end."""
    start: int | None = erasure.span.start
    while start is not None:
        done = await work(start)
        yield done.deleted
        start = done.following


def _is_confirmed(count: int, erasure: Erasure) -> bool:
    """Ask; raises `InvalidRequest` where nobody can answer."""
    if not _is_terminal():
        raise InvalidRequest(
            f"Got no confirmation to delete {_events(count)}; accepted is an answer on a terminal, or --yes."
        )
    return click.confirm(f"Delete {_events(count)}: {erasure.what}?")


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _erasure(store: Store, expression: EventExpression, span: Span) -> Erasure:
    from cube.store.deletion import Erasure

    by = f"{getpass.getuser()} at {socket.gethostname()} with cube delete"
    return Erasure(store, expression, span, by, _now)


async def _refuse_unknown(store: Store, type: str) -> None:
    async with store.events.read() as session:
        if type not in await session.types():
            raise NotFound(f"There are no events of the type {type}; `cube types` lists all types.")


def _times(start: str | None, stop: str | None) -> tuple[int | None, int | None]:
    given = {name: text for name, text in (("start", start), ("stop", stop)) if text is not None}
    now = _now()
    return read_time(given, "start", now), read_time(given, "stop", now)


def _span(start: int | None, stop: int | None) -> Span:
    from cube.model.tier import EVER, Span

    return Span(EVER.start if start is None else start, EVER.stop if stop is None else stop)


def _now() -> int:
    return time.time_ns() // 1_000_000
