"""Square's own clients, and those of its ecosystem, talk to our daemons as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.both_daemons import Both, both_daemons
from tests.tools import NODE, node_package, running

DAY = "2011-09-12"
EVENTS = 600


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Both daemons, with one event of the type `ping`; tests store events of other types."""
    with both_daemons(tmp_path_factory.mktemp("both")) as made:
        assert _post(made, '{"type": "ping", "time": "2011-09-12T21:33:12Z"}', None) == 200
        yield made


@pytest.mark.parametrize("scheme", ["http", "ws", "udp"])
async def test_squares_emitters_store_their_events(scheme: str, both: Both, tmp_path: Path) -> None:
    node = node_package("cube")
    address = both.collector.udp if scheme == "udp" else both.collector.http.removeprefix("http://")
    # As many as fit into the kernel's buffer, where nothing would tell that one was lost.
    count = 50 if scheme == "udp" else EVENTS
    file = tmp_path / "events.json"
    file.write_text(json.dumps([_event(number, f"{scheme}_request") for number in range(count)]))
    expression = f"sum({scheme}_request(duration).eq(emitter, 'square').lt(duration, {count}))"
    # It is stopped when its events are there: over HTTP it never reads replies, and so never ends.
    with running(node, str(NODE / "square_emitter.js"), f"{scheme}://{address}", str(file)):
        total = await both.until(expression, sum(range(count)), start=DAY, stop="2011-09-13")
    assert total == sum(range(count))
    assert len(both.events(f"{scheme}_request")) == count


def _event(number: int, type: str) -> dict[str, Any]:
    return {
        "type": type,
        "time": f"2011-09-12T21:{number % 60:02}:12.{number:03}Z",
        "id": f"e{number}",
        "data": {"duration": number, "emitter": "square"},
    }


TIMES = [
    # As clients of the ecosystem write them, and the instant that is meant.
    ("2011-09-12T21:33:12", "2011-09-12T21:33:12.000Z"),  # no zone
    ("2011-09-12 21:33:12", "2011-09-12T21:33:12.000Z"),  # a blank, as Python's str(datetime)
    ("2011-09-12T23:33:12+0200", "2011-09-12T21:33:12.000Z"),  # an offset without a colon
    ("2011-09-12T21:33:12+0000", "2011-09-12T21:33:12.000Z"),  # Ruby's %z
    ("2011-09-12T21:33:12.345678Z", "2011-09-12T21:33:12.345Z"),  # microseconds
    ("2011-09-12T21:33:12.345678", "2011-09-12T21:33:12.345Z"),  # Python's isoformat
    ("2011-09-12T21:33:12.345678901+00:00", "2011-09-12T21:33:12.345Z"),  # Go's RFC3339Nano
    ("2011-09-12T14:33:12-07:00", "2011-09-12T21:33:12.000Z"),  # Square's own examples
    (1315863192000, "2011-09-12T21:33:12.000Z"),  # milliseconds
    ("1315863192000", "2011-09-12T21:33:12.000Z"),  # the same as text
]
CONTENT_TYPES = [
    "application/json",
    "application/x-www-form-urlencoded",  # curl -d, and urllib
    "text/plain;charset=UTF-8",  # fetch with a text body
    None,
]


def test_times_and_content_types_of_the_ecosystem_are_understood(both: Both) -> None:
    for number, (time, _) in enumerate(TIMES):
        for place, content_type in enumerate(CONTENT_TYPES):
            event = {"type": "timed", "time": time, "id": f"{number}-{place}", "data": {"n": 1}}
            assert _post(both, json.dumps([event]), content_type) == 200
    stored = {event["id"]: event["time"] for event in both.events("timed")}
    assert stored == {
        f"{number}-{place}": meant
        for number, (_, meant) in enumerate(TIMES)
        for place in range(len(CONTENT_TYPES))
    }


def _post(both: Both, body: str, content_type: str | None) -> int:
    request = Request(f"{both.collector.http}/1.0/event/put", body.encode(), method="POST")
    # urllib adds the form type by itself; an empty one is what comes nearest to none.
    request.add_header("Content-Type", content_type or "")
    with urlopen(request) as answer:
        assert json.load(answer) == {}
        return int(answer.status)


QUERIES = [
    # Parameters as dashboards and scripts write them, and how many buckets are meant.
    ({"step": "36e5"}, 2),  # 3600000, as in Cubism's examples
    ({"step": "3.6e6"}, 2),
    ({"step": "3600000"}, 2),
    ({"step": "3600000", "start": "2011-09-12T20:00:00", "stop": "2011-09-12T22:00:00"}, 2),
    ({"step": "3600000", "start": "2011-09-12T20:00:00+0000", "stop": "2011-09-12T22:00:00+0000"}, 2),
    ({"step": "3600000", "start": "2011-09-12 20:00", "stop": "2011-09-12 22:00"}, 2),
    ({"step": "3600000", "start": "1315857600000", "stop": "1315864800000"}, 2),
    ({"step": "6e4"}, 120),
]


@pytest.mark.parametrize(("parameters", "buckets"), QUERIES)
def test_queries_of_the_ecosystem_are_understood(
    parameters: dict[str, str], buckets: int, both: Both
) -> None:
    span = {"start": "2011-09-12T20:00:00Z", "stop": "2011-09-12T22:00:00Z"}
    for path in ("/1.0/metric", "/1.0/metric/get"):
        answer = both.ask(path, {"expression": "sum(ping)", **span, **parameters})
        assert (len(answer), sum(row["value"] for row in answer)) == (buckets, 1)
