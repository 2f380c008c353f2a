"""A key that stands in a head or a URL is asked for before the body is read: a running collector."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.daemon import Daemon, daemon
from tests.web_client import connection, head

KEY = "key-of-the-shop-0123456789-abcdefghi"
SETTINGS = f"""
[environments.shop]
[[environments.shop.keys]]
name = "web"
key = "{KEY}"
"""
ROUTES = (
    "/1.0/event",
    "/1.0/event/put",
    "/v1/logs",
    "/cloudevents",
    "/collectd",
    "/api/event/",
    "/v1/batch",
    "/track",
    "/com.snowplowanalytics.snowplow/tp2",
)
KEYS_IN_BODIES = ROUTES[-3:]


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("access")
    (directory / "cube.toml").write_text(SETTINGS)
    with daemon(
        "collector", f"sqlite:{directory}", directory, "--config", str(directory / "cube.toml")
    ) as running:
        yield running


def post(target: str, **headers: str) -> bytes:
    """A head whose body never comes."""
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return head("POST", target, {"Content-Length": "1000000", **lines})


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("where", ["Authorization", "Basic", "X-Api-Key", "query"])
async def test_a_wrong_key_in_the_head_is_refused_without_the_body(
    collector: Daemon, route: str, where: str
) -> None:
    match where:
        case "query":
            content = post(f"{route}?api_key=wrong")
        case "Basic":
            content = post(route, Authorization="Basic d3Jvbmc6", Content_Encoding="gzip")
        case "Authorization":
            content = post(route, Authorization="Bearer wrong")
        case _:
            content = post(route, X_Api_Key="wrong")
    async with connection(collector.port) as client:
        client.send(content)
        assert (await client.answer()).status in (401, 403)


@pytest.mark.parametrize("route", ["/collect/a/wrong", "/cloudevents?access_token=wrong"])
async def test_a_wrong_key_in_a_protocols_own_url_is_refused_so(collector: Daemon, route: str) -> None:
    async with connection(collector.port) as client:
        client.send(post(route, Content_Type="application/json"))
        assert (await client.answer()).status in (401, 403)


@pytest.mark.parametrize("route", ROUTES)
async def test_no_key_is_refused_so_where_none_can_follow(collector: Daemon, route: str) -> None:
    async with connection(collector.port) as client:
        client.send(post(route, Content_Encoding="gzip", Content_Type="application/json"))
        if route not in KEYS_IN_BODIES:
            assert (await client.answer()).status == 401
            return
    body = gzip.compress(b'{"batch": []}')  # here a key may be in the body, so it is read
    async with connection(collector.port) as client:
        answer = await client.ask("POST", route, body, {"Content-Encoding": "gzip"})
        assert answer.status in (401, 403)


async def test_the_right_key_is_admitted(collector: Daemon) -> None:
    async with connection(collector.port) as client:
        for headers in ({"X-Api-Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
            answer = await client.ask(
                "POST", "/1.0/event", gzip.compress(b"[]"), {**headers, "Content-Encoding": "gzip"}
            )
            assert answer.status == 200
        answer = await client.ask("POST", "/v1/batch", b'{"batch": [], "writeKey": "%s"}' % KEY.encode())
        assert answer.status == 200
