"""Keys on what does not end: streams, live metrics and connections that are kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from cube.client import SocketEmitter
from tests.daemon import Daemon, daemon
from tests.end_to_end.serving import cube
from tests.integration.test_access import daemons, event, mongo_server
from tests.web_client import close_socket, connection

__all__ = ["daemons", "mongo_server"]

START = "2026-11-02T00:00:00Z"
REVOKED_SECONDS = 5.0


@asynccontextmanager
async def asking(running: Daemon, kind: str, key: str | None) -> AsyncIterator[WebSocketClientConnection]:
    url = running.http.replace("http", "ws") + f"/1.0/{kind}/get" + (f"?api_key={key}" if key else "")
    socket = await websocket_connect(url)
    try:
        yield socket
    finally:
        if socket.close_code is None:
            await close_socket(socket)
        else:  # the end was read before
            socket.close()


async def next_of(socket: WebSocketClientConnection) -> Any:
    return json.loads(str(await asyncio.wait_for(socket.read_message(), 15)))


async def test_who_shares_a_stream_with_others_still_sees_only_what_is_his(
    daemons: tuple[Daemon, Daemon],
) -> None:
    collector, evaluator = daemons
    asked = {"expression": "request(customer)", "start": START, "delay": 0}

    def now(customer: str, id: str) -> dict[str, Any]:
        return {**event(customer, "request", id), "time": time.time_ns() // 1_000_000}

    async with AsyncExitStack() as stack:
        emitters = {
            key: await stack.enter_async_context(SocketEmitter(collector.http, key=key))
            for key in ("prod-all", None)
        }
        sockets = {
            key: await stack.enter_async_context(asking(evaluator, "event", key))
            for key in ("prod-all", "prod-acme", None)
        }
        for socket in sockets.values():
            await socket.write_message(json.dumps(asked))
        for number, customer in enumerate(("other", "acme", "other", "acme")):
            await emitters["prod-all"].send([now(customer, f"stream-{number}")])
        await emitters[None].send([now("dev", "stream-dev")])

        async def until(key: str | None, id: str) -> set[str]:
            """Return whose events came up to one."""
            customers: set[str] = set()
            while True:
                row = await next_of(sockets[key])
                customers.add(row["data"]["customer"])
                if row["id"] == id:
                    return customers

        assert await until("prod-all", "stream-3") == {"acme", "other"}
        assert await until("prod-acme", "stream-3") == {"acme"}
        assert await until(None, "stream-dev") == {"dev"}


async def test_live_metrics_of_one_expression_are_as_many_as_there_are_views_of_it(
    daemons: tuple[Daemon, Daemon],
) -> None:
    collector, evaluator = daemons
    asked = {"expression": "sum(request.eq(live, 1))", "step": 86_400_000, "start": START}
    sent = [event(customer, "request", f"live-{customer}") for customer in ("acme", "other")]
    for one in sent:
        one["data"]["live"] = 1

    async def until(socket: WebSocketClientConnection, value: float) -> None:
        while (await next_of(socket)).get("value") != value:
            continue

    async with AsyncExitStack() as stack:
        whole, part = [
            await stack.enter_async_context(asking(evaluator, "metric", key))
            for key in ("prod-all", "prod-acme")
        ]
        for socket in (whole, part):
            await socket.write_message(json.dumps(asked))
        emitter = await stack.enter_async_context(SocketEmitter(collector.http, key="prod-all"))
        await emitter.send(sent)
        await until(whole, 2)
        await until(part, 1)


async def test_a_revoked_key_ends_streams_and_kept_connections(tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path}"
    where = ("--store", store, "--database", "test")
    secret = cube("keys", "add", "eye", "--create", "--scope", "read", *where, cwd=tmp_path).stdout.strip()
    with daemon("evaluator", store, tmp_path) as evaluator:
        async with (
            asking(evaluator, "event", secret) as stream,
            asking(evaluator, "metric", secret) as live,
            connection(evaluator.port) as kept,
        ):
            await stream.write_message(json.dumps({"expression": "a", "start": START}))
            await live.write_message(json.dumps({"expression": "sum(a)", "step": 10_000}))
            headers = {"Authorization": f"Bearer {secret}"}
            assert (await kept.ask("GET", "/1.0/types", headers=headers)).status == 200
            revoking = await asyncio.to_thread(cube, "keys", "revoke", "eye", *where, cwd=tmp_path)
            assert revoking.returncode == 0
            async with asyncio.timeout(REVOKED_SECONDS):
                for socket in (stream, live):
                    while await socket.read_message() is not None:
                        continue
                    assert socket.close_code == 1008
            assert (await kept.ask("GET", "/1.0/types", headers=headers)).status == 401


def test_a_key_with_a_filter_that_cannot_be_read_is_not_made(tmp_path: Path) -> None:
    where = ("--store", f"sqlite:{tmp_path}", "--database", "test")
    for bad in ("eq(a, 1", 're(a, "(")'):
        made = cube("keys", "add", "x", "--filter", bad, *where, cwd=tmp_path)
        assert (made.returncode, made.stdout) == (2, "")
    assert cube("keys", "list", *where, cwd=tmp_path).stdout == ""
