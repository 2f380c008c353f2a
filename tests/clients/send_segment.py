"""Sends messages with Segment's PyPI client. Prints what its error handler was told.

python send_segment.py URL WRITE_KEY gzip|plain
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from segment.analytics import Client

TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def failed(error: Exception, messages: list[Any]) -> None:
    print(f"lost {len(messages)}: {type(error).__name__}: {error}", flush=True)


def main(url: str, key: str, encoding: str) -> None:
    client = Client(key, host=url, on_error=failed, gzip=encoding == "gzip", upload_interval=0.2)
    for number in range(3):
        client.track(
            "u1",
            "Item Purchased",
            {"price": 2**number, "in stock": True},
            context={"ip": "1.2.3.4"},
            timestamp=TIME,
            message_id=f"track-{number}",
        )
    client.identify("u1", {"plan": "pro"}, timestamp=TIME, message_id="identify-1")
    client.page("u1", "Docs", "Home", {"path": "/"}, timestamp=TIME, message_id="page-1")
    client.screen("u1", "App", "Home", {"size": 1}, timestamp=TIME, message_id="screen-1")
    client.group("u1", "g1", {"name": "Acme"}, timestamp=TIME, message_id="group-1")
    client.alias("old", "u1", timestamp=TIME, message_id="alias-1")
    client.track(None, "Anonymous Seen", {}, anonymous_id="a1", timestamp=TIME, message_id="track-a")
    client.track(
        "u1", "Not A Number", {"n": float("nan"), "rest": "kept"}, timestamp=TIME, message_id="nan-1"
    )
    client.flush()
    client.shutdown()


main(*sys.argv[1:])
