"""Heads with a blank before a colon, over real sockets: Tornado's own parsing decides about the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from cube.web import Operation, Reply, Request, Route, Server, Service, Telemetry
from tests.authenticators import open_authenticator
from tests.web_client import connection


async def told(request: Request) -> Reply:
    return Reply.json([request.headers.get_list(name) for name in ("X-Api-Key", "X-Datacoral-Environment")])


@asynccontextmanager
async def serving(*, lenient: bool) -> AsyncIterator[int]:
    service = Service(
        [Route("/", {"POST": Operation(told, "The headers.", body={})})],
        access=open_authenticator(),
        telemetry=Telemetry(CollectorRegistry()),
        max_body_bytes=1_000,
        max_sockets=1,
        lenient=lenient,
    )
    server = Server(service, host="127.0.0.1", port=0)
    try:
        yield server.port
    finally:
        await server.stop(5)


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", "Host: localhost", *lines, "Content-Length: 2", "", "{}"]).encode()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with serving(lenient=True) as port:
        yield port


async def test_the_two_headers_arrive_on_every_request_of_a_connection(port: int) -> None:
    async with connection(port) as client:
        for _ in range(3):
            client.send(head("X-Api-Key : ['KEY1']", "x-datacoral-environment\t: dev"))
            assert (await client.answer("POST")).json == [["['KEY1']"], ["dev"]]


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length : 20",),
        ("Transfer-Encoding : chunked",),
        ("Host : other",),
        ("X-Other : a",),
        ("X-Api-Key : a", "X-Api-Key : b"),
        ("X-Api-Key: a", "X-Api-Key : a"),
        ("X-Api-Key : a", "Content-Length : 20"),
        ("X-Api-Key :", " Content-Length: 20"),
    ],
)
async def test_other_names_two_of_one_and_folded_lines_are_refused(port: int, lines: tuple[str, ...]) -> None:
    async with connection(port) as client:
        client.send(head(*lines))
        assert (await client.answer("POST")).status == 400
        assert await client.ended()


async def test_without_the_switch_no_header_is_put_right() -> None:
    async with serving(lenient=False) as port, connection(port) as client:
        client.send(head("X-Api-Key : KEY1"))
        assert (await client.answer("POST")).status == 400
