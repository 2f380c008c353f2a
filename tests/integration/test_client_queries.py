"""The client's questions against running daemons: tables, pages, streams, and the same for asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cube.client import (
    AnswerTable,
    AsyncClient,
    AsyncEmitter,
    Client,
    Emitter,
    Retries,
)
from cube.client.table import joined
from cube.errors import InvalidExpression, NotFound, Unavailable
from tests.both_daemons import Both, both_daemons
from tests.fault.mortal import Mortal
from tests.scripted_server import free_port
from tests.tools import SLOW

START = 1_700_000_040_000
SPAN = {"start": START, "stop": START + 120_000}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    directory = tmp_path_factory.mktemp("queries")
    with both_daemons(directory) as running:
        with Emitter(running.collector.http) as emitter:
            emitter.send(
                {
                    "type": "request",
                    "time": START + i * 500,
                    "id": i,
                    "data": {"host": "ab"[i % 2], "ms": i if i < 200 else i + 0.5, "at": {"path": "/"}},
                }
                for i in range(240)
            )
        yield running


def test_a_metric_is_a_table_in_every_form(both: Both) -> None:
    with Client(both.evaluator.http) as client:
        table = client.metric("sum(request(ms)).group(host)", step="1m", **SPAN)
    first, second = datetime.fromtimestamp(START / 1000, UTC), datetime.fromtimestamp(START / 1000 + 60, UTC)
    expected = [
        {"time": first, "value": 3540, "group": "a", "other": False},
        {"time": first, "value": 3600, "group": "b", "other": False},
        {"time": second, "value": 10750, "group": "a", "other": False},
        {"time": second, "value": 10810, "group": "b", "other": False},
    ]
    assert table.rows() == list(table) == expected
    assert (len(table), table.warnings) == (4, ())
    assert isinstance(table.arrow(), pa.Table)
    arrays = table.numpy()
    assert arrays["time"].dtype == np.dtype("datetime64[ms]")
    assert arrays["value"].tolist() == [3540, 3600, 10750, 10810]
    frame = table.pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame.groupby("group", observed=True)["value"].sum().to_dict() == {"a": 14290, "b": 14410}
    polars = table.polars()
    assert polars.filter(pl.col("group") == "b")["value"].sum() == 14410
    assert pl.DataFrame(table).shape == (4, 4)  # by Arrow's PyCapsule interface


def test_buckets_beyond_one_answer_come_in_several(both: Both) -> None:
    with Client(both.evaluator.http) as client:
        table = client.metric("sum(request)", step=1_000, start=START - 12_000_000, stop=START + 120_000)
        latest = client.metric("sum(request)", step=1_000, limit=3, **SPAN)
    times = table.numpy()["time"].astype(np.int64)
    assert len(times) == 12_120
    assert (np.diff(times) == 1_000).all()
    assert table.numpy()["value"].sum() == 240
    assert latest.numpy()["value"].tolist() == [2, 2, 2]


def test_events_come_page_by_page_and_as_one(both: Both) -> None:
    with Client(both.evaluator.http) as client:
        events = client.events("request(*)", page=100)
        assert [len(table) for table in events.pages()] == [100, 100, 40]
        assert [event["id"] for event in events] == list(range(240))
        table = events.arrow()
        assert table.column_names == ["time", "id", "at.path", "host", "ms"]
        # The first two pages had whole numbers alone, and the last none.
        assert table.schema.field("ms").type == pa.float64()
        latest = client.events("request(ms)", limit=150, page=60, **SPAN)
        assert latest.numpy()["id"].tolist() == list(range(90, 240))
        assert len(client.events("request", start=START + 200_000, stop=START + 300_000).rows()) == 0


def test_what_a_question_gets_wrong_is_told(both: Both) -> None:
    said: list[str] = []
    with Client(both.evaluator.http, warn=said.append) as client:
        table = client.metric("sum(reqest)", step="1m", **SPAN)
        assert said == list(table.warnings) != []
        with pytest.raises(InvalidExpression):
            client.metric("sum(")
        with pytest.raises(NotFound):
            client.sql("select 1")  # it is switched off
        assert client.types() == ["request"]


async def test_any_number_of_tasks_may_ask_at_once(both: Both) -> None:
    async with AsyncClient(both.evaluator.http) as client:
        tables = await asyncio.gather(*(client.metric("sum(request)", step="1m", **SPAN) for _ in range(5)))
        assert [table.numpy()["value"].tolist() for table in tables] == [[120, 120]] * 5
        assert [event["id"] async for event in client.events("request(ms)", page=100)] == list(range(240))
        async with aclosing(client.pages("request", page=10)) as pages:
            async for page in pages:
                assert len(page) == 10
                break
        assert len(await client.all_events("request", limit=7)) == 7
        assert await client.types() == ["request"]


async def test_a_cancelled_question_costs_no_other(both: Both) -> None:
    async with AsyncClient(both.evaluator.http) as client:
        task = asyncio.create_task(client.metric("sum(request)", step=1_000, **SPAN))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(await client.metric("sum(request)", step="1m", **SPAN)) == 2


async def test_streams_are_iterators(both: Both) -> None:
    sync: list[Any] = []

    def follow() -> None:
        with Client(both.evaluator.http) as client, closing(client.follow_events("live", delay=0)) as events:
            for event in events:
                sync.append(event)
                if len(sync) == 3:
                    return

    thread = threading.Thread(target=follow)
    thread.start()
    found: list[Any] = []
    async with (
        AsyncEmitter(both.collector.http) as emitter,
        AsyncClient(both.evaluator.http) as client,
        aclosing(client.follow_events("live(n)", delay=0)) as events,
        aclosing(client.follow_metric("sum(live)", step="1d", limit=1)) as metrics,
        asyncio.timeout(60),
    ):
        assert (await anext(metrics)).value == 0
        sending = asyncio.create_task(send_until(emitter, lambda: len(found) == 3 and len(sync) == 3))
        async for event in events:
            found.append(event)
            if len(found) == 3:
                break
        await sending
        while not (await anext(metrics)).value:  # of a day that begins meanwhile
            continue
    thread.join(60)
    assert [event.data["n"] for event in found] == list(range(found[0].data["n"], found[0].data["n"] + 3))
    assert len({event.id for event in sync}) == 3


async def send_until(emitter: AsyncEmitter, claim: Any) -> None:
    """Send an event after the other: who subscribes gets those that come then."""
    number = 0
    while not claim():
        await emitter.send([{"type": "live", "id": number, "data": {"n": number}}])
        number += 1
        await asyncio.sleep(0.05)


@SLOW
async def test_a_stream_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}"
    with Mortal("collector", store, tmp_path) as collector, Mortal("evaluator", store, tmp_path) as evaluator:
        async with (
            AsyncEmitter(collector.http) as emitter,
            AsyncClient(evaluator.http, retries=Retries(50, 0.01)) as client,
            aclosing(client.follow_events("live", start=START, delay=0)) as events,
            asyncio.timeout(100),
        ):
            await emitter.send({"type": "live", "time": START + 1 + 4 * i, "id": i} for i in range(3))
            assert [(await anext(events)).id for _ in range(3)] == [0, 1, 2]
            evaluator.kill()
            await emitter.send([{"type": "live", "time": START + 2, "id": 3}])  # a late one
            await emitter.send([{"type": "live", "time": START + 9, "id": 4}])
            evaluator.start()
            assert [(await anext(events)).id for _ in range(2)] == [3, 4]


def test_a_stream_that_nobody_answers_says_so() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", retries=Retries(0))
    with pytest.raises(Unavailable, match="Nothing answers at ws"):
        next(client.follow_metric("sum(a)"))


def table_of(**columns: Any) -> pa.Table:
    return pa.table(columns)


def test_tables_of_other_kinds_are_joined_without_loss() -> None:
    whole, text = table_of(a=[1, 2], b=["x", None]), table_of(a=["1", None], c=[True, None])
    rows = AnswerTable(joined([whole, text])).rows()
    assert rows == [{"a": 1, "b": "x"}, {"a": 2}, {"a": "1", "c": True}, {}]
    large = joined([table_of(a=[2**53 + 1]), table_of(a=[0.5])])
    assert AnswerTable(large).rows() == [{"a": 2**53 + 1}, {"a": 0.5}]
    least = joined([table_of(a=[-(2**63)]), table_of(a=[0.5])])
    assert AnswerTable(least).rows() == [{"a": -(2**63)}, {"a": 0.5}]
    small = joined([table_of(a=[-1]), table_of(a=[0.5]), table_of(b=[True])])
    assert small.schema.field("a").type == pa.float64()
    assert small.column("a").to_pylist() == [-1, 0.5, None]
