"""An InfluxDB, as Debian has it, sends the collector a copy of all that is written to it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from tests.foreign_client import WRITE_KEY, Running
from tests.scripted_server import free_port
from tests.tools import running, tool

SECONDS = 60.0
TIME = 1_767_323_045_678
SETTINGS = """
reporting-disabled = true
bind-address = "127.0.0.1:{inner}"
[meta]
dir = "{directory}/meta"
[data]
dir = "{directory}/data"
wal-dir = "{directory}/wal"
[monitor]
store-enabled = false
[http]
bind-address = "127.0.0.1:{port}"
[subscriber]
enabled = true
"""


class InfluxDB:
    """A running InfluxDB, of release 1."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, method: str, path: str, body: str = "", **query: str) -> int:
        """Ask it, and return the status; 0 where it does not answer."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=SECONDS)
        try:
            connection.request(method, f"{path}?{urlencode(query)}", body.encode())
            return connection.getresponse().status
        except ConnectionError:
            return 0
        finally:
            connection.close()

    def query(self, text: str) -> None:
        """Have it do what a query says."""
        assert self.ask("POST", "/query", q=text) == 200


@contextmanager
def influxdb(directory: Path) -> Iterator[InfluxDB]:
    """Run an InfluxDB with its files in a directory."""
    settings, port = directory / "influxdb.conf", free_port()
    settings.write_text(SETTINGS.format(directory=directory, port=port, inner=free_port()))
    with running(tool("influxd"), "-config", str(settings)):
        made, until = InfluxDB(port), time.monotonic() + SECONDS
        while made.ask("GET", "/ping") != 204:
            assert time.monotonic() < until, "InfluxDB does not answer"
            time.sleep(0.05)
        yield made


def test_a_subscription_of_influxdb_is_a_copy_of_its_points(keyed: Running, tmp_path: Path) -> None:
    address = keyed.collector.replace("://", f"://any:{WRITE_KEY}@")
    with influxdb(tmp_path) as source:
        source.query("CREATE DATABASE shop")
        source.query(f"CREATE SUBSCRIPTION cube ON shop.autogen DESTINATIONS ALL '{address}'")
        until = time.monotonic() + SECONDS
        while not keyed.data("copied"):  # it begins to send a moment after it has said so
            assert time.monotonic() < until, "nothing was copied"
            for number in range(3):
                line = f'copied,host=a\\ b v={2**number},n={number}i,t="x \\"y\\" é",b=t {TIME + number}'
                assert source.ask("POST", "/write", line, db="shop", precision="ms") == 204
            time.sleep(0.2)
        while keyed.metric("sum(copied(v))") != 7:
            assert time.monotonic() < until, "not all was copied"
            time.sleep(0.1)
    assert keyed.data("copied(*).eq(n, 2)") == [{"v": 4.0, "n": 2, "t": 'x "y" é', "b": True, "host": "a b"}]
    assert [each for each in keyed.rejected("influx") if each["payload"].startswith("copied")] == []
