"""``cube serve``: the collector and the evaluator on one machine, with one command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import click

from cube import files
from cube.cli.options import STORE, settings_options
from cube.errors import InvalidSettings
from cube.process.supervisor import Program, Supervisor, run_until
from cube.settings import CollectorSettings, EvaluatorSettings, load
from cube.store.url import StoreUrl, refuse_foreign

SPOOL = "data/spool"
ASK_SECONDS = 8.0
"""How long a daemon may take to say whether it is ready."""

PAUSE_SECONDS = 0.2

_ANSWER_BYTES = 10_000
_PORT = click.IntRange(0, 65_535)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve, and where.

    ``given``: the flags that both daemons get. All else comes from the settings file and the environment,
    which they read themselves: a command line is seen by others.
    """

    store: str
    spool: str
    given: tuple[str, ...]
    collector_port: int
    udp_port: int
    evaluator_port: int

    @classmethod
    def read(cls, flags: Mapping[str, str | None], collector_port: int, evaluator_port: int) -> Plan:
        """Put a plan together from the flags that were given; raises `InvalidSettings`."""
        words = _words(flags)
        defaults = {"store": STORE, "spool.directory": SPOOL}
        chosen = load(CollectorSettings, words, os.environ, defaults=defaults)
        refuse_foreign(chosen.store, chosen.foreign)
        common = {name: flags[name] for name in ("--config", "--database", "--host", "--insecure")}
        if flags["--store"] is not None or chosen.store == STORE:
            common["--store"] = chosen.store
        given, udp_port = _words(common), chosen.udp_port
        return cls(chosen.store, chosen.spool.directory, given, collector_port, udp_port, evaluator_port)

    @property
    def programs(self) -> tuple[Program, Program]:
        # Two of these by mistake, on stores of their own, would share what comes in.
        flags = (*self.given, "--reuse-port", "false")
        collector = (*flags, "--port", str(self.collector_port), "--udp-port", str(self.udp_port))
        collector += ("--spool-directory", self.spool)
        evaluator = (*flags, "--port", str(self.evaluator_port))
        return (
            Program("collector", "collector.main", collector, {"http": "--port", "udp": "--udp-port"}),
            Program("evaluator", "evaluator.main", evaluator, {"http": "--port"}),
        )


@click.command(epilog="Example: cube serve --store sqlite:data")
@settings_options
@click.option(
    "--spool",
    "spool_directory",
    help="Where events wait while a MongoDB is away; empty: nowhere, and they are refused."
    f"  [default: {SPOOL}]",
)
@click.option("--host", help="The address to listen on.")
@click.option("--insecure", is_flag=True, help="Listen where others reach it though there are no keys.")
@click.option(
    "--collector-port",
    type=_PORT,
    default=CollectorSettings().port,
    show_default=True,
    help="0 is any free one.",
)
@click.option("--udp-port", help=f"[default: {CollectorSettings().udp_port}]")
@click.option("--evaluator-port", type=_PORT, default=EvaluatorSettings().port, show_default=True)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write the addresses to, as JSON, once both are ready.",
)
def serve(
    collector_port: int,
    evaluator_port: int,
    ready_file: Path | None,
    *,
    insecure: bool,
    **given: str | None,
) -> None:
    """Run a collector and an evaluator until Ctrl-C.

    Each is a process of its own, started again if it dies. Every other setting of theirs comes from the
    file, or from the environment: CUBE_ and its key (see config/). The port of each is the flag's.
    """
    flags = {f"--{name.replace('_', '-')}": text for name, text in given.items()}
    flags["--insecure"] = "true" if insecure else None
    plan = Plan.read(flags, collector_port, evaluator_port)
    StoreUrl.parse(plan.store)
    if ready_file is not None:
        with _ready(ready_file):
            files.remove(ready_file)  # whoever waits for it must not find an old one
    asyncio.run(run_until(until_signal(), _run(plan, ready_file), lambda: click.echo("Stopping.")))


def _words(flags: Mapping[str, str | None]) -> tuple[str, ...]:
    return tuple(f"{flag}={value}" for flag, value in flags.items() if value is not None)


async def _run(plan: Plan, ready_file: Path | None) -> None:
    """Start the daemons and keep them running; however this ends, they have ended before."""
    async with Supervisor(_tell) as supervisor:
        # One after the other: the store is made once, and refused once.
        collector, evaluator = [await supervisor.start(program) for program in plan.programs]
        addresses = {
            "collector": collector["http"],
            "evaluator": evaluator["http"],
            "udp": collector.get("udp", "none: keys are needed"),
            "store": StoreUrl.shown(plan.store),
        }
        await asyncio.gather(*(_until_ready(name, addresses[name]) for name in ("collector", "evaluator")))
        click.echo(f"Collector  {addresses['collector']}  and UDP {addresses['udp']}")
        click.echo(f"Evaluator  {addresses['evaluator']}")
        click.echo(f"Store      {addresses['store']}")
        click.echo("Ctrl-C stops both.")
        if ready_file is not None:
            with _ready(ready_file):
                files.write(ready_file, json.dumps(addresses).encode() + b"\n")
        await supervisor.keep()


async def _until_ready(name: str, url: str) -> None:
    """Return once a daemon is ready; tell why it is not, once for each reason.

    One that does not answer is started again by whoever keeps it, and asked again.
    """
    told = ""
    while (reason := await asyncio.to_thread(_reason, url)) is not None:
        if reason != told:
            told = reason
            _tell(f"The {name} is not ready: {reason}")
        await asyncio.sleep(PAUSE_SECONDS)


def _reason(url: str) -> str | None:
    """Ask a daemon; return why it is not ready, None if it is. Blocks."""
    connection = _connection(url)
    try:
        connection.request("GET", "/readyz", headers={"Connection": "close", "Host": "localhost"})
        answer = connection.getresponse()
        if answer.status == HTTPStatus.OK:
            return None
        return str(json.loads(answer.read(_ANSWER_BYTES))["error"])
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        return f"it does not answer ({type(error).__name__})."
    finally:
        connection.close()


def _connection(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return HTTPConnection(host, port, timeout=ASK_SECONDS)
    context = ssl.create_default_context()
    context.check_hostname = False  # it is our own child, whatever names its certificate has
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=ASK_SECONDS, context=context)


@contextmanager
def _ready(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidSettings(f"The ready file {file} cannot be written: {error.strerror}.") from None


async def until_signal() -> None:
    """Return when the process is told to stop, by Ctrl-C or otherwise."""
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def _tell(sentence: str) -> None:
    click.echo(sentence, err=True)
