"""Clients that ask for much and do not read it: a running evaluator holds no more than its bound."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from tests.daemon import Daemon, daemon
from tests.integration.test_web_limits import figure, frame
from tests.web_client import HANDSHAKE, ask, connection, head

BOUND_BYTES = 32 * 2**20
ROWS, ROW_BYTES = 2_000, 10_000
CROWD = 12
START = 1_700_000_000_000


async def fill(collector: Daemon) -> None:
    for first in range(0, ROWS, 500):
        events = [
            {"type": "a", "time": START + number, "data": {"text": "x" * ROW_BYTES}}
            for number in range(first, first + 500)
        ]
        assert (await ask(collector.port, "POST", "/1.0/event", json.dumps(events).encode())).status == 200


async def test_answers_that_nobody_reads_are_bounded_together(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}"
    with (
        daemon("collector", store, tmp_path) as collector,
        daemon("evaluator", store, tmp_path, "--http-answers-bytes", str(BOUND_BYTES)) as evaluator,
    ):
        await fill(collector)
        async with AsyncExitStack() as stack:
            for number in range(CROWD):
                own = await stack.enter_async_context(connection(evaluator.port))
                if number % 2:
                    own.send(head("GET", "/1.0/event?expression=a(text)", {"Host": "localhost"}))
                else:
                    assert (await own.ask("GET", "/1.0/event/get", headers=HANDSHAKE)).status == 101
                    own.send(frame(b'{"expression": "a(text)", "stop": "2030-01-01"}'))
                own.writer.transport.pause_reading()
            async with asyncio.timeout(30):
                while await figure(evaluator, "cube_connections_cut_total") < CROWD - 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            answer = await ask(evaluator.port, "GET", "/1.0/event?expression=a(text)&limit=500")
            assert answer.status == 200
            assert len(answer.json) == 500
            assert await figure(evaluator, "cube_connections_cut_total") == CROWD - 1
