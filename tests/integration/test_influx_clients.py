"""InfluxDB's clients against a running collector, and metrics over what they wrote."""

from __future__ import annotations

import asyncio
import base64

import pytest
import requests

from tests.foreign_client import WRITE_KEY, Running, front, run_node, run_python
from tests.tools import SLOW


@pytest.mark.parametrize(
    ("how", "said", "total"),
    [
        ("1", "1.8-cube\n", 7),
        ("2", "True\n", 15),
        pytest.param("batching", "True\n", 15, marks=SLOW),
    ],
)
def test_what_the_python_clients_write_is_measured(keyed: Running, how: str, said: str, total: int) -> None:
    assert run_python("send_influx.py", keyed.collector, WRITE_KEY, how) == said
    assert keyed.metric(f'sum(cart(price).eq(how, "{how}"))') == total
    assert keyed.metric(f'sum(cart(items).eq(how, "{how}"))') == 0 + 1 + 2
    (first,) = keyed.data(f'cart(*).eq(how, "{how}").eq(items, 0)')
    told = (
        {"text": 'a "b"\\nc'} if how == "1" else {"ok": True}
    )  # release 1 makes two characters of a newline
    assert first == {"host": "web 0", "how": how, "items": 0, "price": 1, **told}


async def test_what_the_npm_client_writes_again_is_measured_once(keyed: Running) -> None:
    async with front(keyed.collector, losses=1) as between:
        said = await asyncio.to_thread(
            run_node, "@influxdata/influxdb-client", "send_influx.mjs", between.address, WRITE_KEY
        )
    assert said == ""
    assert [passed.status for passed in between.passed] == [204, 204]
    assert between.passed[0].headers["Content-Encoding"] == "gzip"
    assert keyed.metric('sum(cart(price).eq(how, "node"))') == 7


def test_every_precision_of_npms_influx_is_the_same_moment(keyed: Running) -> None:
    assert run_node("influx", "send_influx_first.mjs", keyed.collector, WRITE_KEY) == "0\ntrue\n"
    found = keyed.evaluator.events("flux(*)", start="2026-01-02", stop="2026-01-03")
    fine = 1_767_323_045_678
    for event in found:
        told = {**event.data, "precision": "any"}
        assert told == {"precision": "any", "price": 0.5, "items": 3, "text": 'x "y"\\ é', "ok": True}
    times = {event.data["precision"].removeprefix("a b="): event.time for event in found}
    assert times == {"s": fine - 678, "ms": fine, "u": fine, "n": fine}


def test_a_line_that_is_wrong_is_told_and_kept_and_the_others_are_stored(keyed: Running) -> None:
    body = b"mixed price=1 1767323045\nmixed price=x 1767323045\nmixed price=2 1767323046\n"
    for path in ("/write?db=d&precision=s", "/api/v2/write?bucket=d&precision=s"):
        answer = requests.post(keyed.collector + path, data=body, auth=("any", WRITE_KEY), timeout=60)
        assert answer.status_code == 400
        assert "partial write: unable to parse 'mixed price=x 1767323045'" in answer.text
    assert keyed.metric("sum(mixed(price))") == 3
    assert [each["payload"] for each in keyed.rejected("influx")] == ["mixed price=x 1767323045"]


def test_every_place_of_a_key_is_known(keyed: Running) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(f"root:{WRITE_KEY}".encode()).decode()}
    token = {"Authorization": f"Token {WRITE_KEY}"}

    def status(path: str, headers: dict[str, str]) -> int:
        url = f"{keyed.collector}{path}"
        return requests.post(url, data=b"m f=1 1767323045000000000", headers=headers, timeout=60).status_code

    assert [status("/write?db=d", basic), status("/api/v2/write", token)] == [204, 204]
    assert status(f"/write?u=root&p={WRITE_KEY}", {}) == 204
    assert status("/api/v3/write_lp?db=d", {"Authorization": f"Bearer {WRITE_KEY}"}) == 204
    assert [status("/write", {}), status("/api/v2/write", {"Authorization": "Token no"})] == [401, 401]
    assert keyed.metric("sum(m)") == 2, "the point of a database, and that of none"
