"""``cube serve``: the collector and the evaluator on one machine, with one command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from cube.cli.supervisor import Child, Program
from cube.store.url import StoreUrl

_PORT = click.IntRange(0, 65_535)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve, and where; None leaves it to the daemons' own settings."""

    store: str
    spool: str
    database: str | None
    host: str | None
    collector_port: int
    udp_port: int
    evaluator_port: int

    @property
    def programs(self) -> tuple[Program, Program]:
        """The collector and the evaluator."""
        given = {"--store": self.store, "--database": self.database, "--host": self.host}
        flags = tuple(word for flag, value in given.items() if value is not None for word in (flag, value))
        # Two of these by mistake, on stores of their own, would share what comes in.
        flags += ("--reuse-port", "false")
        collector = (*flags, "--port", str(self.collector_port), "--udp-port", str(self.udp_port))
        collector += ("--spool-directory", self.spool)
        return (
            Program("collector", "collector.main", collector, {"http": "--port", "udp": "--udp-port"}),
            Program(
                "evaluator",
                "evaluator.main",
                (*flags, "--port", str(self.evaluator_port)),
                {"http": "--port"},
            ),
        )


@click.command()
@click.option(
    "--store",
    envvar="CUBE_STORE",
    default="sqlite:data",
    show_default=True,
    help="Where the events are: sqlite:DIRECTORY or mongodb://HOST:PORT.",
)
@click.option(
    "--spool",
    envvar="CUBE_SPOOL_DIRECTORY",
    default="data/spool",
    show_default=True,
    help="Where events wait while a MongoDB is away; empty: nowhere, and they are refused.",
)
@click.option("--database", help="The name of the database in the store.")
@click.option("--host", help="The address to listen on.")
@click.option("--collector-port", type=_PORT, default=1080, show_default=True, help="0 is any free one.")
@click.option("--udp-port", type=_PORT, envvar="CUBE_UDP_PORT", default=1180, show_default=True)
@click.option("--evaluator-port", type=_PORT, default=1081, show_default=True)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write the addresses to, as JSON, once both listen.",
)
def serve(ready_file: Path | None, **options: str | int | None) -> None:
    """Run a collector and an evaluator until Ctrl-C.

    Each is a process of its own, started again if it dies. Every other setting of theirs comes from
    the environment: CUBE_ and its key (see config/).
    """
    plan = Plan(**options)  # type: ignore[arg-type]  # click has checked them
    StoreUrl.parse(plan.store)
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)  # whoever waits for it must not find an old one
    asyncio.run(_serve(plan, ready_file))


async def _serve(plan: Plan, ready_file: Path | None) -> None:
    stopped = asyncio.create_task(_until_signal())
    work = asyncio.create_task(_run(plan, ready_file))
    await asyncio.wait({stopped, work}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not work.done():
        click.echo("Stopping.")
        work.cancel()
    await asyncio.wait({work})
    if not work.cancelled():
        work.result()


async def _run(plan: Plan, ready_file: Path | None) -> None:
    """Start the children and keep them; however this ends, they have ended before."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="cube-"))
        children = [Child(program, Path(directory)) for program in plan.programs]
        stack.push_async_callback(_stop, children)
        # One after the other: the store is made once, and refused once.
        collector, evaluator = [await child.start() for child in children]
        addresses = {
            "collector": collector["http"],
            "evaluator": evaluator["http"],
            "udp": collector.get("udp", "none: keys are needed"),
            "store": StoreUrl.shown(plan.store),
        }
        _announce(addresses)
        if ready_file is not None:
            _write(ready_file, addresses)
        await asyncio.gather(*(child.keep() for child in children))


async def _stop(children: list[Child]) -> None:
    # Shielded: a second Ctrl-C must not leave a child behind.
    await asyncio.shield(asyncio.gather(*(child.stop() for child in children)))


async def _until_signal() -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def _announce(addresses: dict[str, str]) -> None:
    click.echo(f"Collector  {addresses['collector']}  and UDP {addresses['udp']}")
    click.echo(f"Evaluator  {addresses['evaluator']}")
    click.echo(f"Store      {addresses['store']}")
    click.echo("Ctrl-C stops both.")


def _write(path: Path, addresses: dict[str, str]) -> None:
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    aside.write_text(json.dumps(addresses) + "\n")
    aside.replace(path)
