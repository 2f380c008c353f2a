"""A real nginx in front: the daemons know who asks through it, if they are told that it may be believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.both_daemons import Both
from tests.daemon import daemon
from tests.nginx import Nginx, nginx

SECONDS = 10
_HOST = "proxy_set_header Host $http_host;"
_X = (
    _HOST
    + "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto https;"
)
_FORWARDED = _HOST + 'proxy_set_header Forwarded "for=$remote_addr;proto=https";'


def locations(port: int, both: Both) -> str:
    """Both daemons behind one port, nginx itself once more in front, and one that writes Forwarded."""
    collector, evaluator = both.collector.http, both.evaluator.http
    return f"""
server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass {collector}; {_X} }}
    location /1.0/metric {{ proxy_pass {evaluator}; {_X} }}
    location /before/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_bind 127.0.0.2; {_X} }}
    location /rfc/ {{ proxy_pass {collector}/; {_FORWARDED} }}
}}
"""


def sent(proxy: Nginx, path: str, **headers: str) -> Any:
    """Ask through nginx; ``X_Forwarded_For`` is what a client says of itself."""
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(f"{proxy.http}{path}", headers=lines, timeout=SECONDS)


def asked(both: Both, path: str) -> set[str]:
    """Return the addresses from which a path was asked for, as the daemons' own events tell them."""
    own = [event["data"] for event in both.events("cube_request(*)")]
    return {data["ip"] for data in own if data["path"] == path}


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("trusted", "client", "before", "scheme"),
    [
        ("127.0.0.1", "203.0.113.9", "127.0.0.2", "https"),
        ("", "127.0.0.1", "127.0.0.1", "http"),
    ],
)
def test_addresses_and_links_are_those_of_who_asks_nginx(
    tmp_path: Path, trusted: str, client: str, before: str, scheme: str
) -> None:
    """What a client says of itself counts as far as it is trusted: here nginx adds 127.0.0.1."""
    store, flags = f"sqlite:{tmp_path / 'data'}", ("--trusted-proxies", trusted, "--self-events")
    with (
        daemon("collector", store, tmp_path, *flags) as collector,
        daemon("evaluator", store, tmp_path, *flags) as evaluator,
    ):
        both = Both(collector, evaluator)
        said = {"X_Forwarded_For": "198.51.100.1, 203.0.113.9"}
        with nginx(tmp_path / "nginx", lambda port: locations(port, both)) as proxy:
            assert sent(proxy, "/i?e=pv&eid=b8a9b1c0-0000-4000-8000-000000000001", **said).ok
            assert sent(proxy, "/before/i?e=pv&eid=b8a9b1c0-0000-4000-8000-000000000002", **said).ok
            forwarded = {"Forwarded": "for=192.0.2.1;proto=https"}
            path = "/rfc/i?e=pv&eid=b8a9b1c0-0000-4000-8000-000000000003"
            assert sent(proxy, path, **forwarded).ok
            for name in ("first", "second"):
                eye = {
                    "session_id": "s",
                    "category": "c",
                    "name": name,
                    "timestamp": "2021-01-01 09:15",
                    "data": {},
                }
                assert requests.post(f"{proxy.http}/api/event/", json=eye, timeout=SECONDS).ok
            link = sent(proxy, "/api/event/?limit=1").json()["next"]
            assert link.startswith(f"{scheme}://127.0.0.1:{proxy.port}/api/event/?")
            metric = "/1.0/metric?expression=sum(a)&step=8.64e7&start=2026-01-01&stop=2026-01-02"
            assert sent(proxy, metric, **said).ok
            wait_for(lambda: client in asked(both, "/1.0/metric"))
            found = [event["data"]["ip"] for event in both.events("page_view(*)")]
            assert found == [client, before, "127.0.0.1"]
            wait_for(lambda: asked(both, "/i") == {client, before, "127.0.0.1"})
