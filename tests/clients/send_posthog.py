"""Sends events with PostHog's PyPI client. Prints what its error handler was told.

python send_posthog.py URL KEY gzip|plain|v1
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from posthog import Posthog

TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def failed(error: Exception, batch: list[Any]) -> None:
    print(f"lost {len(batch)}: {type(error).__name__}: {error}", flush=True)


def main(url: str, key: str, encoding: str) -> None:
    mode = "v1" if encoding == "v1" else "v0"
    patience = {"timeout": 40, "feature_flags_request_timeout_seconds": 40}
    options = {"gzip": encoding == "gzip", "flush_interval": 0.2, "capture_mode": mode, **patience}
    client = Posthog(key, host=url, on_error=failed, **options)
    for number in range(3):
        properties = {"price": 2**number, "in stock": True, "how": encoding}
        client.capture("Item Bought", distinct_id="u1", properties=properties, timestamp=TIME)
    client.set(distinct_id="u1", properties={"plan": "pro"}, timestamp=TIME)
    client.alias("u1", "old", timestamp=TIME)
    client.group_identify("company", "acme", {"name": "Acme"}, timestamp=TIME)
    try:
        raise ValueError("shelf is empty")
    except ValueError as error:
        client.capture_exception(error, distinct_id="u1", timestamp=TIME)
    client.capture("Not A Number", distinct_id="u1", properties={"n": float("nan")}, timestamp=TIME)
    client.flush(40)
    print("flag", client.evaluate_flags("u1").get_flag("beta"))
    client.shutdown()


main(*sys.argv[1:])
