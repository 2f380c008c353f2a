"""Sends every kind of line with Datadog's PyPI client.

python send_dogstatsd.py HOST PORT
"""

from __future__ import annotations

import sys

from datadog.dogstatsd import DogStatsd

TIME = 1_656_581_400


def main(host: str, port: str) -> None:
    with DogStatsd(
        host, int(port), disable_telemetry=True, constant_tags=["env:prod"], cardinality="low"
    ) as client:
        client.increment("hits", 3, tags=["fast", "env:eu"])
        client.gauge("level", -5)
        client.gauge_with_timestamp("level", -7.5, TIME)
        client.count_with_timestamp("jobs", 2, TIME + 0.25)
        client.histogram("size", float("nan"))
        client.histogram("size", 2**70)
        client.distribution("d", 1.5)
        client.timing("t", 12)
        client.set("users", "u1")
        client.event("tïtle", "text\nline 2|x", alert_type="error", date_happened=TIME, tags=["a:b"])
        client.service_check("app.ok", client.WARNING, timestamp=TIME, message="m: slow")


main(*sys.argv[1:])
