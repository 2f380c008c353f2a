"""One statement from its text to its answer: its tables, its process, and what the two say to each other.

Rows are held until it is sure that no column turns out to be too narrow for what is still to be read: until
all scans are at their ends, or, where the answer is long, all that is left to be scanned was looked at. Up to
then a statement begins again, with wider columns, where one is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Final, Self

from cube.errors import CubeError, InvalidQuery
from cube.model.tier import Span
from evaluator.query.limits import DeadlineExceeded
from evaluator.sql.messages import TRIES, Columns, Done, Failed, NextRows, Part, Rows, Statement, TableScan
from evaluator.sql.process import StatementProcess, StatementProcesses
from evaluator.sql.refusals import misses_a_member, missing_column, over_memory, refusal
from evaluator.sql.scans import TypeScan, Widened, find_field, find_members
from evaluator.sql.tables import TypeTable

HELD_BYTES: Final = 2**20
"""So much of an answer is held while columns may still turn out to be too narrow."""

MOST_STARTS: Final = 5 * TRIES
"""A statement begins so often at most."""

LOOKED_THROUGH: Final = 2
"""After so many columns that were too narrow all the rest is looked through for others, at once."""

FIND_SECONDS: Final = 5.0
"""For so long a column, or a member of objects, is looked for that the newest events have not."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a statement may take; ``deadline``: the loop's time at which its ``seconds`` are over."""

    deadline: float
    seconds: float
    memory_bytes: int


class StatementRun:
    """Runs one statement; an asynchronous iterator over the bytes of its answer, once it `begin`s.

    ``names``: the types that there are, for hints. ``stack``: what is released at its end.
    """

    def __init__(
        self,
        statement: Statement,
        tables: Sequence[TypeTable],
        names: Sequence[str],
        process: StatementProcess,
        processes: StatementProcesses,
        limits: RunLimits,
    ) -> None:
        self.columns: list[tuple[str, str]] = []
        self.stack = AsyncExitStack()
        self._statement = statement
        self._tables = tables
        self._names = names
        self._process = process
        self._processes = processes
        self._limits = limits
        self._tries = 0
        self._widenings = 0
        self._scans: dict[int, tuple[TypeScan, AsyncGenerator[bytes, None]]] = {}
        self._held: list[bytes] = []
        self._is_sure = False
        self._is_done = False
        self._is_widened = False

    async def begin(self) -> None:
        """Run it as far as an answer is sure to come; raises what is wrong with it."""
        for _ in range(MOST_STARTS):
            try:
                await self._attempt()
                return
            except Widened:
                for table in self._tables:
                    table.refresh()
        raise InvalidQuery("The fields of the events change faster than the statement can be run; ask again.")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._held:
            content = b"".join(self._held)
            self._held = []
            return content
        while not self._is_done:
            try:
                part = await self._step()
            except Widened:
                raise CubeError(
                    "A field has values of another kind than before; the statement can be run again."
                ) from None
            if part:
                return part
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End its process, and release all that it holds."""
        try:
            await self.end()
        finally:
            await self.stack.aclose()

    async def end(self) -> None:
        """End its process, and what it reads."""
        try:
            await self._end_scans()
        finally:
            await self._process.close()

    async def _attempt(self) -> None:
        await self._end_scans()
        self._held, self.columns, self._is_done, self._is_widened = [], [], False, False
        if self._tries == TRIES:
            await self._process.close()
            self._tries = 0
            async with self._in_time():
                self._process = await self._processes.take()
        self._tries += 1
        tables = [table.described() for table in self._tables]
        statement = self._statement
        again = Statement(statement.text, statement.format, statement.schema, statement.schemas, tables)
        await self._process.send(again)
        size = 0
        while not self._is_done:
            part = await self._step()
            if part is not None:
                self._held.append(part)
                size += len(part)
            if size >= HELD_BYTES:
                break
        if not self._is_done:
            await self._check_rest()
        self._is_sure = True

    async def _check_rest(self) -> None:
        async with self._in_time():
            for scan, _ in list(self._scans.values()):
                await scan.check()

    async def _step(self) -> bytes | None:
        """Take one message, and answer it; returns a part of the answer, if it was one."""
        async with self._in_time():
            message = await self._process.receive()
            match message:
                case TableScan(number, place, columns, spans):
                    scan = TypeScan(self._tables[place], columns, [Span(*each) for each in spans])
                    await self._begin_scan(number, scan)
                    await self._process.send(Rows())
                case NextRows(number):
                    await self._process.send(await self._next(number))
                case Columns(columns):
                    self.columns = columns
                case Part(content):
                    return content
                case Done():
                    self._is_done = True
                case Failed(text, kind):
                    await self._fail(text, kind)
                case _:
                    await self._died()
        return None

    def _in_time(self) -> _Deadline:
        return _Deadline(self._limits.deadline, self._limits.seconds)

    async def _begin_scan(self, number: int, scan: TypeScan) -> None:
        if self._is_sure:  # what has been sent cannot be taken back
            await scan.check()
        self._scans[number] = (scan, scan.batches())

    async def _next(self, number: int) -> Rows:
        scan = self._scans.get(number)
        if scan is None:
            return Rows(is_stale=True)
        try:
            return Rows(await anext(scan[1]))
        except StopAsyncIteration:
            del self._scans[number]
            return Rows()
        except Widened:
            self._is_widened = True
            self._widenings += 1
            if self._widenings > LOOKED_THROUGH:
                with suppress(Widened):
                    await scan[0].check()
            await self._end_scans()
            return Rows(is_stale=True)

    async def _end_scans(self) -> None:
        for _, batches in self._scans.values():
            await batches.aclose()
        self._scans.clear()

    async def _fail(self, text: str, kind: str) -> None:
        """Raise what is wrong; `Widened` where the statement may do better with what is known by now."""
        if self._is_widened:
            raise Widened
        column = missing_column(text)
        if column is not None and await self._find(column):
            raise Widened
        if misses_a_member(text) and await self._find_members():
            raise Widened
        raise refusal(text, kind, self._limits.memory_bytes, self._names)

    async def _find(self, name: str) -> bool:
        """Look whether a table has a field that it was not known to have."""
        found = False
        with suppress(TimeoutError):
            async with asyncio.timeout(FIND_SECONDS):
                for table in self._tables:
                    if not table.knows(name):
                        found = await find_field(table, name) or found
        return found

    async def _find_members(self) -> bool:
        """Look whether objects have members that they were not known to have."""
        found = False
        with suppress(TimeoutError):
            async with asyncio.timeout(FIND_SECONDS):
                for table in self._tables:
                    found = await find_members(table) or found
        return found

    async def _died(self) -> None:
        status = await self._process.close()
        _log.warning("the process of a statement ended with %d", status)  # not which: it may quote data
        raise over_memory(self._limits.memory_bytes)


class _Deadline:
    """Raises `DeadlineExceeded` where what is done in its block takes too long."""

    def __init__(self, deadline: float, seconds: float) -> None:
        self._timeout = asyncio.timeout_at(deadline)
        self._seconds = seconds

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *told: object) -> None:
        try:
            await self._timeout.__aexit__(*told)  # type: ignore[arg-type]  # as they came
        except TimeoutError:
            raise DeadlineExceeded(self._seconds) from None
