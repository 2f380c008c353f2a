"""Sends events with Datacoral's PyPI client, used as its README has it. Prints what was lost.

python -S send_datacoral.py HOST:PORT post|get ENVIRONMENT KEY

The client is as it was published; PyContracts, which it imports, is of the time of Python 3.7, so three
names that Python has dropped since are put back before.
"""

from __future__ import annotations

import collections.abc
import inspect
import sys
from datetime import UTC, datetime
from typing import Any

TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC).timestamp() * 1000
ITEMS = [{"sku": "a", "price": 10.5, "quantity": 2}]

for name in collections.abc.__all__:
    setattr(collections, name, getattr(collections.abc, name))
inspect.ArgSpec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")  # type: ignore[attr-defined]
inspect.getargspec = lambda function: inspect.ArgSpec(*inspect.getfullargspec(function)[:4])  # type: ignore[attr-defined]

from snowplow_tracker import Emitter, SelfDescribingJson, Tracker  # noqa: E402


def main(endpoint: str, method: str, environment: str, key: str) -> None:
    def lost(sent: int, unsent: list[Any]) -> None:
        print(f"lost {len(unsent)}")

    emitter = Emitter(endpoint, protocol="http", method=method, buffer_size=1, on_failure=lost)
    tracker = Tracker(
        emitter,
        datacoral_env=environment,
        api_key=[key],
        namespace=f"datacoral-{method}",
        app_id="app",
        encode_base64=True,
    )
    data = {"foo": "bar", "metadata": {"sub": "data"}}
    tracker.track_unstruct_event(event_json=SelfDescribingJson(schema="test", data=data), tstamp=TIME)
    tracker.track_page_view("https://shop.example/a", "A", tstamp=TIME)
    for value in (1, 2.5):
        tracker.track_struct_event("shop", "add", value=value, tstamp=TIME)
    tracker.track_ecommerce_transaction("o1", 21.0, items=ITEMS, tstamp=TIME)
    emitter.flush()


main(*sys.argv[1:])
