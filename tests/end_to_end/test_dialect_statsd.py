"""A StatsD client sends to a running collector."""

from __future__ import annotations

from pathlib import Path

from statsd import StatsClient

from tests.both_daemons import Both, both_daemons
from tests.daemon import daemon
from tests.foreign_client import run_node, run_python

ON = ("--dialects-statsd", "true", "--dialects-statsd-port", "0")
DATADOG = (*ON, "--dialects-statsd-flavour", "datadog")
SECOND = 1000
THEN = 1_656_581_400_000


def _address(both: Both) -> tuple[str, str]:
    assert both.collector.statsd is not None
    host, _, port = both.collector.statsd.rpartition(":")
    return host, port


def _client(both: Both) -> StatsClient:
    host, port = _address(both)
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
        assert await both.until_now("sum(statsd)", 11) == 11
        assert await both.until_now("sum(statsd(count).eq(name, 'app.hits'))", 5) == 5
        assert await both.until_now("max(statsd(value).eq(kind, 'timer'))", 250) == 250
        assert await both.until_now("distinct(statsd(value).eq(name, 'app.users'))", 2) == 2
        gauges = [event["data"] for event in both.events("statsd(value, delta).eq(name, 'app.level')")]
        # A negative gauge is sent as 0 and then a decrease.
        assert gauges == [{"value": -5, "delta": False}, {"value": 4, "delta": True}]
        assert both.types() == ["statsd"]


async def test_datadogs_python_client_is_understood(tmp_path: Path) -> None:
    with both_daemons(tmp_path, *DATADOG) as both:
        assert run_python("send_dogstatsd.py", *_address(both)) == ""
        assert await both.until_now("sum(statsd(count).eq(name, 'hits').eq(tags.env, 'eu'))", 3) == 3
        assert await both.until_now("sum(cube_rejected.eq(payload, 'size:nan|h|#env:prod|card:low'))", 1) == 1
        assert await both.until_now("sum(statsd(value).eq(name, 'size'))", 2.0**70) == 2.0**70
        assert [event["data"] for event in both.events("statsd(value, delta).eq(name, 'level')")] == [
            {"value": -7.5, "delta": False},
            {"value": -5, "delta": False},
        ]
        then = {"start": THEN, "stop": THEN + SECOND}
        (job,) = both.events("statsd(count, tags, cardinality).eq(name, 'jobs')")
        assert job["time"] == "2022-06-30T09:30:00.250Z"
        assert job["data"] == {"count": 2, "tags": {"env": "prod"}, "cardinality": "low"}
        assert both.metric("min(statsd(value))", **then, step=10 * SECOND) == [-7.5]
        (event,) = both.events("statsd_event(title, text, alert_type, tags)")
        assert event["time"] == "2022-06-30T09:30:00.000Z"
        assert event["data"] == {
            "title": "tïtle",
            "text": "text\nline 2|x",
            "alert_type": "error",
            "tags": {"env": "prod", "a": "b"},
        }
        (check,) = both.events("statsd_check(name, status, message)")
        assert check["data"] == {"name": "app.ok", "status": 1, "message": "m: slow"}
        assert not both.events("statsd(name).re(name, '^datadog')")  # its telemetry is off


async def test_hot_shots_is_understood(tmp_path: Path) -> None:
    with both_daemons(tmp_path, *DATADOG) as both:
        assert run_node("hot-shots", "send_dogstatsd.mjs", *_address(both)) == ""
        assert await both.until_now("sum(statsd(count).eq(name, 'app.hits').eq(tags.env, 'prod'))", 3) == 3
        assert await both.until_now("sum(cube_rejected.eq(payload, 'app.bad:NaN|c|#env:prod'))", 1) == 1
        assert await both.until_now("max(statsd(value))", 2.0**70) == 2.0**70
        levels = both.events("statsd(value, delta).eq(name, 'app.level')")
        assert [(event["time"], event["data"]["value"]) for event in levels[:2]] == [
            ("2022-06-30T09:30:00.123Z", -7.5),
            ("2022-06-30T09:30:01.000Z", -8),
        ]
        assert levels[2]["data"] == {"value": -5, "delta": False}
        packed = both.events("statsd(value).eq(name, 'app.d').eq(tags.a, 'b')")
        assert sorted(event["data"]["value"] for event in packed) == [-2.5, 1, 3]
        (event,) = both.events("statsd_event(title, text)")
        assert event["data"] == {"title": "app.tïtle", "text": "text\nline 2|x"}
        (check,) = both.events("statsd_check(name, status, message)")
        assert check["data"] == {"name": "app.ok", "status": 1, "message": "slow"}


async def test_bad_lines_can_be_asked_for_and_the_others_count(tmp_path: Path) -> None:
    with both_daemons(tmp_path, *ON, "--horizon-past-days", "1") as both:
        client = _client(both)
        try:
            lines = b"app.a:1|c\nnonsense\napp.b:1|c\napp.old:1|g|T1656581400"
            client._sock.sendto(lines, client._addr)
        finally:
            client.close()
        await both.until_now("sum(statsd)", 2)
        await both.until_now("sum(cube_rejected.eq(payload, 'app.old:1|g|T1656581400'))", 1)
        await both.until_now("sum(cube_rejected.eq(dialect, 'statsd').eq(payload, 'nonsense'))", 1)


def test_it_is_off_unless_switched_on(tmp_path: Path) -> None:
    with daemon("collector", f"sqlite:{tmp_path}", tmp_path) as collector:
        assert collector.statsd is None


async def test_several_processes_share_the_port(tmp_path: Path) -> None:
    with both_daemons(tmp_path, *ON, "--processes", "2") as both:
        for _ in range(8):  # the kernel spreads them by the port that they come from
            client = _client(both)
            try:
                client.incr("hits")
            finally:
                client.close()
        assert await both.until_now("sum(statsd(count).eq(name, 'app.hits'))", 8) == 8
