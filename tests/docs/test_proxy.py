"""The recipe for nginx in `docs/operations.md`, as it stands there, in front of daemons with keys."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from tests.daemon import daemon
from tests.nginx import nginx
from tests.web_client import close_socket

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
COLLECT, CUBE = "collect.example.com", "cube.example.com"
KEY = "vB3kq0Zr7mXw9TnYc2Lp"
KEYS = f'[environments.default]\n[[environments.default.keys]]\nname = "all"\nkey = "{KEY}"\n'
BEARER = {"Authorization": f"Bearer {KEY}"}
OUTSIDE, INSIDE = "127.0.0.2", "127.0.0.1"
SECONDS = 20
EVENT = {"type": "seen", "time": "2026-11-02T12:00:07Z"}
DAY = {"step": 86_400_000, "start": "2026-11-02", "stop": "2026-11-03"}


def block(language: str) -> str:
    """Return the one block of a language in the chapter about proxies."""
    chapter = PAGE[PAGE.index("## Behind a proxy") : PAGE.index("## Several processes")]
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL)
    return str(text)


@dataclass(frozen=True, slots=True)
class Proxy:
    """The running nginx, as clients of it see it."""

    port: int
    certificate: Path

    def ask(
        self, host: str, method: str, path: str, *, of: str = OUTSIDE, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Ask one of the names from an address of this machine."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, context=context, source_address=(of, 0), timeout=SECONDS
        )
        try:
            connection.request(method, path, headers={"Host": host, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    async def socket(self, host: str, path: str, **headers: str) -> WebSocketClientConnection:
        """Open a WebSocket of one of the names."""
        url = f"wss://127.0.0.1:{self.port}{path}"
        lines = {"Host": host, **BEARER, **headers}
        return await websocket_connect(HTTPRequest(url, headers=lines, ca_certs=str(self.certificate)))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("proxy")
    certificate, key = directory / "cube.pem", directory / "cube.key"
    made = (
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={CUBE}"),
        *("-addext", f"subjectAltName=IP:127.0.0.1,DNS:{COLLECT},DNS:{CUBE}"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    subprocess.run(made, check=True, capture_output=True)
    settings = directory / "settings.toml"
    settings.write_text(block("toml") + KEYS)
    flags, store = ("--config", str(settings)), f"sqlite:{directory / 'data'}"
    with (
        daemon("collector", store, directory, *flags) as collector,
        daemon("evaluator", store, directory, *flags) as evaluator,
    ):

        def recipe(port: int) -> str:
            here = {
                "127.0.0.1:1080": f"127.0.0.1:{collector.port}",
                "127.0.0.1:1081": f"127.0.0.1:{evaluator.port}",
                "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
                "/etc/nginx/": f"{directory}/",
            }
            text = block("nginx")
            for there, ours in here.items():
                assert there in text
                text = text.replace(there, ours)
            return text

        with nginx(directory / "nginx", recipe) as running:
            yield Proxy(running.port, certificate)


@pytest.mark.parametrize("host", [COLLECT, CUBE])
@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "//metrics",
        "/%6detrics",
        "/metrics?a=b",
        "/./metrics//",
        "/readyz",
        "/x/../readyz",
    ],
)
def test_what_asks_for_no_key_is_for_the_inside_alone(proxy: Proxy, host: str, path: str) -> None:
    assert proxy.ask(host, "GET", path)[0] == 403
    assert proxy.ask(host, "GET", path, of=INSIDE)[0] in (200, 404)


def test_the_inside_sees_the_figures_of_either(proxy: Proxy) -> None:
    assert b"cube_events_accepted_total" in proxy.ask(COLLECT, "GET", "/metrics", of=INSIDE)[1]
    assert b"cube_scans_total" in proxy.ask(CUBE, "GET", "/metrics", of=INSIDE)[1]


def test_each_name_leads_to_its_daemon_and_keys_are_needed(proxy: Proxy) -> None:
    assert proxy.ask(CUBE, "GET", "/healthz") == (200, b"{}")
    assert proxy.ask(CUBE, "GET", "/1.0/types")[0] == 401
    assert proxy.ask(CUBE, "GET", "/1.0/types", headers=BEARER)[0] == 200
    assert proxy.ask(COLLECT, "GET", "/1.0/types", headers=BEARER)[0] == 404
    assert proxy.ask(COLLECT, "POST", "/1.0/event")[0] == 401


async def test_sockets_go_through_for_events_and_metrics(proxy: Proxy) -> None:
    feed = await proxy.socket(COLLECT, "/1.0/event/put")
    await feed.write_message(json.dumps({"events": [EVENT], "ack": 1}))
    assert json.loads(await asyncio.wait_for(feed.read_message(), SECONDS) or "") == {"ack": 1}
    await close_socket(feed)
    asking = await proxy.socket(CUBE, "/1.0/metric/get", Origin=f"https://{CUBE}")
    await asking.write_message(json.dumps({"expression": "count(seen)", **DAY}))
    assert json.loads(await asyncio.wait_for(asking.read_message(), SECONDS) or "")["value"] == 1
    await close_socket(asking)
