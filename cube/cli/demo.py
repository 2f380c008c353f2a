"""``cube demo``: a day of made-up web requests, then more of them as time goes by, to look at and to try."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit

import click

from cube.cli.cubism_page import Example, cubism_page
from cube.cli.demo_traffic import MINUTE, Made, traffic
from cube.cli.options import key_option
from cube.cli.serve import until_signal
from cube.client.connection import COLLECTOR_URL, EVALUATOR_URL, Retries
from cube.client.emitter import BATCH_EVENTS, Emitter
from cube.errors import InvalidSettings, Unavailable, shown
from cube.process.supervisor import Program, Supervisor, run_until
from cube.process.threads import run_in_thread

RATE = 2.0
"""Requests a second, in the mean of a day: those of the past, and live ones unless told otherwise."""

HOUR = 3_600_000
TELL_EVENTS = 20_000
"""After so many events it is told how far one is."""

_LIVE_SECONDS = 0.25  # between two batches of what has happened meanwhile
_PATIENT = Retries(attempts=8)  # most of a minute: a collector may be started again
_LOOK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Course:
    """What is sent: ``hours`` of the past, then live at ``rate`` a second, unless ``live`` is false."""

    hours: float
    rate: float
    seed: int
    live: bool

    def events(self, now: int) -> Iterator[Made]:
        """Yield events ascending by time: those before ``now``, and if live without end those to come."""
        minute_of_now = now - now % MINUTE
        start = now - round(self.hours * HOUR)
        made = traffic(self.seed, start, lambda minute: self.rate if minute >= minute_of_now else RATE)
        return made if self.live else takewhile(lambda event: event["time"] < now, made)


@click.command(epilog="Example: cube demo --hours 1 --no-live")
@click.option(
    "--collector",
    "--url",
    "url",
    envvar="CUBE_COLLECTOR",
    default=COLLECTOR_URL,
    show_default=True,
    help="The address of the collector; where none answers on this machine, one is started.",
)
@click.option(
    "--evaluator",
    envvar="CUBE_EVALUATOR",
    default=EVALUATOR_URL,
    show_default=True,
    help="The address of the evaluator, which has the page.",
)
@key_option
@click.option(
    "--hours", type=click.FloatRange(0, 8_784), default=24.0, show_default=True, help="Of the past."
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 5_000, min_open=True),
    default=RATE,
    show_default=True,
    help="Live requests a second in the mean of a day: nights have fewer.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Another one makes other requests.")
@click.option("--no-live", is_flag=True, help="Send the past only.")
@click.option(
    "--cubism",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve a page of charts by Cubism.js, which npm has installed in this directory.",
)
def demo(
    url: str,
    evaluator: str,
    key: str | None,
    hours: float,
    rate: float,
    seed: int,
    cubism: Path | None,
    *,
    no_live: bool,
) -> None:
    """Send a believable day of web requests, with a slow deploy and an outage, then live ones until Ctrl-C.

    Where no collector answers, `cube serve` is started on a temporary store, which is gone at the end.
    The events have ids: what is sent again is not stored twice.
    """
    course = Course(hours, rate, seed, live=not no_live)
    if cubism is not None:
        Example.of(cubism, evaluator)  # what is missing is said before anything is started
    run = _run(course, url, evaluator, key, cubism)
    asyncio.run(run_until(until_signal(), run, lambda: click.echo("Stopping.")))


async def _run(course: Course, url: str, evaluator: str, key: str | None, cubism: Path | None) -> None:
    async with AsyncExitStack() as stack:
        is_ours = not await run_in_thread(_answers, url)
        if is_ours:
            url, evaluator = await _start(stack, url, evaluator)
        if is_ours or await run_in_thread(_answers, evaluator):
            click.echo(f"Page       {evaluator.rstrip('/')}/")
        if cubism is not None:
            example = Example.of(cubism, evaluator.rstrip("/"))
            click.echo(f"Cubism     {stack.enter_context(cubism_page(example))}/")
        emitter = stack.enter_context(Emitter(url, key=key, retries=_PATIENT))
        await _send(course, emitter)
        if is_ours or cubism is not None:  # what was stored, or the page, would be gone at once
            click.echo("The temporary store is there until Ctrl-C." if is_ours else "Ctrl-C ends it.")
            await asyncio.Event().wait()


async def _send(course: Course, emitter: Emitter) -> None:
    """Send the past as fast as it is taken, then each event when its time has come."""
    began, told = _now(), Told()
    batch: list[Made] = []
    for event in course.events(began):
        wait = (event["time"] - _now()) / 1_000
        if len(batch) == BATCH_EVENTS or (wait > 0 and batch):
            told.stored(await run_in_thread(emitter.send, batch))
            batch = []
        if wait > 0:
            told.past(course)
            await asyncio.sleep(max(wait, _LIVE_SECONDS))
        batch.append(event)
    if batch:
        told.stored(await run_in_thread(emitter.send, batch))
    told.past(course)


class Told:
    """Tells how far one is while the past is sent."""

    def __init__(self) -> None:
        self._stored = 0
        self._is_past = False

    def stored(self, count: int) -> None:
        before, self._stored = self._stored, self._stored + count
        if not self._is_past and before // TELL_EVENTS != self._stored // TELL_EVENTS:
            click.echo(f"{self._stored} events stored …", err=True)

    def past(self, course: Course) -> None:
        """Tell, once, that all of the past is stored."""
        if self._is_past:
            return
        self._is_past = True
        live = (
            f" Live now, {course.rate:g} a second in the mean of a day: Ctrl-C ends it."
            if course.live
            else ""
        )
        hours = "1 hour" if course.hours == 1 else f"{course.hours:g} hours"
        click.echo(f"{self._stored} events of {hours} are stored.{live}")


async def _start(stack: AsyncExitStack, url: str, evaluator: str) -> tuple[str, str]:
    """Start ``cube serve`` where nothing answers; return the addresses of its daemons.

    Raises `Unavailable` for an address of another machine.
    """
    host, port = _host_and_port(url)
    if not _is_loopback(host):
        raise Unavailable(f"No collector answers at {url}, and one is started on this machine alone.")
    click.echo(f"No collector answers at {url}: one is started, on a temporary store.")
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cube-demo-")))
    ports = {"--collector-port": port, "--evaluator-port": _free(evaluator), "--udp-port": 0}
    flags = [word for flag, number in ports.items() for word in (flag, str(number))]
    store = ("--store", f"sqlite:{directory / 'store'}", "--spool", "", "--host", "127.0.0.1")
    program = Program("demo", "cube.cli.main", ("serve", *flags, *store), {})
    supervisor = await stack.enter_async_context(Supervisor(lambda sentence: click.echo(sentence, err=True)))
    addresses = await supervisor.start(program)
    return addresses["collector"], addresses["evaluator"]


def _answers(url: str) -> bool:
    """Tell whether something listens at an address. Blocks."""
    host, port = _host_and_port(url)
    try:
        with socket.create_connection((host, port), timeout=_LOOK_SECONDS):
            return True
    except OSError:
        return False


def _free(evaluator: str) -> int:
    """Return the port of an evaluator's address; 0, which is any, where something listens there."""
    host, port = _host_and_port(evaluator)
    return port if _is_loopback(host) and not _answers(evaluator) else 0


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidSettings(f"Got the address {shown(url)}; accepted is http://HOST:PORT or https://….")
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _now() -> int:
    return time.time_ns() // 1_000_000
