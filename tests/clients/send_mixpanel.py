"""Sends events with Mixpanel's PyPI client. Prints what it says is wrong.

python send_mixpanel.py URL TOKEN
"""

from __future__ import annotations

import sys

from mixpanel import BufferedConsumer, Consumer, Mixpanel

TIME = 1767323045.678


def main(url: str, token: str) -> None:
    urls = (f"{url}/track", f"{url}/engage", f"{url}/import")
    consumer = Consumer(*urls, groups_url=f"{url}/groups")
    client = Mixpanel(token, consumer)
    for _ in range(2):  # as after an answer that was lost
        for number in range(3):
            meta = {"$insert_id": f"python-{number}", "time": TIME}
            client.track("u1", "Item Bought", {"price": 2**number, "how": "python", **meta})
    client.people_set("u1", {"plan": "pro"}, meta={"$time": 1000 * TIME})
    client.group_set("company", "acme", {"name": "Acme"})
    client.import_data(None, "u1", "Item Bought", int(TIME), {"price": 8, "how": "import"}, api_secret=token)
    buffered = BufferedConsumer(50, *urls)
    many = Mixpanel(token, buffered)
    for number in range(3):
        many.track("u1", "Item Bought", {"price": 2**number, "how": "buffered", "time": TIME})
    buffered.flush()


main(*sys.argv[1:])
