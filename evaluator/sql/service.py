"""SQL as a caller has it: which environments and types it sees, and how many statements run at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from importlib.util import find_spec
from typing import Final

from cube.errors import AccessDenied, InvalidSettings
from cube.model.environment import Caller, Environment
from cube.model.tier import DAY
from cube.settings import EvaluatorSettings
from evaluator.api.service import QueryService, QueryServices
from evaluator.context import QueryCounters, within
from evaluator.query.limits import QueryOverloaded
from evaluator.scheduling.scheduler import QueryCost
from evaluator.sql.fields import SAMPLE_EVENTS, KnownFields, unique
from evaluator.sql.messages import Statement
from evaluator.sql.process import StatementProcesses
from evaluator.sql.statement import RunLimits, StatementRun
from evaluator.sql.tables import EVERYTHING, Reader, TypeTable

LISTED_TYPES: Final = 200
"""So many types are told to a statement that asks what tables there are."""

LISTED_EVENTS: Final = 100
"""Then so many events of each are looked at."""

_FEW: Final = 10
_WORD: Final = re.compile(r"\w+")
_LISTING: Final = ("show", "information_schema", "duckdb_", "pg_")


class StatementsWait(QueryOverloaded):
    """So many statements run already that this one did not begin in time."""

    reason = "statements"
    text = "Other statements ran for {:g} s, and this one did not begin; ask again later."


class SqlService:
    """Runs statements; ``requires_keys``: whether a request without a key reaches open environments alone.

    Raises `InvalidSettings` where DuckDB is not installed.
    """

    def __init__(
        self,
        services: Mapping[str, QueryService],
        environments: Sequence[Environment],
        requires_keys: Callable[[], bool],
        settings: EvaluatorSettings,
        counters: QueryCounters,
        processes: StatementProcesses | None = None,
    ) -> None:
        if find_spec("duckdb") is None:
            raise InvalidSettings(
                "Got sql.enabled = true, and DuckDB is not installed; accepted is an installation with the"
                " extra sql, in a checkout by .venv/bin/pip install -c constraints.txt -e '.[sql]'."
            )
        self.settings = settings.sql
        self._counters = counters
        self._queries = QueryServices(services)
        self._environments = environments
        self._requires_keys = requires_keys
        self._processes = processes or StatementProcesses(self.settings)
        self._places = asyncio.Semaphore(self.settings.statements)
        self._known: dict[tuple[str, str], KnownFields] = {}

    def start(self) -> None:
        """Have a process ready for the first statement."""
        self._processes.prepare()

    async def close(self) -> None:
        await self._processes.close()

    def counted(self, outcome: str) -> None:
        """Count a statement that has ended: answered, cut, or refused."""
        self._counters.statements.labels(outcome).inc()

    async def run(self, caller: Caller, text: str, format: str) -> StatementRun:
        """Begin a statement; its caller closes it. Raises what is wrong with it, or with who asks."""
        if caller.key is not None and caller.key.filter:
            raise AccessDenied(
                "The key has a filter, which SQL does not apply; accepted is a key with the scope read and no"
                " filter."
            )
        seconds = self.settings.seconds
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(seconds):
                    await stack.enter_async_context(self._places)
            except TimeoutError:
                raise StatementsWait(seconds) from None
            process = await self._processes.take()
            stack.push_async_callback(process.close)
            deadline = asyncio.get_running_loop().time() + seconds
            async with within(seconds):
                statement, tables, names = await self._prepared(caller, text, format, stack)
            limits = RunLimits(deadline, seconds, self.settings.memory_bytes)
            run = StatementRun(statement, tables, names, process, self._processes, limits)
            stack.push_async_callback(run.end)
            await run.begin()
            run.stack.push_async_callback(stack.pop_all().aclose)
            return run

    async def _prepared(
        self, caller: Caller, text: str, format: str, stack: AsyncExitStack
    ) -> tuple[Statement, list[TypeTable], list[str]]:
        """Return a statement, the tables that it may name, and the names of all types that it may see."""
        folded, schemas = text.casefold(), []
        tables: list[TypeTable] = []
        names: list[str] = []
        for environment in self._reached(caller):
            schema = schema_of(environment.name)
            schemas.append(schema)
            is_own = environment.name == caller.environment.name
            if is_own or schema.casefold() in folded or lists(folded):
                service = self._queries.of(Caller(environment, caller.key))
                types = await service.types()
                names += types
                tables += await self._tables(service, environment.name, schema, types, folded, stack)
        for table in tables:
            await table.open(SAMPLE_EVENTS if len(tables) <= _FEW else LISTED_EVENTS)
        return Statement(text, format, schema_of(caller.environment.name), schemas, []), tables, names

    async def _tables(
        self,
        service: QueryService,
        environment: str,
        schema: str,
        types: Sequence[str],
        text: str,
        stack: AsyncExitStack,
    ) -> list[TypeTable]:
        """Return the tables of an environment that a statement may name, not opened yet."""
        words = set(_WORD.findall(text))
        names = unique(types, ())
        shown = [(type, name) for type, name in names.items() if name.casefold() in words]
        if lists(text):  # or only has such a word in it
            shown = list({**dict(shown), **names}.items())[: max(LISTED_TYPES, len(shown))]
        if not shown:
            return []
        context, pyramid = service.context, service.pyramid
        for type, _ in shown:
            async with context.lookup() as session:
                revisions = await session.revisions(type, DAY, EVERYTHING)
            if revisions.known and not revisions.complete and not revisions.foreign:
                await pyramid.build(type)
        session, time_slice = await stack.enter_async_context(context.session(QueryCost(EVERYTHING.length)))
        reader = Reader(session, time_slice, pyramid.blocks)
        return [
            TypeTable(reader, schema, name, type, self._known.setdefault((environment, type), KnownFields()))
            for type, name in shown
        ]

    def _reached(self, caller: Caller) -> list[Environment]:
        """Return the environments that a caller may ask: that of its key, or those that need none."""
        if caller.key is not None:
            return [caller.environment]
        return [each for each in self._environments if each.open or not self._requires_keys()]


def schema_of(environment: str) -> str:
    """Return the name of an environment's schema."""
    return f"events_{environment}"


def lists(text: str) -> bool:
    """Tell whether a statement may ask what tables there are."""
    return any(word in text for word in _LISTING)
