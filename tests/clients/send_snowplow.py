"""Sends events of every kind with Snowplow's PyPI tracker. Prints what was lost.

python send_snowplow.py URL post|get
"""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime
from typing import Any

from snowplow_tracker import Emitter, SelfDescribingJson, Subject, Tracker

TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC).timestamp() * 1000
EVENTS = 17
ITEMS = [{"sku": "a", "price": 10.5, "quantity": 2}, {"sku": "b", "price": 5, "quantity": 1, "name": "B"}]


def main(url: str, method: Any) -> None:
    left = EVENTS
    done = threading.Event()

    def succeeded(events: list[Any]) -> None:
        nonlocal left
        left -= len(events)
        if left <= 0:
            done.set()

    emitter = Emitter(url, method=method, batch_size=6, on_success=succeeded)
    subject = Subject().set_platform("web").set_user_id("u1").set_screen_resolution(1920, 1080).set_lang("en")
    track(Tracker(f"py-{method}", emitter, subject=subject, app_id="shop"))
    emitter.sync_flush()
    if not done.wait(20):
        print(f"lost {left}")


def track(tracker: Tracker) -> None:
    user = SelfDescribingJson("iglu:com.acme/user_type/jsonschema/1-0-0", {"type": "trial", "naïve": "é"})
    own = SelfDescribingJson("iglu:com.acme/saved-game/jsonschema/1-0-0", {"level": 3, "by name": "é?>"})
    at: dict[str, Any] = {"tstamp": TIME}
    tracker.track_page_view("https://shop.example/a?b=1", "A é", "https://r.example", context=[user], **at)
    tracker.track_page_ping("https://shop.example/a", min_x=0, max_x=10, min_y=0, max_y=250, **at)
    for value in (1, 2.5):
        tracker.track_struct_event("shop", "add", "label", "property", value, **at)
    tracker.track_self_describing_event(own, **at)
    tracker.track_screen_view("Home", "s1", **at)
    tracker.track_mobile_screen_view(id_="s1", name="Home", **at)
    tracker.track_link_click("https://example.org", element_id="e1", **at)
    tracker.track_add_to_cart("a", 2, unit_price=10.5, **at)
    tracker.track_remove_from_cart("a", 1, **at)
    tracker.track_form_change("f1", "field", "INPUT", "value", type_="text", **at)
    tracker.track_form_submit("f1", **at)
    tracker.track_site_search(["a", "b"], total_results=7, **at)
    tracker.track_ecommerce_transaction("o1", 26, tax_value=2.5, currency="EUR", items=ITEMS, **at)
    tracker.track_struct_event("shop", "own", event_subject=Subject().set_user_id("u2"), **at)


main(*sys.argv[1:])
