"""Boards that were opened lately are kept computed, behind all who ask."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cube.model import instant
from cube.model.board import Board
from cube.model.environment import Scope
from cube.model.tier import TIERS, Span
from cube.settings import BoardSettings
from cube.store.record_ports import NO_REVISION, StoredBoard
from evaluator.boards.questions import questions
from evaluator.scheduling.scheduler import QueryCost
from tests.authenticators import key, with_keys
from tests.evaluator_running import DAY, Running, Start, event, running, start
from tests.mongo_server import mongo_server
from tests.web_client import ask

__all__ = ["mongo_server", "start"]

PATIENCE_SECONDS = 60.0
OFTEN = BoardSettings(refresh_seconds=0.02, opened_days=7)
HOUR = 3_600_000
EXPRESSION = "sum(test.eq(host, $host))"
VARIABLE = {"name": "host", "type": "test", "field": "host", "value": "a"}
CHART = {"expressions": [EXPRESSION], "step": 60_000}


def stored(name: str, *charts: dict[str, Any], opened: int = DAY, span: str = "1h") -> StoredBoard:
    text = json.dumps({"title": name, "variables": [VARIABLE], "charts": charts, "span": span})
    return StoredBoard(name, 7, DAY, text, opened=opened)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return when this is so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


async def counted(made: Running, name: str) -> float:
    """What one of the evaluator's own metrics counts."""
    text = (await ask(made.port, "GET", "/metrics")).body.decode()
    return float(text.partition(f"\n{name} ")[2].partition("\n")[0] or 0)


async def outcomes(made: Running, outcome: str) -> float:
    """How many questions of boards had this outcome."""
    return await counted(made, f'cube_board_refreshes_total{{outcome="{outcome}"}}')


async def misses(made: Running) -> float:
    return await counted(made, 'cube_cache_buckets_total{cached="no"}')


async def refreshed(made: Running, outcome: str, at_least: float = 1) -> None:
    async def holds() -> bool:
        return await outcomes(made, outcome) >= at_least

    await until(holds)


async def rows_of_page(made: Running, **headers: str) -> Any:
    """What the page asks when the board is opened."""
    expression, span = "sum(test.eq(host,%20%22a%22))", f"start={DAY - HOUR}&stop={DAY}"
    path = f"/1.0/metric?expression={expression}&step=60000&{span}"
    return (await ask(made.port, "GET", path, headers=headers)).json


async def test_a_board_that_was_opened_is_computed_before_anybody_asks(start: Start) -> None:
    async with start(boards=OFTEN) as made:
        await made.save(*(event(DAY - i * 60_000, {"host": "ab"[i % 2]}) for i in range(1, 60)))
        await made.store.boards.save(stored("web", CHART), NO_REVISION, 10)
        await refreshed(made, "computed")
        missed = await misses(made)
        assert missed > 0
        rows = await rows_of_page(made)
        assert (len(rows), sum(row["value"] for row in rows)) == (60, 29)
        assert await misses(made) == missed
        await made.save(event(DAY - 90_000, {"host": "a"}))
        assert sum(row["value"] for row in await rows_of_page(made)) == 30


async def test_only_boards_that_were_opened_lately_are_computed_and_opening_one_is_noted(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, boards=OFTEN) as made:
        await made.save(event(DAY - 60_000, {"host": "a"}))
        await made.store.boards.save(stored("old", CHART, opened=DAY - 8 * 24 * HOUR), NO_REVISION, 10)
        await made.store.boards.save(stored("new", CHART | {"step": 10_000}), NO_REVISION, 10)
        await refreshed(made, "computed", 3)

        async def is_one_saved() -> bool:
            return {tier.step for tier, _ in made.seen.saved} == {10_000}

        await until(is_one_saved)  # what is computed is saved after that

        assert (await ask(made.port, "GET", "/1.0/boards/old")).status == 200

        async def are_both_computed() -> bool:
            return {tier.step for tier, _ in made.seen.saved} == {10_000, 60_000}

        await until(are_both_computed)
        found = {board.name: (board.opened, board.revision) for board in await made.store.boards.all()}
        assert found["old"] == (DAY, 7)


async def test_what_a_filter_makes_of_a_board_is_computed_once_it_was_opened_so(tmp_path: Path) -> None:
    bound = {"types": frozenset({"test"}), "filter": 'eq(customer, "acme")'}
    access = with_keys(key("team", Scope.READ), key("acme", Scope.READ, **bound))
    async with running(tmp_path, boards=OFTEN, access=access) as made:
        data = [{"host": "a", "customer": one} for one in ("acme", "other", "acme")]
        await made.save(*(event(DAY - i * 60_000, one) for i, one in enumerate(data, 1)))
        await made.store.boards.save(stored("web", CHART), NO_REVISION, 10)
        acme = {"X-Api-Key": "acme"}
        assert (await ask(made.port, "GET", "/1.0/boards/web", headers=acme)).status == 200
        await refreshed(made, "computed", await outcomes(made, "computed") + 4)  # a whole round at least
        missed = await misses(made)
        for name, value in (("team", 3), ("acme", 2)):
            rows = await rows_of_page(made, **{"X-Api-Key": name})
            assert sum(row["value"] for row in rows) == value
        assert await misses(made) == missed


