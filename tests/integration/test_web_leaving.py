"""A server that leaves a port that others share, or will have: whoever got through to it is answered."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from prometheus_client import CollectorRegistry

from cube.process import activation
from cube.process.listening import open_listening
from cube.web import Server, Service, Telemetry, with_standard_routes
from tests.authenticators import open_authenticator
from tests.web_client import Connection, ask


async def ready() -> None:
    """Say that it is ready."""


def served(port: int = 0) -> Server:
    telemetry = Telemetry(CollectorRegistry())
    service = Service(
        with_standard_routes("A stage", [], telemetry, ready),
        access=open_authenticator(),
        telemetry=telemetry,
        max_body_bytes=1_000,
        max_sockets=1,
    )
    return Server(service, host="127.0.0.1", port=port, reuse_port=True)


def connected(port: int) -> socket.socket:
    """Return a client that is not held back, as it begins with all hops there are, then does as others."""
    client = socket.socket()
    client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
    client.connect(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
    return client


async def test_connections_that_are_made_while_it_leaves_are_answered() -> None:
    server = served()
    with open_listening("127.0.0.1", server.port, reuse_port=True) as other:
        stopping = asyncio.create_task(server.stop(20))
        await asyncio.sleep(0)  # now new ones are held back
        clients = {client.getsockname(): client for client in (connected(server.port) for _ in range(64))}
        for _ in range(64):  # those of the other are none of its business
            try:
                taken, at = other.accept()
            except BlockingIOError:
                break
            taken.close()
            clients.pop(at).close()
        assert clients
        for client in clients.values():
            reader, writer = await asyncio.open_connection(sock=client)
            answer = await Connection(reader, writer).ask("GET", "/healthz")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            writer.close()
        assert await stopping


async def test_a_socket_of_systemds_is_left_to_the_next_process_by_one_that_answers_its_own_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed_on:
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", "1")
        monkeypatch.setattr(activation, "FIRST", passed_on.fileno())
        port = passed_on.getsockname()[1]
        server = served(port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await ask(port, "GET", "/healthz")  # the first has been accepted, too
        stopping = asyncio.create_task(server.stop(20))
        await asyncio.sleep(0)
        with socket.create_connection(("127.0.0.1", port)) as late:
            answer = await Connection(reader, writer).ask("GET", "/healthz")
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            writer.close()
            assert await stopping
            passed_on.settimeout(10)
            taken, at = passed_on.accept()
            taken.close()
            assert at == late.getsockname()
