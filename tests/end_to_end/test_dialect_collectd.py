"""collectd's own daemon writes to a running collector, and an evaluator tells what it wrote."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.both_daemons import Both, both_daemons
from tests.tools import running, tool

_DAEMON = """
Hostname "web14"
FQDNLookup false
Interval 1
WriteThreads 1
BaseDir "{directory}"
PIDFile "{directory}/pid"
TypesDB "/usr/share/collectd/types.db"
LoadPlugin logfile
<Plugin logfile>
  File "{directory}/collectd.log"
</Plugin>
LoadPlugin unixsock
<Plugin unixsock>
  SocketFile "{directory}/socket"
</Plugin>
"""
_WRITING = """
LoadPlugin write_http
<Plugin write_http>
  <Node "cube">
    URL "{url}/collectd{slash}"
    Format "JSON"
    Notifications true
    LogHttpError true
    {login}
  </Node>
</Plugin>
"""
_PAGE = Path(__file__).resolve().parents[2] / "docs" / "dialects" / "collectd.md"
_PLUGINS = """
LoadPlugin cpu
LoadPlugin load
LoadPlugin memory
LoadPlugin threshold
<Plugin threshold>
  <Plugin "memory">
    <Type "memory">
      Instance "used"
      WarningMax 1
    </Type>
  </Plugin>
</Plugin>
"""


class Collectd:
    """A daemon that runs, and its socket for values of our own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, base: int) -> None:
        self._reader = reader
        self._writer = writer
        self.base = base

    async def put(self, series: str, seconds: float, *values: int, meta: str = "") -> None:
        """Hand collectd one reading, so many seconds after `base`; with meta data it takes it and says no."""
        listed = ":".join(map(str, values))
        line = f'PUTVAL "web14/{series}" interval=10 {meta} {self.base + seconds}:{listed}'
        await self._say(line, "-1 Non-string metadata" if meta else "0 ")

    @asynccontextmanager
    async def flushing(self) -> AsyncIterator[None]:
        """Have it send what it holds, again and again: a reading reaches the plugin some time after `put`."""

        async def flush() -> None:
            while True:
                await self._say("FLUSH plugin=write_http/cube")
                await asyncio.sleep(0.1)

        task = asyncio.create_task(flush())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _say(self, line: str, expected: str = "0 ") -> None:
        self._writer.write(f"{line}\n".encode())
        async with asyncio.timeout(10):  # wait_for may swallow a cancellation (Python 3.11)
            answer = (await self._reader.readline()).decode()
        assert answer.startswith(expected), answer


@asynccontextmanager
async def collectd(
    directory: Path,
    both: Both,
    *,
    plugins: str = "",
    slash: str = "",
    login: str = "",
    writing: str = _WRITING,
) -> AsyncIterator[Collectd]:
    """Run Debian's collectd, which writes to the collector, with its files in `directory`."""
    program = tool("collectd")
    config = directory / "collectd.conf"
    text = _DAEMON.format(directory=directory) + writing.format(
        url=both.collector.http, slash=slash, login=login
    )
    config.write_text(text + plugins)
    with running(program, "-f", "-C", str(config)):
        reader, writer = await _connected(str(directory / "socket"))
        try:
            yield Collectd(reader, writer, int(time.time()) - 100)
        finally:
            writer.close()


