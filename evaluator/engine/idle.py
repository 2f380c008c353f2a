"""Idle work: column files of all quiet hours, made while nobody asks, and removed when they are stale.

Hours are found from the top: a week whose revision and folder are as they were has nothing new. An hour is
quiet once its revision has been the same for a while, which is longer each time that its files have to be
made anew. One segment is held at a time, and between two it rests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from contextlib import aclosing
from dataclasses import dataclass, field

from cube.columns import arrow
from cube.errors import CubeError
from cube.model.tier import HOUR, Span
from cube.process.threads import run_in_thread
from cube.store.ports import Revisions
from evaluator.context import QueryContext
from evaluator.engine.column_files import WEEK, ColumnFile, ColumnFiles
from evaluator.engine.file_bound import DiskUse, FileBound
from evaluator.engine.shredding import READ_SECONDS, NotQuiet, Shredder
from evaluator.engine.store_blocks import StoreBlocks

QUIET_SECONDS = 2.0
"""An hour's revision is the same for so long until its files are made, and twice as long each time after."""

LEAST_PAUSE, MOST_PAUSE = 1.0, 30.0
"""Seconds from one look to the next: twice as many each time that there was nothing left to do."""

SHARE = 4
"""For each second of its work it rests so many."""

LEAST_ROWS = 256
"""Fewer events are read from the store as fast as from a file."""

MOST_WEEKS = 4
"""So many weeks of a type that have something to do are looked at in one look, the newest first."""

MOST_HOURS = 1_000
"""So many hours of a type are remembered, more than these weeks have."""

_MOST_WAIT = 3_600.0
_AFTER_FAULT = 60.0
_RECOUNT = 900.0  # others may have written, too
_WRITTEN = 0.05  # of what the disk may take: then what is there is counted again
_SPAN = Span(WEEK.floor(0), WEEK.floor(2**42))  # until 2109

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Hour:
    """What is known of an hour: its revision, since when it is so, and how long it has to be so."""

    revision: int
    since: float
    wait: float
    is_settled: bool = False
    is_filed: bool = False


@dataclass(slots=True)
class _Type:
    """What is known of a type: weeks with nothing to do at these revisions and files, hours of the others."""

    weeks: dict[int, tuple[int, int]] = field(default_factory=dict)
    hours: OrderedDict[int, _Hour] = field(default_factory=OrderedDict)


