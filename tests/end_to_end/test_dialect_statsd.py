"""A StatsD client sends to a running collector."""

from __future__ import annotations

from pathlib import Path

from statsd import StatsClient

from tests.both_daemons import Both, both_daemons

ON = ("--dialects-statsd", "true", "--dialects-statsd-port", "0")


def _client(both: Both) -> StatsClient:
    assert both.collector.statsd is not None
    host, _, port = both.collector.statsd.rpartition(":")
    return StatsClient(host, int(port), prefix="app")


async def test_what_a_client_counts_and_measures_can_be_asked_for(tmp_path: Path) -> None:
    with both_daemons(tmp_path, *ON) as both:
        client = _client(both)
        try:
            for _ in range(3):
                client.incr("hits", 2)
            client.decr("hits")
            client.timing("request", 12.5)
            client.gauge("level", -5)
            client.gauge("level", 4, delta=True)
            client.set("users", "u1")
            client.set("users", "u2")
            with client.pipeline() as pipe:
                pipe.incr("jobs")
                pipe.timing("job", 250)
        finally:
            client.close()
        assert await both.until_now("sum(statsd)", 12) == 12
        assert await both.until_now("sum(statsd(count).eq(name, 'app.hits'))", 5) == 5
        assert await both.until_now("max(statsd(value).eq(kind, 'timer'))", 250) == 250
        assert await both.until_now("distinct(statsd(value).eq(name, 'app.users'))", 2) == 2
        gauges = [event["data"] for event in both.events("statsd(value, delta).eq(name, 'app.level')")]
        # A negative gauge is sent as 0 and then a decrease.
        assert gauges == [
            {"value": 0, "delta": False},
            {"value": -5, "delta": True},
            {"value": 4, "delta": True},
        ]
        assert both.types() == ["statsd"]


async def test_bad_lines_can_be_asked_for_and_the_others_count(tmp_path: Path) -> None:
    with both_daemons(tmp_path, *ON) as both:
        client = _client(both)
        try:
            client._sock.sendto(b"app.a:1|c\nnonsense\napp.b:1|c", client._addr)
        finally:
            client.close()
        await both.until_now("sum(statsd)", 2)
        await both.until_now("sum(cube_rejected.eq(dialect, 'statsd').eq(payload, 'nonsense'))", 1)


def test_it_is_off_unless_switched_on(tmp_path: Path) -> None:
    with both_daemons(tmp_path) as both:
        assert both.collector.statsd is None


async def test_several_processes_share_the_port(tmp_path: Path) -> None:
    with both_daemons(tmp_path, *ON, "--processes", "2") as both:
        for _ in range(8):  # the kernel spreads them by the port that they come from
            client = _client(both)
            try:
                client.incr("hits")
            finally:
                client.close()
        assert await both.until_now("sum(statsd(count).eq(name, 'app.hits'))", 8) == 8