async def test_a_board_that_meets_a_fault_keeps_no_other_from_being_computed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def holds(span: Span) -> bool:
        return span.start > DAY - HOUR or 1 / 0 > 0

    async with running(tmp_path, boards=OFTEN) as made:
        made.seen.holds = holds
        await made.save(*(event(DAY - minutes * 60_000, {"host": "a"}) for minutes in (1, 100)))
        await made.store.boards.save(stored("bad", CHART, opened=DAY + 1, span="2h"), NO_REVISION, 10)
        await made.store.boards.save(stored("good", CHART), NO_REVISION, 10)
        await refreshed(made, "computed")
        await refreshed(made, "refused")
        assert await outcomes(made, "refused") == 1
    told = [record.getMessage() for record in caplog.records if record.exc_info]
    assert told == ['a question of a board of default met a fault: sum(test.eq(host, "a"))']


async def test_a_chart_that_cannot_be_computed_keeps_nobody_and_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path, boards=OFTEN) as made:
        await made.save(event(DAY - 60_000, {"host": "a"}))
        broken = {"expressions": ["sum(", 'sum(test(x).re(x, "("))'], "step": 60_000}
        await made.store.boards.save(stored("a", broken, CHART), NO_REVISION, 10)
        later = StoredBoard("b", 7, DAY, '{"version": 2}', opened=DAY)
        await made.store.boards.save(later, NO_REVISION, 10)
        await refreshed(made, "computed", 3)
        await refreshed(made, "refused", 2)
        assert await outcomes(made, "refused") == 2


async def test_who_asks_does_not_wait_for_a_refresh_nor_does_the_end(tmp_path: Path) -> None:
    async with running(tmp_path, boards=OFTEN) as made:
        await made.save(event(DAY - 60_000, {"host": "a"}), event(DAY - 60_000, type="other"))
        made.seen.gate.clear()
        await made.store.boards.save(stored("web", CHART), NO_REVISION, 10)
        await made.seen.until_scans(1)
        made.seen.holds = lambda span: False  # of the scans that begin from now on
        other = f"/1.0/metric?expression=sum(other)&step=60000&start={DAY - HOUR}&stop={DAY}"
        rows = (await ask(made.port, "GET", other)).json
        assert sum(row["value"] for row in rows) == 1
        await made.evaluator.stop(5)


def test_a_refresh_stands_behind_every_query_until_somebody_waits_for_it() -> None:
    refresh, longest = QueryCost.background(1), QueryCost(10 * 365 * 24 * HOUR)
    longest.seconds = 600.0
    assert longest.priority < refresh.priority
    refresh.inherit(longest)
    assert refresh.priority == longest.priority


@pytest.mark.parametrize(
    ("chart", "span", "steps"),
    [
        ({"step": 60_000}, "1h", [60_000]),
        ({}, "1h", [10_000, 60_000]),
        ({"width": 12}, "6h", [60_000, 300_000]),
        ({"width": 12, "chart": "bars"}, "6h", [300_000, 3_600_000]),
        ({}, "99999w", [604_800_000]),
        ({"width": 2}, "1m", [1_000, 10_000]),
    ],
)
def test_questions_are_those_that_the_page_asks(chart: dict[str, Any], span: str, steps: list[int]) -> None:
    made = {"expressions": ["sum(a.eq(b, $b))", "sum(a)"], **chart}
    variable = {"name": "b", "type": "a", "field": "b"}
    board = Board.parse(json.dumps({"title": "t", "span": span, "charts": [made], "variables": [variable]}))
    found = list(questions(board, DAY + 1))
    assert [one.step for one in found] == [step for step in steps for _ in range(2)]
    assert {one.expression for one in found} == {"sum(a)"}
    assert all(one.span == TIERS[int(one.step)].cover(one.span) for one in found)


def test_what_a_chart_is_compared_with_is_asked_as_well() -> None:
    chart = {"expressions": ["sum(a)"], "step": 3_600_000, "compare": "1d"}
    board = Board.parse(json.dumps({"title": "t", "span": "1h", "charts": [chart]}))
    asked = [(one.step, one.span) for one in questions(board, DAY)]
    assert asked == [
        (HOUR, Span(DAY - HOUR, DAY)),
        (HOUR, Span(DAY - 25 * HOUR, DAY - 24 * HOUR)),
    ]


def test_a_board_with_a_zone_asks_for_the_buckets_of_that() -> None:
    board = Board.parse(
        b'{"title": "A", "span": "30d", "timezone": "Europe/Berlin", "week_start": "sunday",'
        b' "charts": [{"expressions": ["sum(a)"], "step": "1d"},'
        b' {"expressions": ["sum(b)"], "step": "month"}, {"expressions": ["sum(c)"], "step": "1w"}]}'
    )
    day, month, week = questions(board, instant.parse("2026-11-15T12:00Z"))

    assert (day.step, day.timezone, month.step) == ("1d", "Europe/Berlin", "month")
    begin = instant.parse("2026-10-15T22:00Z")
    assert day.span == Span(begin, instant.parse("2026-11-14T23:00Z"))
    assert month.span == Span(instant.parse("2026-09-30T22:00Z"), instant.parse("2026-10-31T23:00Z"))
    assert (day.raw()["timezone"], day.raw()["week_start"]) == ("Europe/Berlin", "sunday")
    assert week.span == Span(instant.parse("2026-10-10T22:00Z"), instant.parse("2026-11-14T23:00Z"))