class IdleWork:
    """Makes the column files of one store, and removes those that are stale or have expired.

    ``makes``: False where it only removes what has expired and what is too much.
    """

    def __init__(
        self,
        context: QueryContext,
        blocks: StoreBlocks,
        files: ColumnFiles,
        bound: FileBound,
        *,
        makes: bool = True,
        least_rows: int = LEAST_ROWS,
        quiet_seconds: float = QUIET_SECONDS,
        share: float = SHARE,
        read_seconds: float = READ_SECONDS,
    ) -> None:
        self._context = context
        self._blocks = blocks
        self._files = files
        self._bound = bound
        self._makes = makes
        self._least_rows = least_rows
        self._quiet_seconds = quiet_seconds
        self._share = share
        self._shredder = Shredder(context, blocks, read_seconds)
        self._types: dict[str, _Type] = {}
        self._use = DiskUse()
        self._written = 0
        self._counted: float | None = None

    async def run(self) -> None:
        """Work until cancelled; what the store or the disk refuses is tried again later."""
        if await run_in_thread(self._files.folder.is_dir):
            await run_in_thread(arrow.load)  # else the first question would wait for that
        pause = LEAST_PAUSE
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                is_settled = await self.look()
            except (CubeError, OSError) as error:
                _log.warning("no column files are made for a while: %s", error)
                pause = _AFTER_FAULT
            except Exception:
                _log.exception("making column files met a fault; the next try is in %g s", _AFTER_FAULT)
                pause = _AFTER_FAULT
            else:
                pause = min(2 * pause, MOST_PAUSE) if is_settled else LEAST_PAUSE
            pause = max(pause, self._share * (time.monotonic() - began))

    async def look(self) -> bool:
        """Look once at all types; tell whether there is nothing left to do."""
        if self._written or self._counted is None or time.monotonic() - self._counted > _RECOUNT:
            await self._count()
        async with self._context.idle_session() as session:
            types = await session.types()
        for gone in self._types.keys() - set(types):
            del self._types[gone]
        return all([await self._look_at(type, self._types.setdefault(type, _Type())) for type in types])

    async def make(self, type: str, hour: int) -> bool:
        """Make the files of an hour, in place of those that are there; tell whether it has any.

        Raises `NotQuiet`, and `OSError`.
        """
        made = []
        began = time.monotonic()
        async with aclosing(self._shredder.segments(type, hour)) as segments:
            async for revision, segment in segments:
                if len(segment.block) >= self._least_rows and self._has_room(segment.span.stop):
                    async with self._context.scheduler.idle_slice():
                        size = await run_in_thread(self._files.save, type, revision, segment)
                    made.append((segment.span, revision))
                    await self._wrote(size)
                await asyncio.sleep(self._share * (time.monotonic() - began))
                began = time.monotonic()
        for file in await self._files_of(type, hour):
            if (file.span, file.revision) not in made:
                await run_in_thread(self._files.remove, file)
        return bool(made)

    async def _look_at(self, type: str, known: _Type) -> bool:
        async with self._context.idle_session() as session:
            revisions = await session.revisions(type, WEEK, _SPAN)
        if revisions.foreign or not revisions.complete:
            return True
        await self._trim(type, revisions)
        unsettled = 0
        for week, revision in sorted(revisions.numbers.items(), reverse=True):
            state = (revision, await run_in_thread(self._files.state, type, week))
            if known.weeks.get(week) == state:
                continue
            if await self._look_at_week(type, week, known):
                known.weeks[week] = (revision, await run_in_thread(self._files.state, type, week))
            else:
                unsettled += 1
            if unsettled == MOST_WEEKS:
                break
        return not unsettled

    async def _trim(self, type: str, revisions: Revisions) -> None:
        if revisions.expired_before is not None:
            await run_in_thread(self._files.trim, type, revisions.expired_before)
            self._blocks.of(type).trim(revisions.expired_before)

    async def _look_at_week(self, type: str, week: int, known: _Type) -> bool:
        """Make what files of a week can be made; tell whether there is nothing left to do."""
        span = Span(max(0, week), week + WEEK.step)
        async with self._context.idle_session() as session:
            numbers = (await session.revisions(type, HOUR, span)).numbers
        files: dict[int, set[int]] = {}
        for file in await run_in_thread(self._files.of_week, type, week):
            files.setdefault(HOUR.floor(file.span.start), set()).add(file.revision)
        is_settled = True
        for hour in sorted(numbers, reverse=True):
            if files.get(hour) == {numbers[hour]} or not self._makes or not self._has_room(hour + HOUR.step):
                continue
            seen = self._seen(known, hour, numbers[hour])
            if seen.is_filed and hour not in files:  # they were deleted
                seen.is_settled = seen.is_filed = False
            is_settled = await self._settle(type, hour, seen) and is_settled
        for hour in files.keys() - numbers.keys():
            for file in await self._files_of(type, hour):
                await run_in_thread(self._files.remove, file)
        return is_settled

    async def _settle(self, type: str, hour: int, seen: _Hour) -> bool:
        """Make the files of an hour, once it is quiet; tell whether there is nothing left to do."""
        if seen.is_settled:
            return True
        if time.monotonic() - seen.since < seen.wait:
            return False
        seen.wait, seen.since = min(2 * seen.wait, _MOST_WAIT), time.monotonic()
        try:
            seen.is_filed = await self.make(type, hour)
        except NotQuiet:
            return False
        seen.is_settled = True
        return True

    def _seen(self, known: _Type, hour: int, revision: int) -> _Hour:
        seen = known.hours.get(hour)
        if seen is None:
            seen = known.hours[hour] = _Hour(revision, time.monotonic(), self._quiet_seconds)
        elif seen.revision != revision:
            seen.revision, seen.since, seen.is_settled = revision, time.monotonic(), False
        known.hours.move_to_end(hour)
        while len(known.hours) > MOST_HOURS:
            known.hours.popitem(last=False)
        return seen

    async def _wrote(self, size: int) -> None:
        self._written += size
        if self._written > _WRITTEN * self._bound.bytes:
            await self._count()

    async def _count(self) -> None:
        self._use = await run_in_thread(self._bound.keep)
        self._written, self._counted = 0, time.monotonic()
        self._context.counters.filed_bytes.set(self._use.bytes)

    def _has_room(self, until: int) -> bool:
        return self._use.oldest is None or until > self._use.oldest

    async def _files_of(self, type: str, hour: int) -> list[ColumnFile]:
        files = await run_in_thread(self._files.of_week, type, WEEK.floor(hour))
        return [file for file in files if HOUR.floor(file.span.start) == hour]