async def _connected(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(20):
        while True:
            try:
                return await asyncio.open_unix_connection(path)
            except (FileNotFoundError, ConnectionRefusedError):
                await asyncio.sleep(0.02)


async def test_what_collectds_plugins_read_can_be_asked_for(tmp_path: Path) -> None:
    with both_daemons(tmp_path) as both:
        async with collectd(tmp_path, both, plugins=_PLUGINS):
            await both.until_now('sum(collectd(memory).eq(host, "web14").eq(type, "used"))', 1)
            await both.until_now("sum(collectd.eq(host, 'web14').ge(load.shortterm, 0))", 1)
            await both.until_now("sum(collectd(cpu).eq(plugin, '0'))", 0.01)
            await both.until_now("sum(collectd_notification.eq(severity, 'WARNING'))", 1)
        assert both.types() == ["collectd", "collectd_notification"]


async def test_counts_arrive_as_rates_and_a_reset_as_nothing(tmp_path: Path) -> None:
    with both_daemons(tmp_path) as both:
        async with collectd(tmp_path, both, slash="/") as daemon:
            for seconds, received, sent in ((0, 1000, 70), (10, 3000, 70), (20, 5, 80), (30, 25, 180)):
                await daemon.put("interface-eth0/if_octets", seconds, received, sent)
            async with daemon.flushing():
                expression = "sum(collectd(interface.if_octets.tx).eq(plugin, 'eth0'))"
                assert await both.until_now(expression, 11) == 11.0
        rates = [event["data"]["interface"]["if_octets"] for event in _events(both)]
        assert rates == [{"rx": 200.0, "tx": 0.0}, {"tx": 1.0}, {"rx": 2.0, "tx": 10.0}]


async def test_after_a_restart_of_the_collector_a_series_begins_again(tmp_path: Path) -> None:
    for run in range(2):
        with both_daemons(tmp_path) as both:
            directory = tmp_path / f"collectd-{run}"
            directory.mkdir()
            async with collectd(directory, both) as daemon:
                for seconds, received in ((0, 1000), (10, 1050)):
                    await daemon.put("interface-eth0/if_octets", 20 * run + seconds, received + 100 * run, 0)
                async with daemon.flushing():
                    await both.until_now("sum(collectd.eq(plugin, 'eth0'))", 1 + run)
            rates = [event["data"]["interface"]["if_octets"]["rx"] for event in _events(both)]
            assert rates == [5.0] * (1 + run)


async def test_squares_differences_are_a_setting(tmp_path: Path) -> None:
    with both_daemons(tmp_path, "--dialects-collectd-differences", "true") as both:
        async with collectd(tmp_path, both) as daemon:
            for seconds, received in ((0, 1000), (10, 3000), (20, 5)):
                await daemon.put("interface-eth0/if_octets", seconds, received, 0)
            async with daemon.flushing():
                await both.until_now("sum(collectd.eq(plugin, 'eth0'))", 3)
        received = [event["data"]["interface"]["if_octets"]["rx"] for event in _events(both)]
        assert received == [0, 2000, -2995]


async def test_a_key_is_taken_as_header_and_as_user_name(tmp_path: Path) -> None:
    settings = tmp_path / "collector.toml"
    settings.write_text(
        '[environments.default]\n[[environments.default.keys]]\nname = "web14"\nkey = "key-of-web14"\n'
    )
    logins = ('Header "X-Api-Key: key-of-web14"', 'User "key-of-web14"\nPassword "any"')
    with both_daemons(tmp_path, "--config", str(settings)) as both:
        for number, login in enumerate(logins, 1):
            directory = tmp_path / f"collectd-{number}"
            directory.mkdir()
            async with collectd(directory, both, login=login) as daemon:
                await daemon.put("memory/memory-used", number, 5)
                async with daemon.flushing():
                    assert await both.until_now("sum(collectd(memory))", 5 * number) == 5 * number


async def test_values_beside_meta_data_that_are_no_json_count(tmp_path: Path) -> None:
    with both_daemons(tmp_path) as both:
        async with collectd(tmp_path, both) as daemon:
            await daemon.put("memory/memory-used", 0, 1)
            await daemon.put("memory/memory-free", 0, 2, meta='meta:note="text"')
            await daemon.put("memory/memory-cached", 0, 4)
            async with daemon.flushing():
                assert await both.until_now("sum(collectd(memory))", 7) == 7
        assert both.types() == ["collectd"]


async def test_the_pages_configuration_sends_by_itself(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```apache\n(.*?)^```", _PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert "FlushInterval 10\n" in shown
    quick = shown.replace(
        "FlushInterval 10\n", "FlushInterval 0.2\n"
    )  # so that the test need not wait so long
    with both_daemons(tmp_path) as both:
        writing = quick.replace("http://127.0.0.1:1080", "{url}")
        async with collectd(tmp_path, both, writing=writing) as daemon:
            await daemon.put("memory/memory-used", 0, 5)
            assert await both.until_now("sum(collectd(memory))", 5) == 5


def _events(both: Both) -> list[Any]:
    return both.events("collectd(interface).eq(plugin, 'eth0')")
