"""Keeps the metrics of boards computed that were opened lately, so that opening one finds them.

It asks what the page will ask, as a query like any other: believed by the same rules, cached in the same
place, under the same bounds. But its priority is behind every query, it is one at a time, and after each it
rests for several times as long as that took.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Mapping
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from cube.columns.key_filter import Restriction
from cube.errors import CubeError, InvalidExpression, Unavailable
from cube.model.board import Board
from cube.settings import BoardSettings
from cube.store.record_ports import StoredBoard
from evaluator.boards.questions import BoardQuestion, questions
from evaluator.context import within
from evaluator.engine.pyramid import Pyramid
from evaluator.query.definitions import read_definitions
from evaluator.query.limits import QueueFull
from evaluator.query.queries import MetricQuery
from evaluator.scheduling.scheduler import QueryCost

BUSY_SHARE: Final = 0.2
"""The share of the time in which it works, at most."""

FIRST_SECONDS: Final = 2.0
"""The first round begins about so long after the start: clients come first then."""

MOST_VIEWS: Final = 8
"""Keys with a filter with which a board was opened lately: what each makes of it is computed as well."""

OPENED_MS: Final = 3_600_000
"""When a board was opened is stored this exactly: looking at one is not a write each time."""

FAILED_MS: Final = 600_000
"""What was refused, or took too long, is asked again after so long."""

MOST_TOLD: Final = 300
"""Characters of an expression in the log."""

_DAY_MS: Final = 86_400_000
_log = logging.getLogger(__name__)


class BoardRefresher:
    """Refreshes the boards of all environments, whose pyramids are given by name, from `start` to `close`."""

    def __init__(
        self, pyramids: Mapping[str, Pyramid], settings: BoardSettings, registry: CollectorRegistry
    ) -> None:
        self._pyramids = pyramids
        self._settings = settings
        self._opened: dict[tuple[str, str], int] = {}
        self._views: dict[tuple[str, str], dict[Restriction, int]] = {}
        self._failed: dict[Hashable, int] = {}
        asked = Counter(
            "cube_board_refreshes",
            "Questions of boards that were asked before anybody did, by what became of them.",
            ["outcome"],
            registry=registry,
        )
        self._computed, self._refused = asked.labels("computed"), asked.labels("refused")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, where the settings want it."""
        if self._settings.refresh_seconds:
            self._task = asyncio.create_task(self._run())

    def note_opened(
        self, environment: str, board: StoredBoard, now: int, restriction: Restriction | None
    ) -> None:
        """Note that a board was looked at, and by whom; the store is told with the next round."""
        if self._task is None:
            return
        key = (environment, board.name)
        if now - board.opened >= OPENED_MS:
            self._opened[key] = now
        if restriction is not None and restriction.filters:
            views = self._views.setdefault(key, {})
            views.pop(restriction, None)
            views[restriction] = now
            if len(views) > MOST_VIEWS:
                del views[next(iter(views))]

    async def close(self) -> None:
        """End, also amid a question."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        period = self._settings.refresh_seconds
        await asyncio.sleep(min(FIRST_SECONDS, period))
        while True:
            for environment in self._pyramids:
                try:
                    await self._round(environment)
                except (Unavailable, QueueFull) as error:
                    _log.debug("the boards of %s are not refreshed now: %s", environment, error.message)
                except Exception:
                    _log.exception("refreshing the boards of %s met a fault", environment)
            await asyncio.sleep(period)

    async def _round(self, environment: str) -> None:
        context = self._pyramids[environment].context
        store, now = context.store.boards, context.clock()
        for key, time in list(self._opened.items()):
            if key[0] == environment:
                await store.note_opened(key[1], time)
                del self._opened[key]
        self._failed = {key: time for key, time in self._failed.items() if now < time + FAILED_MS}
        since = now - self._settings.opened_days * _DAY_MS
        lately = [board for board in await store.all() if board.opened >= since]
        names = {board.name for board in lately}
        self._views = {
            key: view for key, view in self._views.items() if key[0] != environment or key[1] in names
        }
        for board in sorted(lately, key=lambda board: -board.opened):
            views = self._views.get((environment, board.name), {})
            restrictions = [restriction for restriction, time in views.items() if time >= since]
            asked = await context.scheduler.run(QueryCost.background(0), _questions, board, now)
            for restriction in (None, *restrictions):
                for question in asked:
                    await self._refresh(environment, question, restriction)

    async def _refresh(
        self, environment: str, question: BoardQuestion, restriction: Restriction | None
    ) -> None:
        """Ask a question, unless it failed lately, and rest."""
        key = (
            environment,
            question.expression,
            question.step,
            question.timezone,
            question.week_start,
            question.span.length,
            restriction,
        )
        if key in self._failed:
            return
        pyramid, loop = self._pyramids[environment], asyncio.get_running_loop()
        began = loop.time()
        try:
            await _ask(pyramid, question, restriction)
        except (Unavailable, QueueFull):
            raise
        except Exception as error:  # a fault of one question: the others are asked all the same
            self._failed[key] = pyramid.context.clock()
            self._refused.inc()
            if isinstance(error, CubeError):
                _log.debug("a question of a board of %s is refused: %s", environment, error.message)
            else:
                told = (environment, question.expression[:MOST_TOLD])
                _log.exception("a question of a board of %s met a fault: %s", *told)
        else:
            self._computed.inc()
        await asyncio.sleep((loop.time() - began) * (1 / BUSY_SHARE - 1))


async def _ask(pyramid: Pyramid, question: BoardQuestion, restriction: Restriction | None) -> None:
    context, cost = pyramid.context, QueryCost.background(question.span.length)
    parse = partial(MetricQuery.parse, question.raw(), now=context.clock(), settings=context.settings)
    async with within(context.limits.query_seconds):
        try:
            query = await context.scheduler.run(cost, parse)
        except InvalidExpression:  # it may have names in it
            definitions = await read_definitions(context.store)
            query = await context.scheduler.run(cost, partial(parse, definitions=definitions))
        expression = query.expression if restriction is None else restriction.metric(query.expression)
        await pyramid.evaluate(expression, query.grid, query.span, cost)


def _questions(stored: StoredBoard, now: int) -> list[BoardQuestion]:
    try:
        board = Board.parse(stored.content)
    except CubeError:  # of a later version
        return []
    return list(questions(board, now))
