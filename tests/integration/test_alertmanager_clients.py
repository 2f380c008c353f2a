"""Prometheus scrapes both daemons and raises an alert over a metric; Alertmanager posts it back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request as URLRequest
from urllib.request import urlopen

from cube.client import Emitter, Evaluator
from tests.daemon import daemon
from tests.foreign_client import KEYED, WRITE_KEY
from tests.scripted_server import free_port
from tests.tools import running, tool

SECONDS = 60.0
READ_KEY = "read-key-0123456789abcd"
HOUR = 3_600_000
SCRAPING = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["127.0.0.1:{alertmanager}"]}}]}}]
scrape_configs:
  - job_name: cube
    metrics_path: /prometheus/federate
    basic_auth: {{username: {key}, password: any}}
    params: {{expression: ["rolling(sum(order(price)), 1h)", "sum(order).group(shop)"], name: [sold, orders]}}
    static_configs: [{{targets: ["{evaluator}"]}}]
  - job_name: daemons
    static_configs: [{{targets: ["{collector}", "{evaluator}"]}}]
"""
RULES = """
groups:
  - name: cube
    rules:
      - alert: Sold
        expr: sold > 6
        labels: {severity: page}
        annotations: {summary: "{{ $value }} sold in an hour"}
"""
SENDING = """
route: {{receiver: cube, group_by: [alertname], group_wait: 0s, group_interval: 1s}}
receivers:
  - name: cube
    webhook_configs: [{{url: "{collector}/1.0/webhook/alert?api_key={key}", send_resolved: true}}]
"""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus."""

    address: str

    def ask(self, path: str, **parameters: str) -> Any:
        """Ask its API; None where it does not answer yet."""
        try:
            with urlopen(f"{self.address}/api/v1/{path}?{urlencode(parameters)}", timeout=SECONDS) as answer:
                return json.load(answer)["data"]
        except URLError:
            return None

    def scraped(self, count: int) -> list[Any]:
        """Return its targets, once so many of them have been scraped."""
        targets: list[Any] = (self.ask("targets", state="active") or {"activeTargets": []})["activeTargets"]
        return targets if sum(each["health"] != "unknown" for each in targets) == count else []


@contextmanager
def watching(collector: str, evaluator: str, directory: Path) -> Iterator[Prometheus]:
    """Run Prometheus, and an Alertmanager that it tells its alerts."""
    watcher, teller = free_port(), free_port()
    scraping, sending = directory / "prometheus.yml", directory / "alertmanager.yml"
    scraping.write_text(
        SCRAPING.format(
            alertmanager=teller,
            evaluator=urlsplit(evaluator).netloc,
            collector=urlsplit(collector).netloc,
            key=READ_KEY,
        )
    )
    (directory / "rules.yml").write_text(RULES)
    sending.write_text(SENDING.format(collector=collector, key=WRITE_KEY))
    prometheus = (
        tool("prometheus"),
        f"--config.file={scraping}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{watcher}",
    )
    alertmanager = (
        tool("prometheus-alertmanager"),
        f"--config.file={sending}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{teller}",
        "--cluster.listen-address=",
    )
    with running(*alertmanager), running(*prometheus):
        yield Prometheus(f"http://127.0.0.1:{watcher}")


def test_an_alert_over_a_metric_comes_back_as_an_event(tmp_path: Path) -> None:
    settings, store = tmp_path / "settings.toml", f"sqlite:{tmp_path}"
    settings.write_text(KEYED)
    with (
        daemon("collector", store, tmp_path, "--config", str(settings)) as collector,
        daemon("evaluator", store, tmp_path, "--config", str(settings)) as evaluator,
        Emitter(collector.http, key=WRITE_KEY) as emitter,
        Evaluator(evaluator.http, key=READ_KEY) as asked,
        watching(collector.http, evaluator.http, tmp_path) as prometheus,
    ):
        at = int(time.time() * 1000) - HOUR // 2
        emitter.send({"type": "order", "time": at, "data": {"price": 2**n, "shop": "a"}} for n in range(3))
        (event,) = _until(lambda: asked.events("alert(*)"), "an alert")
        targets = _until(lambda: prometheus.scraped(3), "three targets")
        assert {target["lastError"] for target in targets} == {""}
        assert [target["health"] for target in targets] == ["up"] * 3
        assert prometheus.ask("query", query="sold")["result"][0]["value"][1] == "7"
        _until(lambda: prometheus.ask("query", query="cube_events_stored_total >= 3")["result"], "a scrape")
    told = event.data
    (alert,) = told["alerts"]
    assert (told["status"], told["receiver"]) == ("firing", "cube")
    assert (alert["labels"]["alertname"], alert["labels"]["severity"]) == ("Sold", "page")
    assert alert["annotations"] == {"summary": "7 sold in an hour"}


def _until(ask: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + SECONDS
    while not (found := list(ask())):
        assert time.monotonic() < until, f"waited {SECONDS:g} s for {what}"
        time.sleep(0.2)
    return found


def test_a_notification_whose_reply_was_lost_is_stored_once_and_the_next_is_another(tmp_path: Path) -> None:
    """Alertmanager sends again what it has no reply to; that an alert is resolved is another notification."""
    settings, store, teller = tmp_path / "settings.toml", f"sqlite:{tmp_path}", free_port()
    settings.write_text(KEYED)
    with (
        daemon("collector", store, tmp_path, "--config", str(settings)) as collector,
        daemon("evaluator", store, tmp_path, "--config", str(settings)) as evaluator,
        Evaluator(evaluator.http, key=READ_KEY) as asked,
        _losing_the_first_reply(collector.http) as (address, bodies),
    ):
        sending = tmp_path / "alertmanager.yml"
        sending.write_text(SENDING.format(collector=address, key=WRITE_KEY))
        with running(
            tool("prometheus-alertmanager"),
            f"--config.file={sending}",
            f"--storage.path={tmp_path / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{teller}",
            "--cluster.listen-address=",
        ):
            _until(lambda: [_raise(teller, startsAt=_iso(-60))] if _listens(teller) else [], "Alertmanager")
            _until(lambda: bodies[1:] and asked.events("alert(status)"), "the second attempt")
            assert json.loads(bodies[0]) == json.loads(bodies[1])
            _raise(teller, startsAt=_iso(-60), endsAt=_iso(-1))
            _until(lambda: asked.events('alert.eq(status, "resolved")'), "the resolved alert")
            assert [event.data for event in asked.events("alert(status)")] == [
                {"status": "firing"},
                {"status": "resolved"},
            ]


@contextmanager
def _losing_the_first_reply(collector: str) -> Iterator[tuple[str, list[bytes]]]:
    """Hand deliveries on to a collector; the first is stored, and its connection closed without a reply."""
    bodies: list[bytes] = []

    class Handing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with urlopen(URLRequest(collector + self.path, body, dict(self.headers))) as answer:
                content = answer.read()
            bodies.append(body)
            if len(bodies) == 1:
                self.close_connection = True
                return
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the daemons' log is what is looked at."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", bodies
        finally:
            server.shutdown()
            thread.join()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(int(time.time()) + seconds, UTC).isoformat()


def _listens(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=SECONDS):
            return True
    except URLError:
        return False


def _raise(port: int, **times: str) -> bool:
    """Tell Alertmanager of an alert; with an `endsAt` that is past, that it is resolved."""
    alert = {"labels": {"alertname": "Sold"}, "annotations": {"summary": "7 sold"}, **times}
    request = URLRequest(
        f"http://127.0.0.1:{port}/api/v2/alerts",
        json.dumps([alert]).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=SECONDS) as answer:
        return bool(answer.status == 200)
