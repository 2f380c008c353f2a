"""Clients that ask for much and do not read it: a running evaluator holds no more than its bound."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

from tests.daemon import Daemon, daemon
from tests.integration.test_web_limits import figure, frame
from tests.web_client import HANDSHAKE, ask, connection, head

BOUND_BYTES = 16 * 2**20
ROWS, ROW_BYTES = 1_000, 10_000
CROWD = 12
ANSWERS = 3
START = 1_700_000_000_000


async def fill(collector: Daemon) -> None:
    for first in range(0, ROWS, 500):
        events = [
            {"type": "a", "time": START + number, "data": {"text": "x" * ROW_BYTES}}
            for number in range(first, first + 500)
        ]
        assert (await ask(collector.port, "POST", "/1.0/event", json.dumps(events).encode())).status == 200


async def test_answers_are_bounded_together_while_they_are_made(tmp_path: Path) -> None:
    """They are refused then, not cut: who asks for less, or reads, is answered meanwhile."""
    store = f"sqlite:{tmp_path}"
    with daemon("collector", store, tmp_path) as collector:
        await fill(collector)
    flags = ("--http-answers-bytes", str(BOUND_BYTES), "--limits-rows", "100000")
    with daemon("evaluator", store, tmp_path, *flags) as evaluator:
        small = "/1.0/event?expression=a(text)&limit=10"
        assert (await ask(evaluator.port, "GET", small)).status == 200
        before = most = evaluator.resident_bytes()
        async with AsyncExitStack() as stack:
            for number in range(CROWD):
                own = await stack.enter_async_context(connection(evaluator.port))
                if number % 2:
                    own.send(head("GET", "/1.0/event?expression=a(*)", {}))
                else:
                    assert (await own.ask("GET", "/1.0/event/get", headers=HANDSHAKE)).status == 101
                    for id in range(ANSWERS):
                        asked = {"expression": "a(*)", "stop": "2030-01-01", "id": id}
                        own.send(frame(json.dumps(asked).encode()))
                own.writer.transport.pause_reading()
            async with asyncio.timeout(60):
                while await settled(evaluator) < CROWD * (1 + ANSWERS) // 2 - 2:
                    most = max(most, evaluator.resident_bytes())
                    await asyncio.sleep(0.02)
            assert await settled(evaluator) > await figure(evaluator, "cube_connections_cut_total")
            assert (await ask(evaluator.port, "GET", small)).status == 200
        assert most - before < 6 * BOUND_BYTES, f"{(most - before) >> 20} MiB more"


async def settled(evaluator: Daemon) -> float:
    """How many answers were refused while they were made, or cut off while they were not read."""
    text = (await ask(evaluator.port, "GET", "/metrics")).body.decode()
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith(('cube_queries_refused_total{reason="answers"}', "cube_connections_cut_total"))
    )


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
                while await settled(evaluator) < CROWD - 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            answer = await ask(evaluator.port, "GET", "/1.0/event?expression=a(text)&limit=500")
            assert answer.status == 200
            assert len(answer.json) == 500
