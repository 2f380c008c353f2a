"""Writes points with InfluxDB's PyPI clients of releases 1 and 2. Prints what went wrong.

python send_influx.py URL KEY 1|2|batching
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

from influxdb import InfluxDBClient as FirstClient
from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS

TIME = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)


def first(url: str, key: str) -> None:
    place = urlsplit(url)
    client = FirstClient(str(place.hostname), place.port or 80, "user", key, "shop", gzip=True)
    print(client.ping())
    client.create_database("shop")
    assert client.get_list_database() == [{"name": "shop"}]
    points = [
        {
            "measurement": "cart",
            "tags": {"how": "1", "host": f"web {number}"},
            "fields": {"price": 2.0**number, "items": number, "text": 'a "b"\nc', "gone": float("nan")},
            "time": TIME,
        }
        for number in range(3)
    ]
    client.write_points(points)
    client.write_points(points, time_precision="ms")
    client.close()


def second(url: str, key: str, how: str) -> None:
    options = WriteOptions(flush_interval=100, retry_interval=100) if how == "batching" else SYNCHRONOUS
    with InfluxDBClient(url, key, org="o g", enable_gzip=True, timeout=40_000) as client:
        print(client.ping())
        with client.write_api(write_options=options) as writer:
            for number in range(3):
                point = Point("cart").tag("how", how).tag("host", f"web {number}").time(TIME)
                point = point.field("price", 2.0**number).field("items", number).field("ok", value=True)
                writer.write("b/u", record=point)
            writer.write("b/u", record=f"cart,how={how} price=8 1767323045", write_precision=WritePrecision.S)


def main(url: str, key: str, how: str) -> None:
    if how == "1":
        first(url, key)
    else:
        second(url, key, how)


main(*sys.argv[1:])
