"""Funnels, retention and sessions are never stale, however far an event reaches."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cube.columns.key_filter import Restriction
from cube.errors import AccessDenied
from cube.expression import parse_metric, print_expression
from cube.expression.sequence_functions import SEQUENCE_FUNCTIONS
from cube.model.environment import Caller, Environment, Key
from cube.model.event import Event
from cube.model.tier import TIERS, Span, group_of_key
from cube.settings import EvaluatorLimits
from cube.store import mongo
from cube.store.sqlite import open_store
from evaluator.engine.block_cache import BlockCache
from evaluator.query.limits import LimitExceeded
from tests.evaluator_running import DAY, Bench, Start, bench, event, plain, start
from tests.golden.reference import ALL, Reference
from tests.mongo_server import MongoServer, mongo_server

__all__ = ["mongo_server", "start"]

HOUR = 3_600_000
ASKED = (
    "funnel(u,10m,a,b,a.ge(x,1))",
    "funnel(u,2h,a.eq(x,0),b) / distinct(a(u))",
    "retention(u,15m,3,a)",
    "retention(u,1h,2,a,b)",
    "sum(a.session(u,5m))",
    "mean(a.session(u,5m,length))",
    "sum(b.session(u,20m).gt(events,1)).group(events)",
    "rolling(funnel(u,10m,a,b), 45m) / cumulative(funnel(u,10m,a,b))",
    "cumulative(retention(u,15m,3,a,b))",
    "shift(rolling(retention(u,1h,2,a),90m), 100s)",
    "rolling(mean(a.session(u,5m,length)), 2h)",
    "per(hour, rolling(sum(b.session(u,20m)).group(events), 7m))",
    "rolling(median(a.session(u,5m,events)), 3s)",
)


@pytest.fixture(params=["sqlite", "mongodb"])
async def benches(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Bench]]:
    """Two evaluators on one store: one keeps blocks, the other reads everything."""
    if request.param == "sqlite":
        store: Any = await open_store(tmp_path, "test")
    else:
        server: MongoServer = request.getfixturevalue("mongo_server")
        store = await mongo.open_store(server.url, server.database())
    with ThreadPoolExecutor(1) as executor:
        made = [Bench(store, executor, kept=BlockCache(10**7)), Bench(store, executor)]
        yield made
        for each in made:
            await each.pyramid.close()
    await store.close()


async def test_every_answer_has_every_event(benches: list[Bench]) -> None:
    """Events come in any order, replace each other, and move; each question is asked of either evaluator."""
    drawn, reference = random.Random(43), Reference()
    for turn in range(18):
        events = [_event(drawn) for _ in range(drawn.choice((1, 1, 2, 8)))]
        for each in events:
            await benches[0].save(each)
        reference.save(events)
        for _ in range(3):
            text, step = drawn.choice(ASKED), drawn.choice((1_000, 10_000, 300_000, HOUR, 24 * HOUR))
            first = DAY + drawn.randrange(0, 3 * HOUR)
            span = TIERS[step].cover(Span(first, first + step * drawn.choice((1, 2, 30))))
            found = await drawn.choice(benches).series(text, step, span.start, span.stop)
            expected = reference.evaluate(parse_metric(text), TIERS[step], span)
            default = expected.pop(ALL)
            where = f"turn {turn}: {text} at {step} from {span.start - DAY}"
            if found.groups is None:
                assert plain(found.default) == default, where
            else:
                told = {key: plain(values) for key, values in found.groups.items()}
                assert told == expected, where


def _event(drawn: random.Random) -> Event:
    time = DAY + drawn.choice((0, 500, 300_000, HOUR)) * drawn.randrange(12) // 4
    id = drawn.randrange(40)
    return event(time, {"u": drawn.choice("pqr"), "x": drawn.randrange(2)}, id, drawn.choice("ab"))


async def test_an_event_that_comes_amid_a_computation_shows_in_the_next_answer(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.save(event(DAY, {"u": 1}, 1, "a"), event(DAY + 1, {"u": 1}, 2, "b"))
        made.seen.gate.clear()
        asking = asyncio.create_task(made.groups("funnel(u,1h,a,b,c)", 300_000, DAY, DAY + 300_000))
        await made.seen.until_scans(1)
        await made.save(event(DAY + 2_000_000, {"u": 1}, 3, "c"), event(DAY + 2, {"u": 2}, 4, "a"))
        made.seen.gate.set()
        await asking
        found = await made.groups("funnel(u,1h,a,b,c)", 300_000, DAY, DAY + 300_000)
        assert found == {1: [2], 2: [1], 3: [1]}


async def test_what_did_not_change_comes_from_the_cache(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        hours = [DAY + HOUR * number for number in range(24)]
        await made.save(*(event(time, {"u": 1}, time, "a") for time in hours))
        asked = ("funnel(u,90m,a,a)", HOUR, DAY, DAY + 24 * HOUR)
        await made.groups(*asked)
        made.seen.clear()
        assert await made.groups(*asked) == {1: [1] * 24, 2: [1] * 23 + [0]}
        assert made.seen.scans == []
        await made.save(event(DAY + 12 * HOUR + 1, {"u": 2}, 0, "a"))
        await made.groups(*asked)
        (saved,) = [buckets for _, buckets in made.seen.saved]
        assert saved == hours[10:13]  # the windows of earlier entries end before it


async def test_keys_and_events_are_bounded(tmp_path: Path) -> None:
    async with bench(tmp_path, EvaluatorLimits(memory_bytes=10_000)) as made:
        await made.save(*(event(DAY + number, {"u": number}, number, "a") for number in range(200)))
        for text in ("funnel(u,1h,a,a)", "retention(u,1h,1,a)", "sum(a.session(u,1h))"):
            with pytest.raises(LimitExceeded, match="bytes of keys and their events"):
                await made.series(text, HOUR, DAY, DAY + HOUR)


async def test_a_key_counts_once_in_each_window(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        times = {1: (0, 1, HOUR), 2: (2 * HOUR, 2 * HOUR + 1)}
        events = [event(DAY + time, {"u": user}, None, "a") for user in times for time in times[user]]
        await made.save(*events)
        asked = (HOUR, DAY, DAY + 3 * HOUR)
        assert await made.groups("shift(funnel(u,1m,a,a),1h)", *asked) == {1: [0, 1, 1], 2: [0, 1, 0]}
        assert await made.groups("rolling(funnel(u,1m,a,a),2h)", *asked) == {1: [1, 1, 2], 2: [1, 1, 1]}
        assert await made.groups("cumulative(funnel(u,1m,a,a))", *asked) == {1: [1, 1, 2], 2: [1, 1, 2]}
        shifted = await made.series("shift(sum(a.session(u,1m)),90m)", *asked)
        assert plain(shifted.default) == [0, 1, 1]


async def test_of_windows_whose_beginning_has_expired_nothing_is_said(tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        await made.save(*(event(DAY + hour * HOUR, {"u": hour}, None, "a") for hour in range(4)))
        await made.store.events.expire("a", DAY + HOUR)
        found = await made.groups("rolling(funnel(u,1m,a,a),2h)", HOUR, DAY, DAY + 4 * HOUR)
        assert found[1] == [None, None, 2, 2]


@pytest.mark.parametrize("name", SEQUENCE_FUNCTIONS)
async def test_an_example_is_answered(name: str, tmp_path: Path) -> None:
    async with bench(tmp_path) as made:
        text = SEQUENCE_FUNCTIONS[name].example
        await made.save(*(event(DAY, {"user": 1}, 1, type) for type in ("signup", "view")))
        series = await made.series(text, HOUR, DAY, DAY + HOUR)
        groups = {group_of_key(key) for key in series.groups or ()}
        assert groups == {"funnel": {1, 2, 3}, "retention": set(range(8)), "session": set()}[name]


def test_a_key_restricts_every_event_that_is_looked_at() -> None:
    key = Key("k", b"digest", "default", types=frozenset("ab"), filter='eq(t,"n")')
    restriction = Restriction.of(Caller(Environment("default", "test"), key))
    for text, restricted in (
        ("funnel(u,1h,a.eq(x,1),b)", 'funnel(u,1h,a.eq(x,1).eq(t,"n"),b.eq(t,"n"))'),
        ("retention(u,1h,2,a,b)", 'retention(u,1h,2,a.eq(t,"n"),b.eq(t,"n"))'),
        ("sum(a.session(u,1m).gt(events,1))", 'sum(a.eq(t,"n").session(u,1m).gt(events,1))'),
    ):
        assert print_expression(restriction.metric(parse_metric(text))) == restricted
    with pytest.raises(AccessDenied):
        restriction.metric(parse_metric("funnel(u,1h,a,c)"))


@pytest.mark.parametrize("asked", ["funnel(u,2h,a,b)", "rolling(funnel(u,2h,a,b),1h)"])
async def test_a_late_event_beyond_a_bucket_changes_a_live_metric(start: Start, asked: str) -> None:
    async with start(now=DAY + 2 * HOUR) as evaluator:
        await evaluator.save(event(DAY, {"u": 1}, 1, "a"))
        socket = await evaluator.socket("/1.0/metric/get")
        await socket.ask(expression=asked, step=HOUR, start=DAY, limit=10, id=7)
        rows = [await socket.next()]
        while not rows[-1].get("live"):
            rows.append(await socket.next())
        assert [row["value"] for row in rows[:-1]] == [1, 0, 0, 0, 0, 0]
        await evaluator.save(event(DAY + 2 * HOUR - 1, {"u": 1}, 2, "b"))
        row = await socket.next()
        assert (row["value"], row["group"]) == (1, 2)
