"""A server that leaves a port that others share: whoever gets through to it meanwhile is answered."""

from __future__ import annotations

import asyncio
import socket

from prometheus_client import CollectorRegistry

from cube.process.listening import open_listening
from cube.web import Server, Service, Telemetry, with_standard_routes
from tests.authenticators import open_authenticator
from tests.web_client import Connection


async def ready() -> None:
    """Say that it is ready."""


def served() -> Server:
    telemetry = Telemetry(CollectorRegistry())
    service = Service(
        with_standard_routes("A stage", [], telemetry, ready),
        access=open_authenticator(),
        telemetry=telemetry,
        max_body_bytes=1_000,
        max_sockets=1,
    )
    return Server(service, host="127.0.0.1", port=0, reuse_port=True)


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
