"""Options that commands share, and the database of those that open it themselves.

The stores are imported when they are opened, so that other commands start without them and numpy.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import click

from cube.client.connection import COLLECTOR_URL, EVALUATOR_URL, KEY_VARIABLE, NO_RETRIES
from cube.errors import CubeError, InvalidRequest, NotFound, shown
from cube.model.environment import DEFAULT, Environment, Key
from cube.model.event import is_type
from cube.settings import DaemonSettings, EvaluatorSettings, environments_of, load
from cube.store.url import StoreUrl, refuse_foreign

if TYPE_CHECKING:
    from cube.store.equality import FieldIndexes
    from cube.store.ports import Store
    from cube.store.record_ports import KeyStore

T = TypeVar("T")

Command: TypeAlias = Callable[..., None]

STORE = "sqlite:data"
"""The store of commands that are not told of one."""

COMPLETION_SECONDS = 1.0
"""A shell waits no longer for words."""

_STORE = "Where the events are: sqlite:DIRECTORY or mongodb://HOST:PORT."
_DATABASE = "The name of the database in the store."

_shown_default = partial(click.option, show_default=True)
key_option = click.option(
    "--key", envvar=KEY_VARIABLE, help=f"An API key; better given as {KEY_VARIABLE}: others see commands."
)
collector_option = _shown_default(
    "--collector", envvar="CUBE_COLLECTOR", default=COLLECTOR_URL, help="The address of the collector."
)
store_option = _shown_default("--store", envvar="CUBE_STORE", default=STORE, help=_STORE)
database_option = _shown_default(
    "--database", envvar="CUBE_DATABASE", default=DaemonSettings().database, help=_DATABASE
)
environment_option = _shown_default("--environment", default=DEFAULT, help="The environment that it is for.")


def evaluator_options(command: Command) -> Command:
    """Add ``--evaluator`` and ``--key``."""
    address = "The address of the evaluator."
    evaluator = _shown_default(
        "--evaluator", "url", envvar="CUBE_EVALUATOR", default=EVALUATOR_URL, help=address
    )
    return evaluator(key_option(command))


def settings_options(command: Command) -> Command:
    """Add ``--config``, ``--store`` and ``--database``: whose defaults may stand in a settings file."""
    for name, text in (
        ("--database", f"{_DATABASE}  [default: {DaemonSettings().database}]"),
        ("--store", f"{_STORE}  [default: {STORE}]"),
        ("--config", "The settings file of either daemon or both; CUBE_CONFIG names it, too."),
    ):
        command = click.option(name, help=text)(command)
    return command


def complete_types(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """Return the types that a word on a command line may become; none where no evaluator answers at once."""
    from cube.client.evaluator import Evaluator

    url = context.params.get("url") or os.environ.get("CUBE_EVALUATOR", EVALUATOR_URL)
    key = context.params.get("key") or os.environ.get(KEY_VARIABLE)
    try:
        with Evaluator(url, key=key, retries=NO_RETRIES, timeout_seconds=COMPLETION_SECONDS) as evaluator:
            return [type for type in evaluator.types() if type.startswith(begun)]
    except CubeError:
        return []


def check_type(type: str) -> None:
    """Raise `InvalidRequest` for what is not a type."""
    if not is_type(type):
        raise InvalidRequest(f"Got the type {shown(type)}; accepted is [a-z_][a-zA-Z0-9_]*.")


@dataclass(frozen=True, slots=True)
class Place:
    """A store, the database of its keys, and the environments and keys that are configured."""

    store: str
    database: str
    environments: tuple[Environment, ...]
    keys: tuple[Key, ...] = ()

    @classmethod
    def read(cls, config: str | None, store: str | None, database: str | None) -> Place:
        """Find out from flags, the environment and a settings file; raises `InvalidSettings`."""
        given = {"--config": config, "--store": store, "--database": database}
        words = [f"{flag}={value}" for flag, value in given.items() if value is not None]
        heeded = ("CUBE_CONFIG", "CUBE_STORE", "CUBE_DATABASE")
        environ = {name: os.environ[name] for name in heeded if name in os.environ}
        settings = load(EvaluatorSettings, words, environ, defaults={"store": STORE})
        refuse_foreign(settings.store, settings.foreign)
        return cls(settings.store, settings.database, environments_of(settings), settings.keys)

    def environment(self, name: str) -> Environment:
        """Return one of the environments; raises `InvalidRequest`."""
        for environment in self.environments:
            if environment.name == name:
                return environment
        raise InvalidRequest(
            f"Got the environment {shown(name)}, which is not configured; accepted is"
            f" {' or '.join(one.name for one in self.environments)}, or one of a settings file that --config"
            " names."
        )

    def with_keys(self, work: Callable[[KeyStore], Awaitable[T]], *, create: bool = False) -> T:
        """Do some work on the keys; ``create``: in a database that need not be there yet.

        Raises `NotFound`.
        """
        return asyncio.run(self._with_keys(work, create))

    def with_store(self, environment: str, work: Callable[[Store], Awaitable[T]]) -> T:
        """Do some work on the store of an environment; raises `NotFound` where it has no database yet."""
        return asyncio.run(self._with_store(self.environment(environment), work))

    def with_indexes(self, environment: str, work: Callable[[FieldIndexes], Awaitable[T]]) -> T:
        """Do some work on the indexes of an environment; raises `NotFound` as `with_store` does."""
        return self.with_store(environment, lambda store: work(store.field_indexes))

    def check(self) -> None:
        """Raise `NotFound` where no daemon has made a database of the store yet; nothing is made."""
        asyncio.run(self._check([environment.database for environment in self.environments]))

    async def _check(self, databases: Sequence[str]) -> None:
        from cube.store.factory import is_there

        if not await is_there(self.store, self.database, databases):
            raise NotFound(
                f"There is no database {' or '.join(databases)} in the store {StoreUrl.shown(self.store)};"
                " accepted is one that a daemon has made."
            )

    async def _with_store(self, environment: Environment, work: Callable[[Store], Awaitable[T]]) -> T:
        from cube.store.factory import opened

        await self._check([environment.database])
        async with opened(self.store, (environment,), self.database) as databases:
            return await work(databases.stores[environment.name])

    async def _with_keys(self, work: Callable[[KeyStore], Awaitable[T]], create: bool) -> T:
        from cube.store.factory import is_there, opened_keys

        databases = [environment.database for environment in self.environments]
        if not create and not await is_there(self.store, self.database, databases):
            raise NotFound(
                f"There is no database {self.database} in the store {StoreUrl.shown(self.store)}; accepted is"
                " one that a daemon has made, or `cube keys add --create` before the first start."
            )
        async with opened_keys(self.store, self.database) as keys:
            return await work(keys)
