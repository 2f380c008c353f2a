"""InfluxDB's clients against a running collector, and metrics over what they wrote."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.foreign_client import Running, front, run_node, run_python, running, running_with

KEY = "influx-0123456789abcdefGHIJ"
SETTINGS = f"""
[environments.prod]
database = "prod"

[[environments.prod.keys]]
name = "influx"
key = "{KEY}"
scopes = ["write"]

[[environments.prod.keys]]
name = "board"
key = "read-key-0123456789abcd"
scopes = ["read"]
"""


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("influx")) as made:
        yield made


@pytest.mark.parametrize(
    ("how", "said", "total"), [("1", "1.8-cube\n", 7), ("2", "True\n", 15), ("batching", "True\n", 15)]
)
def test_what_the_python_clients_write_is_measured(cube: Running, how: str, said: str, total: int) -> None:
    assert run_python("send_influx.py", cube.collector, "any", how) == said
    assert cube.metric(f'sum(cart(price).eq(how, "{how}"))') == total
    assert cube.metric(f'sum(cart(items).eq(how, "{how}"))') == 0 + 1 + 2
    (first,) = cube.data(f'cart(*).eq(how, "{how}").eq(items, 0)')
    told = (
        {"text": 'a "b"\\nc'} if how == "1" else {"ok": True}
    )  # release 1 makes two characters of a newline
    assert first == {"host": "web 0", "how": how, "items": 0, "price": 1, **told}


async def test_what_the_npm_client_writes_again_is_measured_once(cube: Running) -> None:
    async with front(cube.collector, losses=1) as between:
        said = await asyncio.to_thread(
            run_node, "@influxdata/influxdb-client", "send_influx.mjs", between.address, "any"
        )
    assert said == ""
    assert [passed.status for passed in between.passed] == [204, 204]
    assert between.passed[0].headers["Content-Encoding"] == "gzip"
    assert cube.metric('sum(cart(price).eq(how, "node"))') == 7


def test_a_line_that_is_wrong_is_told_and_kept_and_the_others_are_stored(cube: Running) -> None:
    body = b"mixed price=1 1767323045\nmixed price=x 1767323045\nmixed price=2 1767323046\n"
    for path in ("/write?db=d&precision=s", "/api/v2/write?bucket=d&precision=s"):
        answer = requests.post(cube.collector + path, data=body, timeout=10)
        assert answer.status_code == 400
        assert "partial write: unable to parse 'mixed price=x 1767323045'" in answer.text
    assert cube.metric("sum(mixed(price))") == 3
    assert [each["payload"] for each in cube.rejected("influx")] == ["mixed price=x 1767323045"]


def test_every_place_of_a_key_is_known(tmp_path: Path) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(f"root:{KEY}".encode()).decode()}
    token = {"Authorization": f"Token {KEY}"}
    with running_with(tmp_path, SETTINGS, "prod") as cube:

        def status(path: str, headers: dict[str, str]) -> int:
            url = f"{cube.collector}{path}"
            return requests.post(
                url, data=b"m f=1 1767323045000000000", headers=headers, timeout=10
            ).status_code

        assert [status("/write?db=d", basic), status("/api/v2/write", token)] == [204, 204]
        assert status(f"/write?u=root&p={KEY}", {}) == 204
        assert status("/api/v3/write_lp?db=d", {"Authorization": f"Bearer {KEY}"}) == 204
        assert [status("/write", {}), status("/api/v2/write", {"Authorization": "Token no"})] == [401, 401]
        assert cube.metric("sum(m)") == 2, "the point of a database, and that of none"
