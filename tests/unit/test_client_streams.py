"""A stream that breaks goes on where it was, and gives nothing twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from cube.client import Retries
from cube.client.evaluator import CURSOR, TRUNCATED
from cube.client.stream_place import MOST_ROWS
from cube.client.streams import StreamSource, follow_events, follow_metric
from cube.errors import InvalidExpression, Unavailable
from cube.model.tier import Metric

BAD = {"error": "Bad.", "line": 1, "column": 2}


def row(second: int, **more: Any) -> dict[str, Any]:
    return {"time": f"2011-09-12T00:00:{second:02}.000Z", **more}


@asynccontextmanager
async def sockets(
    *scripts: Sequence[Any], pages: Sequence[Sequence[Any]] = ()
) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Serve WebSockets that send one script each and close; yield the address, and what they are asked.

    ``pages``: of events over HTTP, in order; behind them all are empty.
    """
    left, asked, unread = list(scripts), [], list(pages)

    class Handler(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            asked.append(json.loads(message))
            for each in left.pop(0):
                await self.write_message(json.dumps(each))
            self.close()

    class Pages(RequestHandler):
        def get(self) -> None:
            asked.append({name: self.get_argument(name) for name in self.request.arguments})
            page = unread.pop(0) if unread else []
            if unread:
                self.set_header(TRUNCATED, "1")
                self.set_header(CURSOR, str(len(unread)))
            self.write(json.dumps(page))

    server = HTTPServer(Application([("/1.0/(?:event|metric)/get", Handler), ("/1.0/event", Pages)]))
    listening, port = bind_unused_port()
    server.add_sockets([listening])
    try:
        yield f"http://127.0.0.1:{port}", asked
    finally:
        server.stop()
        await server.close_all_connections()


async def events(url: str, retries: int) -> list[Any]:
    """Return the data of events until the stream ends with an error, and that."""
    found: list[Any] = []
    source = StreamSource(url, None, Retries(retries, 0.0))
    async with aclosing(follow_events(source, "a", start=0, delay=0)) as stream:
        try:
            async for event in stream:
                found.append(event.data)  # noqa: PERF401 - those before an error count
        except (Unavailable, InvalidExpression) as error:
            found.append(type(error))
    return found


async def test_what_comes_again_is_left_out_and_what_is_only_alike_is_not() -> None:
    first = [row(1, data=1), row(2, data=2), row(2, data=2), row(1, data="late")]
    again = [row(2, data=2), row(2, data=2), row(2, data=2), row(2, data=3), row(3, data=4)]
    async with sockets(first, again, [row(3, data=4), BAD]) as (url, _):
        found = await events(url, 1)
    assert found == [1, 2, 2, "late", 2, 3, 4, InvalidExpression]


async def test_all_that_came_while_there_was_no_connection_comes_late_events_too() -> None:
    first = [row(1, data=1), row(9, data=2)]
    missed = [[row(1, data=1), row(2, data="late")], [row(9, data=2), row(9, data=3)]]
    again = [row(1, data=1), row(3, data="later"), row(9, data=3), row(9, data=4), BAD]
    async with sockets(first, again, pages=missed) as (url, asked):
        found = await events(url, 1)
    assert found == [1, 2, "late", 3, "later", 4, InvalidExpression]
    start = 1_315_785_601_000
    assert asked == [
        {"expression": "a", "start": 0, "delay": 0},
        {"expression": "a", "start": str(start), "stop": "now", "after": ""},
        {"expression": "a", "start": str(start), "stop": "now", "after": "1"},
        {"expression": "a", "start": start, "delay": 0, "limit": MOST_ROWS},
    ]


async def test_a_stream_without_a_start_begins_now_however_that_is_said() -> None:
    async with sockets([row(1, data=1)], [row(1, data=1)]) as (url, asked):
        for given in ({}, {"start": None}):
            async with aclosing(follow_events(StreamSource(url, None, Retries(0)), "a", **given)) as stream:
                assert (await anext(stream)).data == 1
    assert asked == [{"expression": "a", "start": "now"}] * 2


async def test_errors_are_raised_or_waited_out() -> None:
    busy = {"error": "Busy.", "retry_after": 0}
    async with sockets([busy], [row(1, data=1), BAD]) as (url, _):
        assert await events(url, 1) == [1, InvalidExpression]
    async with sockets([busy]) as (url, _):
        assert await events(url, 0) == [Unavailable]
    async with sockets([None], [row(1, data=1), None], [BAD]) as (url, _):  # an evaluator that stops
        assert await events(url, 1) == [1, InvalidExpression]
    async with sockets([None]) as (url, _):
        assert await events(url, 0) == [Unavailable]


async def test_a_live_metric_is_values() -> None:
    told: list[str] = []
    warned = row(1, value=3, group=["a", 1], warnings=["There is no parameter stpe."])
    rows = [warned, {"live": True}, row(1, group=["a", 1], removed=True)]
    async with sockets(rows) as (url, asked):
        source = StreamSource(url, "secret", Retries(0), told.append)
        stream = follow_metric(source, "sum(a)", step="1m", limit=None)
        found = [await anext(stream) for _ in range(2)]
        with pytest.raises(Unavailable):
            await anext(stream)
    time = 1_315_785_601_000
    assert told == ["There is no parameter stpe."]
    assert found == [Metric(time, 3, ("a", 1)), Metric(time, None, ("a", 1))]
    assert asked == [{"expression": "sum(a)", "step": "1m"}]
